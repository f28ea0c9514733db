"""Uploads in parts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.in_process import application

pytestmark = pytest.mark.anyio
DATA = os.urandom(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


async def opened(http: httpx.AsyncClient, path: str, prefix: str = "") -> str:
    answer = await http.post(f"{prefix}/raw/{path}")
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "0"), answer.text
    return answer.headers["location"]


def part(first: int, end: int, total: int | str = len(DATA)) -> dict[str, str]:
    return {"content-range": f"bytes {first}-{end - 1}/{total}"}


async def test_a_file_comes_in_parts(http: httpx.AsyncClient) -> None:
    for prefix in ("", "/r/scratch"):
        upload = await opened(http, "big file.iso", prefix)
        for first, end, total in ((0, 1, len(DATA)), (1, 100_000, "*"), (100_000, 250_000, len(DATA))):
            answer = await http.put(upload, content=DATA[first:end], headers=part(first, end, total))
            assert (answer.status_code, answer.headers["upload-offset"]) == (202, str(end))
        head = await http.head(upload)
        assert (head.status_code, head.headers["upload-offset"]) == (204, "250000")
        assert (await http.get(f"{prefix}/raw/big file.iso")).status_code == 404
        headers = {**part(250_000, len(DATA)), "x-checksum-sha256": SHA256}
        done = await http.put(upload, content=DATA[250_000:], headers=headers)
        assert (done.status_code, done.headers["etag"]) == (201, f'"{SHA256}"')
        got = await http.get(done.headers["location"])
        assert (got.content, got.headers["content-type"]) == (DATA, "application/octet-stream")
        assert (await http.head(upload)).status_code == 404


async def test_a_session_takes_the_whole_file_at_once(http: httpx.AsyncClient) -> None:
    for data in (DATA, b"small", b""):
        path = f"whole/{len(data)}"
        answer = await http.put(await opened(http, path), content=data)
        assert answer.status_code == 201, answer.text
        assert (await http.get(f"/raw/{path}")).content == data


async def test_what_came_before_a_client_left_is_kept(http: httpx.AsyncClient) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield DATA[:150_000]

    upload = await opened(http, "cut")
    cut = await http.put(upload, content=half(), headers={"content-length": str(len(DATA))})
    assert cut.status_code == 499
    offset = int((await http.head(upload)).headers["upload-offset"])
    assert offset == 150_000
    again = await http.put(upload, content=DATA)
    assert (again.status_code, "stands at 150000" in again.text) == (416, True)
    done = await http.put(upload, content=DATA[offset:], headers=part(offset, len(DATA)))
    assert done.status_code == 201
    assert (await http.get("/raw/cut")).content == DATA


async def test_the_last_part_is_a_put_of_the_file(http: httpx.AsyncClient) -> None:
    await http.put("/raw/there", content=b"there")
    etag = (await http.head("/raw/there")).headers["etag"]
    for headers, status in (
        ({}, 409),
        ({"if-none-match": "*"}, 412),
        ({"x-checksum-sha256": "0" * 64, "if-match": etag}, 400),
        ({"content-encoding": "gzip"}, 415),
        ({"if-match": etag, "x-checksum-sha1": hashlib.sha1(DATA, usedforsecurity=False).hexdigest()}, 200),
    ):
        answer = await http.put(await opened(http, "there"), content=DATA, headers=headers)
        assert answer.status_code == status, headers
    assert (await http.get("/raw/there")).content == DATA
    assert (await http.post("/raw/there", headers={"if-none-match": "*"})).status_code == 412


async def test_a_form_is_no_file(http: httpx.AsyncClient) -> None:
    """`curl -F` and `curl -d` would believe that what they sent is kept."""
    for answer in (
        await http.post("/raw/form", files={"file": b"x"}),
        await http.post("/raw/form", content=b"x"),
    ):
        assert (answer.status_code, "PUT" in answer.text) == (400, True)


async def test_what_is_no_part_is_refused(http: httpx.AsyncClient) -> None:
    upload = await opened(http, "parts")
    for content, headers, status in (
        (b"x", {"content-range": "bytes x"}, 400),
        (b"x", {"content-range": "bytes 1-0/2"}, 400),
        (b"x", {"content-range": "bytes 0-5/3"}, 400),
        (b"x", {"content-range": "bytes 7-7/9"}, 416),
        (b"xy", {"content-range": "bytes 0-0/9"}, 400),
        (b"x", {"content-range": "bytes 0-1/9"}, 400),
    ):
        assert (await http.put(upload, content=content, headers=headers)).status_code == status, headers
    assert (await http.head(upload)).headers["upload-offset"] == "0"
    assert (await http.head(upload.replace("parts", "other"))).status_code == 404
    assert (await http.head("/raw/-/uploads/x/parts")).status_code == 404
    assert (await http.delete(upload)).status_code == 204
    for request in (http.head, http.delete):
        assert (await request(upload)).status_code == 404
    assert (await http.get("/raw/?list")).json()["entries"] == []


async def test_a_file_in_parts_has_the_limit_of_a_file(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_RAW_MAX_FILE_SIZE="1000") as http:
        upload = await opened(http, "large")
        assert (await http.put(upload, content=b"x", headers=part(0, 1, 1001))).status_code == 413
        assert (await http.put(upload, content=bytes(900), headers=part(0, 900, "*"))).status_code == 202
        assert (await http.put(upload, content=bytes(101), headers=part(900, 1001, "*"))).status_code == 413
        assert (await http.put(upload, content=bytes(100), headers=part(900, 1000, 1000))).status_code == 201
