"""go with a home of its own: no setting, no credential and no module of the machine's user."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.command import run


@dataclass(frozen=True, slots=True)
class Go:
    """`go("build", cwd=folder)` runs it."""

    home: Path
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the program is."""
        found = shutil.which("go")
        assert found is not None
        return Path(found).parent

    @property
    def environment(self) -> dict[str, str]:
        """What programs that run go need."""
        return {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "GOPATH": str(self.home / "go"),
            "GOMODCACHE": str(self.modules),
            "GOCACHE": str(self.home.parent / "go-build"),
            "GOENV": str(self.home / "config" / "env"),
            "GOFLAGS": "-modcacherw -buildvcs=false",
            "GOTOOLCHAIN": "local",
            "GOTELEMETRY": "off",
            "GOSUMDB": "off",
            "NO_PROXY": "*",
            **self.env,
        }

    @property
    def modules(self) -> Path:
        """Where what was downloaded is."""
        return self.home / "modules"

    def __call__(
        self, *words: str | Path, cwd: Path, fails: bool = False, timeout: float = 300.0, **env: str
    ) -> str:
        """Both outputs."""
        self.home.mkdir(parents=True, exist_ok=True)
        line = ["bash", "-c", 'exec go "$@" 2>&1', "go", *words]
        return run(*line, cwd=cwd, env={**self.environment, **env}, fails=fails, timeout=timeout)

    def hashes(self) -> dict[str, str]:
        """The hashes of the zips that are there, by path and version."""
        download = self.modules / "cache" / "download"
        return {one.relative_to(download).as_posix(): one.read_text() for one in download.rglob("*.ziphash")}


def write_program(folder: Path, requires: Mapping[str, str], expression: str = '""') -> Path:
    """A program that prints an expression in which `text` calls the package of the first module."""
    folder.mkdir(parents=True, exist_ok=True)
    needs = "".join(f"require {path} {version}\n" for path, version in requires.items())
    (folder / "go.mod").write_text(f"module program.example/main\n\ngo 1.21\n\n{needs}")
    imports = "".join(f'import text{number} "{path}"\n' for number, path in enumerate(requires))
    uses = "".join(f"\tprintln(text{number}.Text())\n" for number, _ in enumerate(requires))
    (folder / "main.go").write_text(
        f"package main\n\n{imports}\nfunc main() {{\n{uses}\tprintln({expression})\n}}\n"
    )
    return folder
