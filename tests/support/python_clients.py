"""Python's package managers, each in an environment of its own, made once, in a folder that tests share.

They come from PyPI as pip is configured on this machine, in the versions of constraints.txt where a
requirement does not say one; the tests themselves speak only to NORA.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.command import run

MACHINE = dict(os.environ)
"""As pip is configured here, before a test has made an environment of its own."""
SETTINGS = re.compile(r"(PIP|UV|POETRY|PDM|TWINE|FLIT|HATCH)_")
INSTALL_SECONDS = 600.0
CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"


@dataclass(frozen=True, slots=True)
class Tool:
    """An environment with a tool; `tool("install", …)` runs its command."""

    folder: Path
    command: str

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def program(self) -> Path:
        return self.folder / "bin" / self.command

    def __call__(
        self,
        *words: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        fails: bool = False,
    ) -> str:
        """Standard output; with `fails` both outputs. See tests/support/command.py."""
        return run(self.program, *words, env=env, cwd=cwd, fails=fails)

    def version(self) -> tuple[int, ...]:
        said = re.search(r"(\d+(?:\.\d+)+)", self("--version"))
        assert said is not None
        return tuple(map(int, said[1].split(".")))


class NotInstalled(Exception):
    """The tool could not be had."""


def install(cache: Path, *requirements: str, command: str) -> Tool:
    """The environment with these below `cache`; several processes may ask. Raises NotInstalled."""
    folder = cache / re.sub(r"[^a-z0-9.]+", "-", "-".join(requirements))
    cache.mkdir(parents=True, exist_ok=True)
    wanted = [*requirements]
    if not any("==" in one for one in requirements):
        wanted += ["--constraint", str(CONSTRAINTS)]
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            _call(sys.executable, "-m", "venv", "--clear", folder)
            _call(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--upgrade", *wanted)
            (folder / "made").touch()
    return Tool(folder, command)


def _call(*argv: str | Path) -> None:
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            env=MACHINE,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise NotInstalled(str(late)) from late
    if done.returncode != 0:
        raise NotInstalled(f"{' '.join(map(str, argv))}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def environment(folder: Path) -> Path:
    """An empty environment, to install something into; its python."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    return folder / "bin" / "python"


def installed(folder: Path) -> dict[str, str]:
    """What is installed below a target or an environment: versions by module name."""
    names = (found.name.removesuffix(".dist-info") for found in folder.rglob("*.dist-info"))
    return dict(sorted((name.rpartition("-")[0], name.rpartition("-")[2]) for name in names))


def module_of(project: str) -> str:
    """The name under which `installed` has a project of `tests.support.wheels`."""
    return project.replace("-", "_")
