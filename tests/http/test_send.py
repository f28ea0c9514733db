"""The way out for bytes, through a real server."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from blacksheep import Request

from nora.catalog.records import Blob
from nora.errors import StorageBusy
from nora.http.memory import MemoryCache
from nora.http.send import SMALL, blob_response, stat_to_send
from nora.model import Digest
from nora.processes import DescriptorBudget
from tests.http.wire import connect
from tests.support.server import Server
from tests.support.waiting import wait_until

SIZES = [0, 1, 1000, SMALL, SMALL + 1, 3_000_000]


@pytest.fixture(scope="module")
def stored(toy: Server) -> dict[int, tuple[str, bytes]]:
    """Blobs by size: path and bytes."""
    blobs: dict[int, tuple[str, bytes]] = {}
    for size in SIZES:
        data = os.urandom(size)
        answer = httpx.put(f"{toy.url}/toy/blob", content=data, trust_env=False)
        assert answer.status_code == 201
        blobs[size] = (answer.headers["location"], data)
    return blobs


@pytest.mark.parametrize("size", SIZES)
def test_get_and_head(client: httpx.Client, stored: dict[int, tuple[str, bytes]], size: int) -> None:
    path, data = stored[size]
    for _ in range(2):  # from the store, and from memory
        got = client.get(path)
        assert (got.status_code, got.content) == (200, data)
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    same = {"content-length", "content-type", "etag", "accept-ranges", "x-toy"}
    assert {name: head.headers[name] for name in same} == {name: got.headers[name] for name in same}
    assert got.headers["content-length"] == str(size)
    assert "content-encoding" not in got.headers


@pytest.mark.parametrize("size", [1000, 3_000_000])
@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19), ("bytes=990-", 990, None), ("bytes=-5", -5, None),
     ("bytes=0-99999999", 0, None)],
)  # fmt: skip
def test_one_range(
    client: httpx.Client,
    stored: dict[int, tuple[str, bytes]],
    size: int,
    wanted: str,
    first: int,
    last: int | None,
) -> None:
    path, data = stored[size]
    start = first % size
    stop = size if last is None else last + 1
    got = client.get(path, headers={"Range": wanted})
    assert got.status_code == 206
    assert got.content == data[start:stop]
    assert got.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
    assert got.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("wanted", ["bytes=5000000-", "bytes=-0"])
def test_a_range_outside_is_416(
    client: httpx.Client, stored: dict[int, tuple[str, bytes]], wanted: str
) -> None:
    path, _ = stored[3_000_000]
    got = client.get(path, headers={"Range": wanted})
    assert (got.status_code, got.headers["content-range"]) == (416, "bytes */3000000")


@pytest.mark.parametrize("wanted", ["bytes=0-1,3-4", "lines=1-2", "bytes=a-b"])
def test_a_range_that_is_not_understood_is_ignored(
    client: httpx.Client, stored: dict[int, tuple[str, bytes]], wanted: str
) -> None:
    path, data = stored[1000]
    got = client.get(path, headers={"Range": wanted})
    assert (got.status_code, got.content) == (200, data)


def test_head_ignores_range(client: httpx.Client, stored: dict[int, tuple[str, bytes]]) -> None:
    head = client.head(stored[1000][0], headers={"Range": "bytes=0-1"})
    assert (head.status_code, head.headers["content-length"]) == (200, "1000")


@pytest.mark.parametrize("size", [1000, 3_000_000])
def test_conditions(client: httpx.Client, stored: dict[int, tuple[str, bytes]], size: int) -> None:
    path, data = stored[size]
    etag = client.head(path).headers["etag"]
    for tags in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        for method in ("GET", "HEAD"):
            got = client.request(method, path, headers={"If-None-Match": tags})
            assert (got.status_code, got.content) == (304, b"")
            assert got.headers["etag"] == etag
    assert client.get(path, headers={"If-None-Match": '"other"'}).content == data
    part = client.get(path, headers={"Range": "bytes=0-1", "If-Range": etag})
    assert part.status_code == 206
    for other in ('"other"', f"W/{etag}", "Tue, 24 Nov 2026 07:45:13 GMT"):
        assert client.get(path, headers={"Range": "bytes=0-1", "If-Range": other}).status_code == 200


def test_lost_bytes_are_a_500_and_never_a_404(toy: Server, client: httpx.Client) -> None:
    for size in (2000, 2_000_000):
        path = client.put("/toy/blob", content=os.urandom(size)).headers["location"]
        digest = path.split("/")[3].removeprefix("sha256:")
        (file,) = toy.storage.rglob(f"{digest}*")
        whole = file.read_bytes()
        file.write_bytes(whole[:-1])
        assert client.get(path).status_code == 500
        file.unlink()
        assert client.get(path).status_code == 500
        assert client.get(path, headers={"Range": "bytes=5-9"}).status_code == 500


def test_a_file_is_not_promised_when_the_server_could_not_open_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The server answers 404 where it cannot open a file that it was told to send."""
    path = tmp_path / "file"
    path.write_bytes(bytes(5))
    assert stat_to_send(str(path)).st_size == 5
    monkeypatch.setattr("nora.http.send.descriptor_budget", lambda: DescriptorBudget(3))
    with pytest.raises(StorageBusy):
        stat_to_send(str(path))

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageBusy):
        stat_to_send(str(path))


def test_a_client_that_leaves_stops_the_producer(toy: Server, client: httpx.Client) -> None:
    with connect(toy) as connection:
        connection.sendall(b"GET /toy/endless HTTP/1.1\r\nhost: localhost\r\n\r\n")
        connection.recv(2048)
        assert client.get("/toy/seen").json()["endless"] == "running"
    wait_until(lambda: client.get("/toy/seen").json()["endless"] == "stopped", "the endless answer to stop")


def test_a_client_that_leaves_a_large_file_harms_nobody(
    toy: Server, client: httpx.Client, stored: dict[int, tuple[str, bytes]]
) -> None:
    path, data = stored[3_000_000]
    for _ in range(5):
        with connect(toy) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            connection.recv(2048)
    assert client.get(path).content == data


@pytest.mark.parametrize(
    ("method", "size", "headers", "status"),
    [
        ("GET", SMALL + 1, [], 307),
        ("GET", SMALL + 1, [(b"range", b"bytes=0-1")], 307),
        ("GET", SMALL + 1, [(b"if-none-match", b'"e"')], 304),
        ("HEAD", SMALL + 1, [], 200),
        ("GET", SMALL, [], 200),
    ],
)
def test_a_large_blob_is_had_from_the_store_that_sends_it(
    method: str, size: int, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    async def read(_: Blob) -> bytes:
        return bytes(size)

    store: Any = SimpleNamespace(
        verifies=False,
        redirect_url=lambda blob, media_type: f"https://bucket/{blob.size}?type={media_type.decode()}",
        read=read,
    )
    request = Request(method, b"/", None)
    request.scope = {"method": method, "headers": headers, "extensions": {}}  # type: ignore[assignment]
    blob = Blob(1, Digest("sha256:" + "0" * 64), size, 1)
    got = asyncio.run(
        blob_response(
            request, store, MemoryCache(1 << 20), blob, media_type=b"text/plain", headers=(), etag=b'"e"'
        )
    )
    assert got.status == status
    location = got.headers.get_first(b"location")
    assert location == (f"https://bucket/{size}?type=text/plain".encode() if status == 307 else None)
