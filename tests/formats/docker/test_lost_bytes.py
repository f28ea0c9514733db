"""Bytes that a row says are there, and are not: clients push them again, and then they are."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.support.oci import INDEX, Repository, digest, index
from tests.support.server import Server

Names = Callable[[str], str]


def lose(server: Server, wanted: str) -> None:
    """Remove the object of a digest behind the server's back."""
    _, _, name = wanted.partition(":")
    [found] = (server.storage / "blobs" / "sha256" / name[:2]).glob(f"{name}-*")
    found.unlink()


@pytest.mark.parametrize("size", [100, 200_000])
def test_a_lost_blob_is_pushed_again(nora: Server, http: httpx.Client, repository: Names, size: int) -> None:
    app = Repository(http, repository("app"))
    data = app.name.encode().ljust(size, b".")
    wanted = app.push_blob(data)
    assert app.head_blob(wanted).status_code == 200
    lose(nora, wanted)
    assert app.get_blob(wanted).status_code == 500
    assert app.head_blob(wanted).status_code == 404  # what a client asks before it pushes
    app.push_blob(data)
    assert app.head_blob(wanted).status_code == 200
    assert app.get_blob(wanted).content == data


def test_a_lost_blob_is_not_mounted(nora: Server, http: httpx.Client, repository: Names) -> None:
    app, other = Repository(http, repository("app")), Repository(http, repository("other"))
    data = app.name.encode()
    wanted = app.push_blob(data)
    lose(nora, wanted)
    upload = other.start(f"?mount={wanted}&from={app.name}")  # 202: the client uploads
    assert other.finish(upload, wanted, data).status_code == 201
    assert app.get_blob(wanted).content == other.get_blob(wanted).content == data


def test_a_lost_manifest_is_pushed_again(nora: Server, http: httpx.Client, repository: Names) -> None:
    app = Repository(http, repository("app"))
    manifest = index([], annotations={"of": app.name})
    wanted = digest(manifest)
    assert app.put_manifest("one", manifest, INDEX).status_code == 201
    lose(nora, wanted)
    assert app.get_manifest("one").status_code == 500
    assert app.put_manifest("two", manifest, INDEX).status_code == 201
    for reference in ("one", "two", wanted):
        assert app.get_manifest(reference).content == manifest
