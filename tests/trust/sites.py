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
from typing import Literal
from urllib.parse import unquote, urlsplit

from tests.support.answers import NEVER, Answer, Asked, absent
from tests.support.crate_index import CrateIndex
from tests.support.crates import Built as BuiltCrate
from tests.support.npm_registry import Built as NpmBuilt
from tests.support.npm_registry import NpmRegistry
from tests.support.oci_upstream import Manifest, OCIUpstream
from tests.support.pypi_index import PyPIIndex, normalized
from tests.support.upstream import Upstream, upstream
from tests.support.wheels import Built, Release

Outcome = Literal["found", "absent", "401", "403", "500", "cut", "timeout", "refused"]
FAILURES: tuple[Outcome, ...] = ("401", "403", "500", "cut")
"""Those that cost no time; `refused` is for all names of a site at once: `Upstream.stop`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What a site answers for a name."""

    outcome: Outcome
    only: str = ""
    """A part of the paths that it is for: `/files/`, `/blobs/`. Empty: everything."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a site has under a name of all formats."""

    wheels: tuple[Built, ...] = ()
    packages: tuple[NpmBuilt, ...] = ()
    image: Manifest | None = None
    """With the tag `latest`."""
    referrer: Manifest | None = None
    crates: tuple[BuiltCrate, ...] = ()

    @property
    def hashes(self) -> frozenset[str]:
        return frozenset(one.sha256 for one in self.wheels)

    @property
    def digest(self) -> str:
        return "" if self.image is None else self.image.digest

    @property
    def referrer_digest(self) -> str:
        return "" if self.referrer is None else self.referrer.digest

    @property
    def layer(self) -> str:
        assert self.image is not None
        return str(self.image.document["layers"][0]["digest"])


@dataclass(slots=True)
class Site:
    """An upstream of all formats."""

    name: str
    up: Upstream
    index: PyPIIndex = field(default_factory=PyPIIndex)
    registry: OCIUpstream = field(default_factory=OCIUpstream)
    crates: CrateIndex = field(default_factory=lambda: CrateIndex(prefix="/crates"))
    npm: NpmRegistry = field(default_factory=NpmRegistry)
    faults: dict[str, Fault] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """As messages name it."""
        return str(urlsplit(self.up.url).hostname)

    def stock_project(self, name: str, *versions: str) -> Shown:
        """Wheels of which no other site has the bytes."""
        found = Shown(tuple(wheel(name, version, self.name) for version in versions))
        self.index.add(*found.wheels)
        return found

    def stock_crate(self, name: str, *versions: str) -> Shown:
        """Crates of which no other site has the bytes."""
        found = Shown(crates=tuple(BuiltCrate(name, version, maker=self.name) for version in versions))
        for one in found.crates:
            self.crates.add(name, one.version, body=one.body)
        return found

    def stock_package(self, name: str, *versions: str) -> Shown:
        """Packages of npm of which no other site has the bytes."""
        found = Shown(packages=tuple(package(name, version, self.name) for version in versions))
        self.npm.add(*found.packages)
        return found

    def stock_image(self, name: str) -> Shown:
        """An image with the tags `latest` and `only-<site>`, what refers to it, and `warm`, another image."""
        self.registry.image(name, "warm", seed=f"{self.name} warm")
        image = self.registry.image(name, seed=self.name)
        self.registry.tag(name, f"only-{self.name}", image.digest)
        return Shown(image=image, referrer=self.registry.refer(name, image, f"application/x-{self.name}"))

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
        makers = {"v2": self.registry, "crates": self.crates, "reg": self.npm}
        answer = makers.get(asked.path.split("/")[1], self.index)(asked)
        return None if answer is None else answer.but(cut=5)


def wheel(name: str, version: str, maker: str) -> Built:
    """One whose bytes, and whose metadata, tell who has made it."""
    return Release(project=name, version=version, seed=maker, summary=f"made by {maker}").wheel()


def package(name: str, version: str, maker: str) -> NpmBuilt:
    """One whose bytes, and whose manifest, tell who has made it."""
    return NpmBuilt(name, version, {"description": f"made by {maker}"})


def name_of(path: str) -> str:
    """The name that a request tells an upstream, as its format spells it; empty for none."""
    match unquote(path).strip("/").split("/"):
        case ["simple" | "pypi" | "integrity", name, *_]:
            return normalized(name)
        case ["reg", "-", "npm", "v1", "attestations", spec]:
            return spec.rpartition("@")[0]
        case ["crates", "dl", name, *_] | ["crates", _, _, name] | ["reg", name, *_]:
            return name
        case ["files", _, _, filename]:
            return normalized(filename.partition("-")[0])
        case ["v2", *name, "manifests" | "blobs" | "referrers", _] | ["v2", *name, "tags", "list"]:
            return "/".join(name)
    return ""


@contextlib.contextmanager
def sites(*names: str) -> Iterator[tuple[Site, ...]]:
    """Started ones."""
    with contextlib.ExitStack() as stack:
        found = []
        for name in names:
            site = Site(name, stack.enter_context(upstream()))
            site.index.mount(site.up)
            site.registry.mount(site.up)
            site.crates.mount(site.up)
            site.npm.mount(site.up)
            site.up.guard = site.guard
            found.append(site)
        yield tuple(found)
