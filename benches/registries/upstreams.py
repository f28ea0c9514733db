"""What is behind the caches under test: a package index and a registry, in a process of their own."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from benches.registries import seed
from benches.registries.seed import Sizes
from tests.support import npm_registry
from tests.support.answers import document
from tests.support.npm_registry import NpmRegistry
from tests.support.oci_upstream import OCIUpstream
from tests.support.pypi_index import JSON, PyPIIndex
from tests.support.upstream_process import UpstreamProcess, upstream_process
from tests.support.wheels import Built, Release

MANY = "many-files"
HEAVY = "heavy"
SET = "set-of"
"""The first project of the set that is installed; it requires all the others."""
TAG = "all"


@functools.cache
def many(count: int) -> tuple[Built, ...]:
    """A project with so many small wheels."""
    return tuple(
        Release(project=MANY, version=f"1.{number}", requires_python=">=3.9").wheel()
        for number in range(count)
    )


@functools.cache
def heavy(size: int) -> Built:
    """A wheel of so many bytes, and a few more."""
    return Release(project=HEAVY, padding=size).wheel()


@functools.cache
def requirements(count: int) -> tuple[Built, ...]:
    """A set of small wheels; installing the first one installs them all."""
    names = [f"{SET}-{number}" for number in range(1, count)]
    first = Release(project=SET, requires=names)
    return tuple(one.wheel() for one in (first, *(Release(project=name, padding=8192) for name in names)))


def index_of(*files: Built) -> PyPIIndex:
    """An index that lists these as PyPI does."""
    index = PyPIIndex()
    index.add(*files)
    return index


@contextmanager
def package_index(*files: Built) -> Iterator[UpstreamProcess]:
    """A running index; its pages are made before and not for each request."""
    index = index_of(*files)
    with upstream_process() as upstream:
        for prefix in ("/simple/", "/files/"):
            upstream.mount(prefix, index)
        host = upstream.url.removeprefix("http://")
        for name in index.projects:
            upstream.serve(f"/simple/{name}/", index.page(name, JSON, host))
        yield upstream


@contextmanager
def npm_registry_of(*builds: npm_registry.Built) -> Iterator[UpstreamProcess]:
    """A running registry of npm at `/reg`; its packuments are made before and not for each request."""
    registry = NpmRegistry()
    registry.add(*builds)
    with upstream_process() as upstream:
        registry.url = f"{upstream.url}/reg"
        upstream.mount(npm_registry.PREFIX, registry)
        for name in registry.packages:
            body = orjson.dumps(registry.packument(name))
            upstream.serve(f"/reg/{name}", document(body, "application/json"))
        yield upstream


@contextmanager
def registry(sizes: Sizes) -> Iterator[UpstreamProcess]:
    """A running registry with the blobs of the bench, and a manifest that refers to all of them."""
    hub = OCIUpstream()
    blobs = [*seed.small_blobs(sizes.small_blobs), *seed.large_blobs(sizes.large_blobs)]
    config = seed.blob(seed.CONFIG_SIZE, "all")
    for one in (config, *blobs):
        hub.blobs[one.digest] = bytes(one.data)
    hub.put(seed.BLOBS, TAG, bytes(seed.image(config, blobs).manifest.data), seed.IMAGE)
    with upstream_process() as upstream:
        upstream.mount("/v2/", hub)
        yield upstream


def page_of(size: int, files_url: str) -> bytes:
    """A project page of about ``size`` bytes, its files below ``files_url``."""
    count = size // len(orjson.dumps(_listed(1000, files_url)))
    files = [_listed(number, files_url) for number in range(count)]
    return orjson.dumps({"meta": {"api-version": "1.4"}, "name": MANY, "files": files})


def _listed(number: int, files_url: str) -> dict[str, object]:
    filename = f"{MANY.replace('-', '_')}-1.{number}-py3-none-any.whl"
    return {
        "filename": filename,
        "url": f"{files_url}/{_digest(number)[:8]}/{filename}",
        "hashes": {"sha256": _digest("file", number)},
        "requires-python": ">=3.9",
        "yanked": False,
        "core-metadata": {"sha256": _digest("metadata", number)},
        "size": 1000 + number,
        "upload-time": "2024-01-02T03:04:05.678901Z",
    }


def _digest(*key: object) -> str:
    return hashlib.sha256(repr(key).encode()).hexdigest()
