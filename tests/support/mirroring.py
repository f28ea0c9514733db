"""`nora mirror` in this process, against a server of the test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from click.testing import CliRunner

from nora.cli import main
from tests.support.server import Server, running
from tests.support.upstream import Upstream, upstream


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What the command printed, and how it ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.stdout)
        return found

    @property
    def missing(self) -> dict[str, str]:
        """Of a run with --json."""
        return {one["name"]: one["reason"] for one in self.json["missing"]}


def mirror(server: Server | str, *words: object) -> Mirrored:
    """`nora mirror <words>`, of a server."""
    url = server if isinstance(server, str) else server.url
    done = CliRunner().invoke(main, ["mirror", "--registry", url, *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Mirrored(done.exit_code, done.stdout, done.stderr)


@dataclass(frozen=True, slots=True)
class Site:
    """A NORA, and what it asks."""

    up: Upstream
    server: Server

    def mirror(self, *words: object) -> Mirrored:
        """`nora mirror <words>`"""
        return mirror(self.server, *words)

    def kept(self, *paths: str) -> list[bytes | None]:
        """What a NORA serves that may ask nobody; None where it serves nothing."""
        online = self.server.env
        self.server.env = {**online, "NORA_PROXY_MODE": "offline"}
        self.server.restart()
        try:
            with httpx.Client(base_url=self.server.url, timeout=30, trust_env=False) as http:
                answers = [http.get(path) for path in paths]
                return [one.content if one.status_code == 200 else None for one in answers]
        finally:
            self.server.env = online
            self.server.restart()


@contextlib.contextmanager
def site(folder: Path, variable: str, path: str, **env: str) -> Iterator[Site]:
    """A NORA whose `variable` says that it asks a path of an upstream."""
    with upstream() as up:
        asked = {"NORA_PROXY_MODE": "online", variable: up.url + path, **env}
        with running(folder, env=asked) as server:
            yield Site(up, server)
