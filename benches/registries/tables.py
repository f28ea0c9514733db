"""The tables of the bench: who is compared by which lines, what they hold, who is behind them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benches.registries import lines, npm, packages, python_rivals, rivals, seed, upstreams
from benches.registries.lines import Line
from benches.registries.rivals import CORES, Registry, Running
from benches.registries.rounds import Fill
from benches.registries.seed import Sizes
from benches.registries.verdaccio import verdaccio
from benches.registries.wire import Wire, WireError
from tests.support.upstream_process import UpstreamProcess

WARM_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Tested:
    """What a table is about once it is open: the registries, and what fills one of them."""

    registries: tuple[Registry, ...]
    fill: Fill


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the report. ``columns`` names the registries that ``open(place, sizes)`` gives.

    NORA's rates are divided by those of ``rivals``.
    """

    name: str
    title: str
    lines: tuple[Line, ...]
    columns: tuple[str, ...]
    rivals: tuple[str, ...]
    open: Callable[[Path, Sizes], AbstractContextManager[Tested]]


@dataclass(frozen=True, slots=True)
class Shown:
    """What was measured of a table."""

    table: Table
    lines: Sequence[Line]
    registries: Sequence[Registry]


@contextmanager
def _registries(place: Path, sizes: Sizes) -> Iterator[Tested]:
    yield Tested(rivals.ALL, lambda server, sizes: seed.fill(server.address, sizes))


@contextmanager
def _packages(place: Path, sizes: Sizes) -> Iterator[Tested]:
    """Caches with an index behind them, which pypiserver has as a folder."""
    files = (*upstreams.many(sizes.project_files), upstreams.heavy(sizes.wheel))
    folder = place / "packages"
    for built in files:
        built.write(folder)
    with upstreams.package_index(*files) as upstream:
        index = f"{upstream.url}/simple"
        settings = {"NORA_PYPI_PROXY": index}

        def fill(server: Running, sizes: Sizes) -> None:
            if server.registry.name == "devpi":
                python_rivals.mirror(server, f"{index}/")
            packages.project_page(server, sizes, 1)
            packages.wheel(server, sizes, 1)

        yield Tested(
            (
                python_rivals.devpi(),
                python_rivals.proxpi(f"{index}/"),
                python_rivals.pypiserver(folder),
                rivals.nora(settings=settings),
                rivals.nora("auto", CORES, settings),
            ),
            fill,
        )


@contextmanager
def _npm(place: Path, sizes: Sizes) -> Iterator[Tested]:
    """Caches of one registry of npm."""
    builds = (*npm.small(), *npm.large(sizes.packument), npm.heavy())
    with upstreams.npm_registry_of(*builds) as upstream:
        url = f"{upstream.url}/reg"
        settings = {"NORA_NPM_PROXY": url, "NORA_NPM_METADATA_TTL": "3600"}

        def fill(server: Running, sizes: Sizes) -> None:
            for line in npm.LINES:
                line.drive(server, sizes, 1)

        yield Tested(
            (verdaccio(url), rivals.nora(settings=settings), rivals.nora("auto", CORES, settings)), fill
        )


@contextmanager
def _pull_through(place: Path, sizes: Sizes) -> Iterator[Tested]:
    """Pull-through caches of one registry."""
    with upstreams.registry(sizes) as upstream:
        settings = {"NORA_DOCKER_UPSTREAMS": upstream.url}

        def fill(server: Running, sizes: Sizes) -> None:
            _pull(server, sizes, upstream)

        yield Tested(
            (
                rivals.docker_registry(upstream.url),
                rivals.distribution(upstream.url),
                rivals.nora(settings=settings),
                rivals.nora("auto", CORES, settings),
            ),
            fill,
        )


def _pull(server: Running, sizes: Sizes, upstream: UpstreamProcess) -> None:
    """Pull everything until no blob is asked of the upstream any more: some store in the background."""
    blobs = (*seed.small_blobs(sizes.small_blobs), *seed.large_blobs(sizes.large_blobs))
    base = f"/v2/{seed.BLOBS}"
    deadline = time.monotonic() + WARM_SECONDS
    with Wire(server.address) as wire:
        wire.ask("GET", f"{base}/manifests/{upstreams.TAG}", seed.ACCEPT).expect(200)
        while time.monotonic() < deadline:
            upstream.clear()
            for one in blobs:
                wire.ask("GET", f"{base}/blobs/{one.digest}", keep=False).expect(200)
            if not any("/blobs/" in asked.path for asked in upstream.requests("GET")):
                return
            time.sleep(0.5)
    raise WireError("the upstream is still asked for blobs")


def _names(registries: Sequence[Registry]) -> tuple[str, ...]:
    return tuple(one.name for one in registries)


TABLES = (
    Table(
        "registries",
        "NORA beside other registries",
        lines.LINES,
        _names(rivals.ALL),
        _names(rivals.RIVALS),
        _registries,
    ),
    Table(
        "pypi",
        "NORA beside caches and servers of Python packages, warm",
        packages.LINES,
        ("devpi", "proxpi", "pypiserver", "nora", "nora-auto"),
        ("devpi", "proxpi"),
        _packages,
    ),
    Table(
        "npm",
        "NORA beside a cache of npm packages, warm",
        npm.LINES,
        ("verdaccio", "nora", "nora-auto"),
        ("verdaccio",),
        _npm,
    ),
    Table(
        "pull-through",
        "NORA beside pull-through caches of images, warm",
        lines.PULL_THROUGH,
        _names(rivals.ALL),
        _names(rivals.RIVALS),
        _pull_through,
    ),
)
