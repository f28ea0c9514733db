"""The lines of the caches of npm packages: a small packument, a large one, and a tarball, all warm."""

from __future__ import annotations

import functools
import zlib
from urllib.parse import urlsplit

import orjson

from benches.registries import generators, seed
from benches.registries.generators import Fetch, Load, LoadFailed
from benches.registries.lines import LARGE_READERS, Line
from benches.registries.rivals import Running
from benches.registries.seed import KIB, Sizes
from benches.registries.wire import Answer, Wire
from tests.support.npm_registry import Built

# As npm asks when it installs.
HEADERS = (
    "Accept: application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*\r\n"
    "Accept-Encoding: gzip,deflate\r\n"
)
FILE_HEADERS = "Accept: */*\r\nAccept-Encoding: gzip,deflate\r\n"
READERS = 16
SMALL = "small-packument"
LARGE = "large-packument"
HEAVY = "tarball"
SMALL_VERSIONS = 117
TARBALL = 60 * KIB
LARGE_BYTES_A_SECOND = 2e6
"""verdaccio makes one or two documents of 10 MB a second: also to warm up takes longer than one."""
# About as much of a manifest is for those who install as with packages in the field.
FIELDS = {
    "dependencies": {f"dependency-{number}": f"^{number}.2.3" for number in range(10)},
    "bin": {"program": "bin/program.js"},
    "engines": {"node": ">=18"},
    "description": "A package of the bench.",
    "devDependencies": {f"tool-{number}": f"^{number}.2.3" for number in range(25)},
    "scripts": {f"task-{number}": f"node tasks/task-{number}.js --all" for number in range(15)},
    "maintainers": [{"name": f"somebody-{number}", "email": f"{number}@example.org"} for number in range(5)],
}


def small() -> tuple[Built, ...]:
    """The versions of a package as it is often met."""
    return tuple(Built(SMALL, f"1.{number}.0", FIELDS) for number in range(SMALL_VERSIONS))


@functools.cache
def large(size: int) -> tuple[Built, ...]:
    """The versions of a package whose full packument has about ``size`` bytes."""
    one = Built(LARGE, "1.1000.0", FIELDS)
    count = size // (len(orjson.dumps({**one.manifest, "dist": one.dist})) + 150)
    return tuple(Built(LARGE, f"1.{number}.0", FIELDS) for number in range(count))


@functools.cache
def heavy() -> Built:
    """A package whose tarball has 60 KiB, and a few bytes more."""
    return Built(HEAVY, files={"data.bin": bytes(seed.blob(TARBALL, HEAVY).data)})


def small_packument(server: Running, sizes: Sizes, seconds: float) -> Load:
    """GET of the abbreviated packument of a package of some versions."""
    return _packument(server, SMALL, SMALL_VERSIONS, READERS, seconds)


def large_packument(server: Running, sizes: Sizes, seconds: float) -> Load:
    """GET of the abbreviated packument of a package of very many versions."""
    seconds = max(seconds, sizes.packument / LARGE_BYTES_A_SECOND)
    return _packument(server, LARGE, len(large(sizes.packument)), LARGE_READERS, seconds)


def tarball(server: Running, sizes: Sizes, seconds: float) -> Load:
    """GET of a tarball, where the packument says that it is."""
    built = heavy()
    with Wire(server.address) as wire:
        listed = document(wire.ask("GET", path_of(server, HEAVY), HEADERS).expect(200))
        url = urlsplit(listed["versions"][built.version]["dist"]["tarball"])
        if url.port != server.address[1]:
            raise LoadFailed(f"the packument leads to {url.netloc}")
        answer = wire.ask("GET", url.path, FILE_HEADERS).expect(200)
    if decoded(answer) != built.body:  # verdaccio compresses it once more
        raise LoadFailed(f"{url.path}: other bytes")
    fetch = Fetch([url.path], answer.size, FILE_HEADERS, connections=READERS, verify=False)
    return generators.wrk(server.url, fetch, seconds)


def path_of(server: Running, name: str) -> str:
    """Where a server has the packument of a package."""
    return f"/{name}" if server.registry.name == "verdaccio" else f"/npm/{name}"


def document(answer: Answer) -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    """A packument."""
    found: dict[str, dict[str, dict[str, dict[str, str]]]] = orjson.loads(decoded(answer))
    return found


def decoded(answer: Answer) -> bytes:
    """The body without its compression."""
    if answer.headers.get("content-encoding") == "gzip":
        return zlib.decompress(answer.body, 16 + zlib.MAX_WBITS)
    return answer.body


def _packument(server: Running, name: str, versions: int, connections: int, seconds: float) -> Load:
    path = path_of(server, name)
    with Wire(server.address) as wire:
        answer = wire.ask("GET", path, HEADERS).expect(200)
    found = document(answer)
    if len(found["versions"]) != versions or "readme" in found:
        raise LoadFailed(f"{path}: {len(found['versions'])} versions of {versions}, {sorted(found)}")
    fetch = Fetch([path], answer.size, HEADERS, connections=connections, verify=False)
    return generators.wrk(server.url, fetch, seconds)


LINES = (
    Line("npm-packument", "Packument of 117 versions, GET", small_packument),
    Line("npm-large", "Packument of 10 MB, GET", large_packument),
    Line("npm-tarball", "Tarball of 60 KiB, GET", tarball),
)
