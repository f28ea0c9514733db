"""A registry behind which there is an index like PyPI, and uploads to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.pypi_index import PyPIIndex, normalized
from tests.support.server import Server, running
from tests.support.upstream import Upstream, upstream
from tests.support.wheels import Built


@dataclass(frozen=True, slots=True)
class Mirror:
    """The registry, the upstream, and what is on it."""

    server: Server
    up: Upstream
    index: PyPIIndex

    @property
    def simple(self) -> str:
        """The URL of the index, as clients are given it."""
        return f"{self.server.url}/simple/"

    def asked(self, project: str) -> list[str]:
        """What the upstream was asked about a project, method and path, in whatever spelling."""
        return [
            f"{one.method} {one.path}"
            for one in list(self.up.log.requests)
            if normalized(project) in normalized(one.path)
        ]


def post_file(url: str, built: Built, user: tuple[str, str] | None = None) -> httpx.Response:
    """Upload a distribution, without what clients check before."""
    files = {"content": (built.filename, built.body, "application/octet-stream")}
    return httpx.post(
        f"{url}/legacy/", data=built.form(), files=files, auth=user, trust_env=False, timeout=60
    )


def publish(url: str, *files: Built) -> None:
    for built in files:
        answer = post_file(url, built)
        assert answer.status_code == 200, answer.text


@contextlib.contextmanager
def mirrored(folder: Path, *, workers: int = 2, **env: str) -> Iterator[Mirror]:
    index = PyPIIndex()
    with upstream() as up:
        index.mount(up)
        settings = {"NORA_PROXY_MODE": "online", "NORA_PYPI_PROXY": f"{up.url}/simple/", **env}
        with running(folder, workers=workers, env=settings) as server:
            yield Mirror(server, up, index)
