"""The zips that the go command takes, and the hashes that it writes into go.sum."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from nora.errors import InvalidName, InvalidPackageFile
from nora.formats.go import archive
from nora.formats.go.archive import (
    check_go_mod,
    check_module_zip,
    declared_path,
    default_go_mod,
    go_mod_hash,
    hash1,
    root_of,
)
from nora.formats.go.names import ModulePath
from nora.formats.go.samples import module_zip
from tests.support.go_modules import Module

LIB = ModulePath.of("example.com/lib")
ROOT = "example.com/lib@v1.0.0/"
H1 = "h1:PcEHYqzKpLVd/ISjFsBSJQgXTD7W4ff40gTHrj2a+ro="
GO_MOD_H1 = "h1:4OAnUP7RpKJ0hg7ydNi+A/luktLxx7xSrw0c+FeAtlc="


def zipped(tmp_path: Path, *members: tuple[str, bytes] | tuple[zipfile.ZipInfo, bytes]) -> str:
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return str(tmp_path / "m.zip")


def check(path: str, version: str = "v1.0.0", limit: int = 1 << 20) -> str:
    return check_module_zip(path, LIB, version, limit).h1


def test_hashes_are_those_of_go_sum(tmp_path: Path) -> None:
    """These are of `go mod download -json` of these files."""
    path = zipped(tmp_path, (f"{ROOT}go.mod", b"module example.com/lib\n"), (f"{ROOT}a/b.go", b"package a\n"))
    found = check_module_zip(path, LIB, "v1.0.0", 1 << 20)
    assert found.go_mod == b"module example.com/lib\n"
    assert found.h1 == H1
    assert go_mod_hash(found.go_mod) == GO_MOD_H1
    assert hash1([("b", "1" * 64), ("a", "2" * 64)]) == hash1([("a", "2" * 64), ("b", "1" * 64)])


def link() -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(f"{ROOT}link")
    found.create_system, found.external_attr = 3, 0o120777 << 16
    return found


def test_what_the_go_command_does_not_take_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_REMEMBERED", 10_000)
    for members, said in (
        ([("lib@v1.0.0/a.go", b"")], "is not below"),
        ([(f"{ROOT}a.go", b""), ("other", b"")], "is not below"),
        ([("example.com/lib@v1.0.1/a.go", b"")], "is not below"),
        ([(f"{ROOT}a.go", b""), (f"{ROOT}A.go", b"")], "one file"),
        ([(f"{ROOT}a/x.go", b""), (f"{ROOT}A/y.go", b"")], "one file"),
        ([(f"{ROOT}a", b""), (f"{ROOT}a/x.go", b"")], "one file"),
        ([(f"{ROOT}a/x.go", b""), (f"{ROOT}a", b"")], "one file"),
        ([(f"{ROOT}sub/go.mod", b"")], "go.mod"),
        ([(f"{ROOT}Go.mod", b"")], "go.mod"),
        ([(f"{ROOT}GO.MOD", b"")], "go.mod"),
        ([(f"{ROOT}sub/GO.mod", b"")], "go.mod"),
        ([(link(), b"/etc/passwd")], "links"),
        ([(f"{ROOT}a/../b", b"")], "dangerous"),
        ([(f"{ROOT}a//b", b"")], "element"),
        ([(f"{ROOT}aux.go", b"")], "Windows"),
        ([(f"{ROOT}a*b", b"")], "character"),
        ([(f"{ROOT}bomb", bytes(2 << 20))], "bomb"),
        ([(f"{ROOT}{number}/{'a/' * 9}x", b"") for number in range(9)], "folders in each other"),
    ):
        with pytest.raises(InvalidPackageFile, match=said):
            check(zipped(tmp_path, *members))


def test_folders_and_the_same_folder_twice_are_no_harm(tmp_path: Path) -> None:
    path = zipped(tmp_path, (ROOT, b""), (f"{ROOT}a/", b""), (f"{ROOT}a/b.go", b""), (f"{ROOT}a/c.go", b""))
    assert check(path).startswith("h1:")


def test_a_damaged_zip_is_refused(tmp_path: Path) -> None:
    whole = Path(
        zipped(tmp_path, (f"{ROOT}go.mod", b"module example.com/lib\n"), (f"{ROOT}a", bytes(5000)))
    ).read_bytes()
    at = whole.index(b"PK\x03\x04", 4) - 6
    for bad in (
        whole[:-30],
        whole[: len(whole) // 2],
        b"",
        b"PK",
        whole[:at] + b"\xff\xff" + whole[at + 2 :],
    ):
        (tmp_path / "bad.zip").write_bytes(bad)
        with pytest.raises(InvalidPackageFile):
            check(str(tmp_path / "bad.zip"))


def test_the_version_is_one_of_the_path(tmp_path: Path) -> None:
    path = zipped(tmp_path, ("example.com/lib@v2.0.0/a.go", b""))
    with pytest.raises(InvalidName):
        check(path, "v2.0.0")
    path = zipped(tmp_path, ("example.com/lib@v2.0.0+incompatible/a.go", b""))
    assert check(path, "v2.0.0+incompatible")


def test_the_path_that_a_go_mod_declares() -> None:
    for text, path in {
        b"module example.com/lib\n": "example.com/lib",
        b'// a comment\n\nmodule "example.com/lib" // more\n': "example.com/lib",
        b"go 1.21\nmodule `example.com/lib`": "example.com/lib",
        b"module (\n\texample.com/lib\n)\n": "example.com/lib",
        b"// module example.com/other\nmodule\texample.com/lib\r\n": "example.com/lib",
        b"": "",
        b"go 1.21\nmodules example.com/x\n": "",
        b"require example.com/module v1.0.0\n": "",
        b"module\n" * 9: "",
    }.items():
        assert declared_path(text) == path, text
    check_go_mod(b"module example.com/lib\n", LIB, "v1.0.0")
    for text, version in ((b"module example.com/other\n", "v1.0.0"), (b"", "v1.0.0")):
        with pytest.raises(InvalidPackageFile, match="declares"):
            check_go_mod(text, LIB, version)
    with pytest.raises(InvalidPackageFile, match="without a"):
        check_go_mod(b"module example.com/lib\n", LIB, "v2.0.0+incompatible")
    assert declared_path(default_go_mod(LIB)) == LIB


def test_a_zip_says_what_it_is_of(tmp_path: Path) -> None:
    module = Module("example.com/Some/lib/v2", "v2.1.0-Beta")
    (tmp_path / "m.zip").write_bytes(module.body)
    assert root_of(str(tmp_path / "m.zip"), 1 << 20) == (module.path, module.version)
    for name in ("a.go", "example.com/x@master/a.go", "@v1.0.0/a.go", "example.com/../x@v1.0.0/a.go"):
        with pytest.raises((InvalidPackageFile, InvalidName)):
            root_of(zipped(tmp_path, (name, b"")), 1 << 20)


def test_the_samples_are_intact() -> None:
    archive = zipfile.ZipFile(io.BytesIO(module_zip("a.b/c", "v1.0.0", {"x": "y"})))
    assert archive.namelist() == ["a.b/c@v1.0.0/x"]
