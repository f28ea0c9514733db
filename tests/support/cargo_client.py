"""cargo with a home of its own: no setting, no credential and no cache of the machine's user.

Where cargo is the one of rustup, that looks for its toolchains in the home of whoever runs the tests.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.command import run

MACHINE = dict(os.environ)
"""As it is before a test has made an environment of its own."""


@dataclass(frozen=True, slots=True)
class Cargo:
    """`cargo("build", cwd=folder)` runs it."""

    home: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def configure(self, text: str) -> None:
        """Write its settings."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "config.toml").write_text(text)

    @property
    def folder(self) -> Path:
        """Where the program is."""
        found = shutil.which("cargo")
        assert found is not None
        return Path(found).parent

    @property
    def environment(self) -> dict[str, str]:
        """What programs that run cargo need."""
        toolchains = Path(MACHINE.get("RUSTUP_HOME", Path(MACHINE["HOME"], ".rustup")))
        rustup = {"RUSTUP_HOME": str(toolchains)} if toolchains.is_dir() else {}
        own = {"CARGO_HOME": str(self.home), "CARGO_TERM_COLOR": "never", "CARGO_INCREMENTAL": "0"}
        return {**rustup, **own, **self.env}

    def __call__(self, *words: str | Path, cwd: Path, fails: bool = False, timeout: float = 300.0) -> str:
        """Both outputs."""
        line = ["bash", "-c", 'exec cargo "$@" 2>&1', "cargo", *words]
        return run(*line, cwd=cwd, env=self.environment, fails=fails, timeout=timeout)


def write_crate(
    folder: Path, name: str, version: str = "1.0.0", *, more: str = "", source: str = "", **files: str
) -> Path:
    """A library, or with `main` a program; `more` is what else its manifest says."""
    (folder / "src").mkdir(parents=True, exist_ok=True)
    head = f'[package]\nname = "{name}"\nversion = "{version}"\nedition = "2021"\n'
    about = 'description = "a crate of a test"\nlicense = "MIT"\n'
    (folder / "Cargo.toml").write_text(head + about + more)
    kind = "main" if "fn main" in source else "lib"
    (folder / "src" / f"{kind}.rs").write_text(source)
    for path, text in files.items():
        (folder / f"{path}.rs").write_text(text)
    return folder
