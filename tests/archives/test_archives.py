"""Archives of any format, read with limits. Those of PyPI are in tests/formats/pypi/test_metadata.py."""

from __future__ import annotations

import gzip
import io
import posixpath
import tarfile
import zipfile
from pathlib import Path

import pytest

from nora.archives import Limits, check_path, tars
from nora.archives.tars import open_tar
from nora.archives.zips import open_zip, read_member
from nora.errors import InvalidPackageFile, StorageFailed
from tests.support.tables import each

LIMITS = Limits(bomb_floor=100_000, members=10, remembered=20)
DANGEROUS = ("/etc/x", "../x", "a/../x", "a\\x", "c:x", "a\nb", "a" * 5000, "a/" * 300)


def zipped(**files: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", **headers: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.pax_headers = kind, target, headers
    return info


def read_zip(path: Path, body: bytes) -> list[str]:
    path.write_bytes(body)
    with open_zip(str(path), LIMITS) as archive:
        return [f"{name}={len(read_member(archive, name, 1000))}" for name in archive.namelist()]


def read_tar(path: Path, body: bytes) -> list[str]:
    path.write_bytes(body)
    with open_tar(str(path), LIMITS) as members:
        return [one.name for one, _ in members]


def test_what_is_in_an_archive(tmp_path: Path) -> None:
    assert read_zip(tmp_path / "a", zipped(a=b"1", b=b"12")) == ["a=1", "b=2"]
    assert read_tar(tmp_path / "b", tarred((member("a"), b"1"), (member("b"), b"12"))) == ["a", "b"]


def test_a_zip_that_is_refused(tmp_path: Path) -> None:
    for said, body in (
        ("bomb", zipped(a=bytes(300_000))),
        ("more than 10 files", zipped(**{str(number): b"" for number in range(11)})),
        ("larger than 1000", zipped(a=bytes(2000))),
        ("in front of", b"#!/bin/sh\n" + zipped(a=b"1")),
        ("no intact", zipped(a=b"1")[:-1]),
        ("no intact", b""),
    ):
        with pytest.raises(InvalidPackageFile, match=said):
            read_zip(tmp_path / "a", body)


def test_a_tar_that_is_refused(tmp_path: Path) -> None:
    for said, body in (
        ("bomb", tarred((member("a"), bytes(300_000)))),
        ("bomb", gzip.compress(gzip.decompress(tarred((member("a"), b"1"))) + bytes(300_000))),
        ("more than 10 files", tarred(*((member(str(number)), b"") for number in range(11)))),
        ("leads out", tarred((member("a", tarfile.SYMTYPE, "../x"), b""))),
        ("leads out", tarred((member("a/b", tarfile.SYMTYPE, "../../x"), b""))),
        ("leads out", tarred((member("a", tarfile.LNKTYPE, "../x"), b""))),
        ("inside of a link", tarred((member("a", tarfile.SYMTYPE, "b"), b""), (member("a/x"), b""))),
        ("no file, folder or link", tarred((member("a", tarfile.FIFOTYPE), b""))),
        (
            "too many links",
            tarred(*((member(f"{one}/a/b/c/d", tarfile.SYMTYPE, "x"), b"") for one in "ABCDE")),
        ),
        ("sparse", tarred((member("a", **{"GNU.sparse.map": "0,1", "GNU.sparse.size": "1" * 15}), b"1"))),
        ("no intact", tarred((member("a"), b"1"))[:-1]),
        ("no intact", b""),
    ):
        with pytest.raises(InvalidPackageFile, match=said):
            read_tar(tmp_path / "a", body)


@each("name", DANGEROUS)
def test_a_path_that_is_not_safe_to_unpack_is_refused(name: str) -> None:
    with pytest.raises(InvalidPackageFile):
        check_path(name, Limits())


def test_an_archive_that_cannot_be_read_is_no_fault_of_the_client(tmp_path: Path) -> None:
    for open_archive in (open_zip, open_tar):
        with pytest.raises(StorageFailed), open_archive(str(tmp_path / "absent"), LIMITS):
            pass


def test_a_deep_path_is_looked_at_once_for_each_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not from its start again for each of them: a small archive has a great many of these."""
    cut: list[str] = []
    monkeypatch.setattr(tars, "dirname", lambda path: cut.append(path) or posixpath.dirname(path))
    deep = "/".join(["a"] * 200)
    path = tmp_path / "deep.tar.gz"
    path.write_bytes(tarred((member("link", tarfile.SYMTYPE, "a"), b""), (member(f"{deep}/x"), b"")))
    with tars.open_tar(str(path), Limits()) as members:
        assert [found.name for found, _ in members] == ["link", f"{deep}/x"]
    assert len(cut) <= 2


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a/b", False), ("a/b/c", True), ("a/b/c/d", True), ("a/bb/c", False), ("a", False)],
)
def test_what_is_inside_of_a_link(path: str, expected: bool) -> None:
    links = tars.Links(Limits().remembered)
    links.add("a/b")
    assert links.has_above(path) is expected
