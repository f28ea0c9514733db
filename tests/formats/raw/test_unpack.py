"""Archives that are taken apart."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from nora.auth.scopes import parse_scope
from nora.auth.tokens import Tokens
from nora.commands import open_catalog
from nora.formats import load_config
from tests.support.answers import Answer
from tests.support.in_process import application
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio
FILES = {"index.html": b"<p>", "css/a b.css": b"p {}", "img/x.png": b"\x89PNG" * 100_000, "empty": b""}


def packed_zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("css/", b"")
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def packed_tar(files: Mapping[str, bytes], mode: str, *others: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for folder in (".", "./css"):
            member = tarfile.TarInfo(folder)
            member.type = tarfile.DIRTYPE
            archive.addfile(member)
        for name, data in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in others:
            archive.addfile(member)
    return buffer.getvalue()


def stored(folder: Path) -> int:
    """How many files hold bytes of others."""
    names = ("blobs", "tmp", "uploads")
    return sum(path.is_file() for name in names for path in (folder / "storage" / name).rglob("*"))


async def names(http: httpx.AsyncClient, directory: str) -> list[str]:
    answer = await http.get(f"/raw/{directory}?list")
    return [one["name"] for one in answer.json()["entries"]] if answer.is_success else []


async def test_every_file_of_an_archive_is_kept(http: httpx.AsyncClient, tmp_path: Path) -> None:
    for number, body in enumerate(
        (packed_zip(FILES), packed_tar(FILES, "w:gz"), packed_tar(FILES, "w"), packed_tar(FILES, "w:gz"))
    ):
        directory = f"site/{number % 3}/"
        answer = await http.put(f"/raw/{directory}?unpack", content=body)
        assert (answer.status_code, answer.json()) == (201, {"path": directory, "files": len(FILES)})
        for name, data in FILES.items():
            assert (await http.get(f"/raw/{directory}{name}")).content == data
        assert (await http.get(f"/raw/{directory}index.html")).headers["content-type"] == "text/html"
        assert await names(http, directory) == ["css/", "empty", "img/", "index.html"]
    assert stored(tmp_path) == len(set(FILES.values()))


async def test_an_archive_is_taken_as_a_whole_or_not_at_all(http: httpx.AsyncClient, tmp_path: Path) -> None:
    await http.put("/raw/whole/img/x.png", content=b"another one")
    link, device = tarfile.TarInfo("link"), tarfile.TarInfo("device")
    link.type, link.linkname, device.type = tarfile.SYMTYPE, "empty", tarfile.CHRTYPE
    whole = packed_tar(FILES, "w:gz")
    for body, status in (
        (packed_zip(FILES), 409),
        (whole, 409),
        (whole[:-20], 400),
        (packed_zip(FILES)[:-20], 400),
        (packed_tar(FILES, "w")[:3000], 400),
        (packed_tar({}, "w:gz", link), 400),
        (packed_tar({}, "w:gz", device), 400),
        (packed_tar({"a": b"1", "./a": b"2"}, "w:gz"), 400),
        (packed_tar({"caf\u00e9": b"1", "cafe\u0301": b"2"}, "w:gz"), 400),
        (packed_tar({"../../a": b"1"}, "w:gz"), 400),
        (packed_zip({"x": b"", "../a": b"1"}), 400),
        (packed_zip({"x": b"", "/a": b"1"}), 400),
        (packed_zip({"x": b"", "y" * 300: b"1"}), 400),
        (packed_zip({"x": b"", "bomb": bytes(66 << 20)}), 400),
        (b"no archive", 400),
        (b"", 400),
    ):
        answer = await http.put("/raw/whole/?unpack", content=body)
        assert answer.status_code == status, (body[:40], answer.text)
        assert stored(tmp_path) == 1, (body[:40], answer.text)
    assert await names(http, "whole/") == ["img/"]


async def test_files_of_an_archive_replace_others_where_that_is_allowed(http: httpx.AsyncClient) -> None:
    for files in (FILES, {**FILES, "index.html": b"<b>"}):
        answer = await http.put("/r/scratch/raw/site/?unpack", content=packed_zip(files))
        assert answer.status_code == 201
        assert (await http.get("/r/scratch/raw/site/index.html")).content == files["index.html"]


async def test_what_is_no_request_for_it(http: httpx.AsyncClient) -> None:
    body = packed_zip(FILES)
    for path, headers, status in (
        ("/raw/site/", {}, 400),
        ("/raw/site/?unpack", {"if-none-match": "*"}, 400),
        ("/raw/site/?unpack", {"x-checksum-sha256": "0" * 64}, 400),
        ("/raw/?unpack", {}, 405),
    ):
        assert (await http.put(path, content=body, headers=headers)).status_code == status, (path, headers)
    for path in ("/raw/site?unpack", "/raw/site/site.zip?unpack"):  # curl adds the name of the file it sends
        answer = await http.put(path, content=body)
        assert (answer.status_code, "ends in a slash" in answer.text) == (400, True), path
    assert await names(http, "site/") == []


async def test_each_file_is_one_that_may_be_put(tmp_path: Path) -> None:
    env = {"NORA_STORAGE_PATH": str(tmp_path / "storage"), "NORA_AUTH_ENABLED": "true"}
    async with application(tmp_path, **env) as http:
        async with open_catalog(load_config(env, tmp_path)) as catalog:
            scopes = (parse_scope("raw:site/*:read,write"),)
            secret, _ = await Tokens(catalog).create("ci", "write", scopes=scopes)
        headers = {"authorization": f"Bearer {secret}"}
        for files, status in (({"a": b"1"}, 201), ({"b": b"1", "sub/c": b"2"}, 403)):
            answer = await http.put("/raw/site/?unpack", content=packed_zip(files), headers=headers)
            assert answer.status_code == status
        assert (await http.get("/raw/site/b", headers=headers)).status_code == 404


async def test_a_name_of_no_file_is_refused(http: httpx.AsyncClient) -> None:
    for name in (".", "./.", "a/.."):
        body = packed_zip({name: b"x"})
        answer = await http.put("/raw/site/?unpack", content=body)
        assert answer.status_code == 400, (name, answer.text)
    assert await names(http, "site/") == []


async def test_an_archive_that_is_not_taken_makes_no_name_ours(tmp_path: Path, upstream: Upstream) -> None:
    upstream.serve("/d/b", Answer(body=b"theirs"))
    async with application(tmp_path, NORA_RAW_UPSTREAMS=upstream.url) as http:
        assert (await http.put("/raw/d/a", content=b"ours")).status_code == 201
        for last, status in ((b"another", 409), (b"ours", 201)):
            answer = await http.put("/raw/d/?unpack", content=packed_zip({"b": b"b", "a": last}))
            assert answer.status_code == status, answer.text
            assert (await http.get("/raw/d/b")).content == (b"theirs" if status == 409 else b"b")
        assert (await http.delete("/raw/d/b")).status_code == 204
        assert (await http.get("/raw/d/b")).status_code == 404
