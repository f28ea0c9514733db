"""JavaScript's package managers, each in a folder of its own, made once, in a folder that tests share.

They come from where npm is configured to on this machine; the tests themselves speak only to NORA.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.command import COMMAND_SECONDS, run

MACHINE = dict(os.environ)
"""As npm is configured here, before a test has made an environment of its own."""
INSTALL_SECONDS = 300.0
CLIENTS: Mapping[str, tuple[str, str]] = {
    "npm10": ("npm@10", "npm/bin/npm-cli.js"),
    "npm": ("npm", "npm/bin/npm-cli.js"),
    "pnpm": ("pnpm", "pnpm"),
    "yarn1": ("yarn@1", "yarn/bin/yarn.js"),
    "yarn4": ("@yarnpkg/cli-dist@4", "@yarnpkg/cli-dist/bin/yarn.js"),
    "bun": ("bun", "bun"),
}
"""By the names that tests give them: what to install, and the program in it."""


class NotInstalled(Exception):
    """The client could not be had."""


@dataclass(frozen=True, slots=True)
class Client:
    """A package manager with a home of its own, whose registry is a server of NORA."""

    name: str
    program: Path
    home: Path
    registry: str
    """The address of `/npm/`, with a slash at the end."""
    age_gate: str = "0"
    """How old yarn 4 wants packages to be."""

    def configure(self, folder: Path, token: str = "any", extra: str = "") -> None:
        """Write its settings for who works in a folder."""
        where = self.registry.partition("//")[2]
        lines = [
            f"registry={self.registry}",
            f"//{where}:_authToken={token}",
            "audit=false",
            "fund=false",
            extra,
        ]
        (self.home / ".npmrc").write_text("\n".join(lines) + "\n")
        if self.name == "yarn4":
            (folder / "yarn.lock").touch()
            (folder / ".yarnrc.yml").write_text(
                f'npmRegistryServer: "{self.registry}"\nnpmAuthToken: "{token}"\n'
                'unsafeHttpWhitelist: ["127.0.0.1"]\nenableTelemetry: false\nnodeLinker: node-modules\n'
                f"enableImmutableInstalls: false\nnpmMinimalAgeGate: {self.age_gate}\n"
            )

    def __call__(
        self,
        *words: str | Path,
        cwd: Path,
        fails: bool = False,
        timeout: float = COMMAND_SECONDS,
        node_options: str = "",
    ) -> str:
        """Standard output; with `fails` both outputs. See tests/support/command.py."""
        env = {
            "NODE_OPTIONS": node_options,
            "HOME": str(self.home),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "npm_config_cache": str(self.home / "npm-cache"),
            "npm_config_update_notifier": "false",
            "BUN_INSTALL_CACHE_DIR": str(self.home / "bun-cache"),
            "CI": "1",
        }
        node = ["node"] if self.program.suffix == ".js" else []
        return run(*node, self.program, *words, env=env, cwd=cwd, fails=fails, timeout=timeout)


def install(cache: Path, name: str) -> Path:
    """The program of a client below `cache`. Raises NotInstalled."""
    package, program = CLIENTS[name]
    below = modules(cache, package)
    return below / program if "/" in program else below / ".bin" / program


def modules(cache: Path, package: str, overrides: Mapping[str, str] | None = None) -> Path:
    """`node_modules` with a package and what it needs, in versions of `overrides` where they say so, in a
    folder of its own below `cache`; several processes may ask. Raises NotInstalled."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotInstalled("node and npm are not here")
    folder = cache / re.sub(r"[^a-z0-9.]+", "-", package)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            folder.mkdir(exist_ok=True)
            (folder / "package.json").write_text(json.dumps({"private": True, "overrides": overrides or {}}))
            argv = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), package]
            try:
                done = subprocess.run(
                    argv, env=MACHINE, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
                )
            except subprocess.TimeoutExpired as late:
                raise NotInstalled(str(late)) from late
            if done.returncode:
                raise NotInstalled(done.stderr[-2000:])
            (folder / "made").touch()
    return folder / "node_modules"
