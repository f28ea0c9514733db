"""The lines of the table: what is asked of every registry, and how the answer is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from benches.registries import generators, seed
from benches.registries.generators import Fetch, Load, LoadFailed
from benches.registries.rivals import Running
from benches.registries.seed import ACCEPT, Blob, Sizes
from benches.registries.wire import Wire

PUSHERS = 8
LARGE_PUSHERS = 2
LARGE_READERS = 4
PAGE = 100

Drive = Callable[[Running, Sizes, float], Load]


@dataclass(frozen=True, slots=True)
class Line:
    """One line: ``drive(server, sizes, seconds)`` puts the load on a running, filled registry."""

    name: str
    title: str
    drive: Drive
    per: str = "s"
    writes: bool = False


def manifest_by_tag(server: Running, sizes: Sizes, seconds: float) -> Load:
    """GET of one manifest by its tag."""
    return _manifest(server, "v0", seconds)


def manifest_by_digest(server: Running, sizes: Sizes, seconds: float) -> Load:
    """GET of one manifest by its digest."""
    return _manifest(server, seed.app(0).manifest.digest, seconds)


def head_manifest(server: Running, sizes: Sizes, seconds: float) -> Load:
    """HEAD of one manifest by its tag."""
    return _head(server, f"/v2/{seed.APPS}/manifests/v0", seed.app(0).manifest, seconds)


def head_blob(server: Running, sizes: Sizes, seconds: float) -> Load:
    """HEAD of one blob."""
    content = seed.small_blobs(sizes.small_blobs)[0]
    return _head(server, f"/v2/{seed.BLOBS}/blobs/{content.digest}", content, seconds)


def small_blob(server: Running, sizes: Sizes, seconds: float) -> Load:
    """GET of 1 KiB blobs, spread over all of them."""
    blobs = seed.small_blobs(sizes.small_blobs)
    paths = [f"/v2/{seed.BLOBS}/blobs/{content.digest}" for content in blobs]
    _same_bytes(server, paths[0], blobs[0])
    return generators.wrk(server.url, Fetch(paths, seed.SMALL), seconds)


def large_blob(server: Running, sizes: Sizes, seconds: float) -> Load:
    """GET of 16 MiB blobs."""
    blobs = seed.large_blobs(sizes.large_blobs)
    paths = [f"/v2/{seed.BLOBS}/blobs/{content.digest}" for content in blobs]
    for path, content in zip(paths, blobs, strict=True):
        _same_bytes(server, path, content)
    fetch = Fetch(paths, seed.LARGE, connections=LARGE_READERS, verify=False)
    return generators.wrk(server.url, fetch, seconds)


def small_push(server: Running, sizes: Sizes, seconds: float) -> Load:
    """POST and PUT of new 1 KiB blobs."""
    return generators.clients(server.address, [{"kind": "small"}] * PUSHERS, seconds)


def large_push(server: Running, sizes: Sizes, seconds: float) -> Load:
    """POST, PATCH as a stream and PUT of new 16 MiB blobs."""
    return generators.clients(server.address, [{"kind": "large"}] * LARGE_PUSHERS, seconds)


def tag_pages(server: Running, sizes: Sizes, seconds: float) -> Load:
    """Pages of 100 tags after changing cursors."""
    base = f"/v2/{seed.TAGS}/tags/list?n={PAGE}&last="
    step = max(1, (sizes.tags - PAGE) // 97)
    cursors = range(0, sizes.tags - PAGE - 1, step)
    paths = [base + seed.tag(cursor) for cursor in cursors]
    lengths = set()
    with Wire(server.address) as wire:
        for path, cursor in ((paths[0], cursors[0]), (paths[-1], cursors[-1])):
            answer = wire.ask("GET", path).expect(200)
            pages = server.registry.pages_tags
            expected = range(cursor + 1, cursor + 1 + PAGE) if pages else range(sizes.tags)
            tags = orjson.loads(answer.body)["tags"]
            # Debian's lists a directory: its order is nobody's promise.
            if (tags if pages else sorted(tags)) != [seed.tag(n) for n in expected]:
                raise LoadFailed(f"{path}: {len(tags)} tags, from {tags[:1]} to {tags[-1:]}")
            lengths.add(answer.size)
    if len(lengths) != 1:
        raise LoadFailed(f"pages of equal tags differ in length: {lengths}")
    return generators.wrk(server.url, Fetch(paths, lengths.pop()), seconds)


def ci_replay(server: Running, sizes: Sizes, seconds: float) -> Load:
    """Concurrent CI jobs, three pulls for each push, a connection for each request."""
    orders: list[dict[str, object]] = [
        {"kind": "jobs", "number": number, "images": sizes.images} for number in range(sizes.jobs)
    ]
    return generators.clients(server.address, orders, seconds)


LINES = (
    Line("manifest-tag", "Manifest by tag, GET", manifest_by_tag),
    Line("manifest-digest", "Manifest by digest, GET", manifest_by_digest),
    Line("manifest-head", "Manifest by tag, HEAD", head_manifest),
    Line("blob-head", "Blob, HEAD", head_blob),
    Line("blob-1k", "Blob of 1 KiB, GET", small_blob),
    Line("blob-16m", "Blob of 16 MiB, GET", large_blob),
    Line("push-1k", "Push of 1 KiB blobs", small_push, writes=True),
    Line("push-16m", "Push of 16 MiB blobs", large_push, writes=True),
    Line("tags-100", "100 of 10,000 tags", tag_pages),
    Line("ci", "CI replay, 16 jobs", ci_replay, per="min", writes=True),
)
PULL_THROUGH = (
    Line("cached-1k", "Cached blob of 1 KiB, GET", small_blob),
    Line("cached-16m", "Cached blob of 16 MiB, GET", large_blob),
)


def _manifest(server: Running, reference: str, seconds: float) -> Load:
    manifest = seed.app(0).manifest
    path = f"/v2/{seed.APPS}/manifests/{reference}"
    _same_bytes(server, path, manifest, ACCEPT)
    return generators.wrk(server.url, Fetch([path], len(manifest.data), ACCEPT), seconds)


def _head(server: Running, path: str, content: Blob, seconds: float) -> Load:
    """ab sees no length in HEAD: it is asked for before and after."""
    with Wire(server.address) as wire:
        for turn in range(2):
            answer = wire.ask("HEAD", path, ACCEPT).expect(200)
            if answer.headers.get("content-length") != str(len(content.data)):
                raise LoadFailed(f"HEAD {path}: length {answer.headers.get('content-length')}")
            if answer.headers.get("docker-content-digest") != content.digest:
                raise LoadFailed(f"HEAD {path}: digest {answer.headers.get('docker-content-digest')}")
            if turn == 0:
                load = generators.ab(server.url, path, ACCEPT, seconds)
    return load


def _same_bytes(server: Running, path: str, content: Blob, headers: str = "") -> None:
    with Wire(server.address) as wire:
        answer = wire.ask("GET", path, headers, keep=False, digest=True).expect(200)
    if f"sha256:{answer.sha256}" != content.digest:
        raise LoadFailed(f"{path}: {answer.size} bytes, not the ones that were pushed")
