"""Upstreams that have everything: the same names, other bytes, and whatever fault a test wants for a name.

with sites("left", "right") as (left, right):
    left.stock_project("corp-lib", "1.0")
    left.faults["corp-lib"] = Fault("403")       # from now on, for this name only
    left.seen("corp-lib")                        # what it was asked about it
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import httpx

from tests.support.answers import NEVER, Answer, Asked, absent
from tests.support.oci_upstream import OCIUpstream
from tests.support.pypi_index import PyPIIndex
from tests.support.server import Server, running
from tests.support.upstream import Upstream, upstream
from tests.trust.shown import Image, Project, wheel
from tests.trust.table import Table
from tests.trust.tables import TABLES

Outcome = Literal["found", "absent", "401", "403", "500", "cut", "timeout", "refused"]
FAILURES: tuple[Outcome, ...] = ("401", "403", "500", "cut")
"""Those that cost no time; `refused` is for all names of a site at once: `Upstream.stop`."""
BY_ROOT = {root: table for table in TABLES for root in table.roots}
assert len(BY_ROOT) == sum(len(table.roots) for table in TABLES), "two formats have a path of a site"


@dataclass(frozen=True, slots=True)
class Fault:
    """What a site answers for a name."""

    outcome: Outcome
    only: str = ""
    """A part of the paths that it is for: `/files/`, `/blobs/`. Empty: everything."""


@dataclass(slots=True)
class Site:
    """An upstream of all formats."""

    name: str
    up: Upstream
    stores: dict[str, Any] = field(default_factory=lambda: {one.format: one.store() for one in TABLES})
    """Its contents, by format."""
    faults: dict[str, Fault] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """As messages name it."""
        return str(urlsplit(self.up.url).hostname)

    @property
    def index(self) -> PyPIIndex:
        found: PyPIIndex = self.stores["pypi"]
        return found

    @property
    def registry(self) -> OCIUpstream:
        found: OCIUpstream = self.stores["docker"]
        return found

    def stock_project(self, name: str, *versions: str) -> Project:
        """Wheels of which no other site has the bytes."""
        found = Project(tuple(wheel(name, version, self.name) for version in versions))
        self.index.add(*found.wheels)
        return found

    def stock_image(self, name: str) -> Image:
        """An image with the tags `latest` and `only-<site>`, what refers to it, and `warm`, another image."""
        self.registry.image(name, "warm", seed=f"{self.name} warm")
        image = self.registry.image(name, seed=self.name)
        only = f"only-{self.name}"
        self.registry.tag(name, only, image.digest)
        referrer = self.registry.refer(name, image, f"application/x-{self.name}")
        return Image(image, referrer, frozenset((frozenset(("warm", "latest", only)),)))

    def seen(self, name: str, since: float = 0.0) -> list[Asked]:
        """The requests about a name."""
        return [one for one in list(self.up.log.requests) if one.at >= since and name_of(one.path) == name]

    def by_name(self, since: float = 0.0) -> dict[str, list[Asked]]:
        """All of its requests, for tests with many names."""
        found: dict[str, list[Asked]] = {}
        for one in list(self.up.log.requests):
            if one.at >= since:
                found.setdefault(name_of(one.path), []).append(one)
        return found

    def guard(self, asked: Asked) -> Answer | None:
        """The answer of a fault; None: as if there was none."""
        fault = self.faults.get(name_of(asked.path))
        if fault is None or fault.only not in asked.path:
            return None
        match fault.outcome:
            case "found" | "refused":
                return None
            case "absent":
                return absent()
            case "timeout":
                return Answer(delay=NEVER)
            case "cut":
                return self._cut(asked)
            case "401":
                return Answer(status=401, headers={"www-authenticate": 'Basic realm="site"'})
        return Answer(status=int(fault.outcome))

    def _cut(self, asked: Asked) -> Answer | None:
        if asked.method == "HEAD":
            return Answer(raw=b"HTTP/1.1 200 OK\r\ncontent-le")
        table = _table_of(asked.path.strip("/").split("/"))
        answer: Answer | None = table and self.stores[table.format](asked)
        return None if answer is None else answer.but(cut=5)


def name_of(path: str) -> str:
    """The name that a request tells an upstream, as its format spells it; empty for none."""
    segments = unquote(path).strip("/").split("/")
    table = _table_of(segments)
    return "" if table is None else table.name_of(segments)


def _table_of(segments: list[str]) -> Table | None:
    return BY_ROOT.get(segments[0])


@contextlib.contextmanager
def sites(*names: str) -> Iterator[tuple[Site, ...]]:
    """Started ones."""
    with contextlib.ExitStack() as stack:
        found = []
        for name in names:
            site = Site(name, stack.enter_context(upstream()))
            for store in site.stores.values():
                store.mount(site.up)
            site.up.guard = site.guard
            found.append(site)
        yield tuple(found)


@contextlib.contextmanager
def registry(folder: Path, config: str) -> Iterator[tuple[Server, httpx.Client]]:
    """A server that asks sites, as its configuration says, and a client of it. Of two workers what one of
    them has learnt the other knows."""
    path = folder / "config.toml"
    path.write_text(config)
    env = {"NORA_CONFIG_PATH": str(path), "NORA_PROXY_MODE": "online"}
    with (
        running(folder, workers=2, env=env) as server,
        httpx.Client(base_url=server.url, timeout=30, trust_env=False) as http,
    ):
        yield server, http
