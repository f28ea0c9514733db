"""Crate files: one folder, a Cargo.toml that says the same as the metadata, nothing that harms."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from nora.errors import InvalidPackageFile
from nora.formats.cargo.archive import LARGEST_README, check_crate
from nora.formats.cargo.samples import crate

MANIFEST = '[package]\nname = "x"\nversion = "1.0.0"\n'


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(buffer.getvalue())


def file(path: str, text: str = "", **said: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(path)
    for name, value in said.items():
        setattr(member, name, value)
    return member, text.encode()


def check(tmp_path: Path, content: bytes, unpacked: int = 1 << 20) -> None:
    path = tmp_path / "x.crate"
    path.write_bytes(content)
    check_crate(str(path), "x", "1.0.0", unpacked)


def test_a_crate_as_cargo_packs_it(tmp_path: Path) -> None:
    check(tmp_path, crate("x", "1.0.0"))


GOOD = file("x-1.0.0/Cargo.toml", MANIFEST)
BAD: dict[str, tuple[tuple[tarfile.TarInfo, bytes], ...]] = {
    "no Cargo.toml": (file("x-1.0.0/src/lib.rs"),),
    "another version": (file("x-1.0.0/Cargo.toml", MANIFEST.replace("1.0.0", "1.0.1")),),
    "another name": (file("x-1.0.0/Cargo.toml", MANIFEST.replace('"x"', '"y"')),),
    "no TOML": (file("x-1.0.0/Cargo.toml", "[package"),),
    "no package": (file("x-1.0.0/Cargo.toml", "package = 1"),),
    "another folder": (GOOD, file("y/lib.rs")),
    "beside the folder": (GOOD, file("x-1.0.0.rs")),
    "a way out": (GOOD, file("x-1.0.0/../../evil")),
    "an absolute path": (GOOD, file("/etc/passwd")),
    "a symbolic link": (GOOD, file("x-1.0.0/l", type=tarfile.SYMTYPE, linkname="Cargo.toml")),
    "a hard link": (GOOD, file("x-1.0.0/l", type=tarfile.LNKTYPE, linkname="x-1.0.0/Cargo.toml")),
    "a device": (GOOD, file("x-1.0.0/d", type=tarfile.CHRTYPE)),
    "two of them": (GOOD, GOOD),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_crate_is_refused(tmp_path: Path, what: str) -> None:
    with pytest.raises(InvalidPackageFile):
        check(tmp_path, packed(*BAD[what]))


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    content = packed(GOOD, file("x-1.0.0/zeros", "\0" * (3 << 20)))
    assert len(content) < 1 << 16
    with pytest.raises(InvalidPackageFile, match="bomb"):
        check(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", gzip.compress(b"", mtime=0), crate("x", "1.0.0")[:-20]],
    ids=["empty", "no gzip", "no tar", "cut"],
)
def test_what_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidPackageFile):
        check(tmp_path, content)


README = "# Counts\n"
READMES: dict[str, tuple[str, str, str, tuple[bytes, bool] | None]] = {
    "markdown": ("README.md", "README.md", "", (README.encode(), True)),
    "text": ("readme.txt", "readme.txt", "", (README.encode(), False)),
    "in a folder": ("docs/README.md", "docs/README.md", "", (README.encode(), True)),
    "of another name": ("ABOUT.md", "ABOUT.md", "ABOUT.md", (README.encode(), True)),
    "not named": ("README.md", "", "", None),
    "not there": ("README.txt", "README.md", "", None),
    "the metadata names another file": ("src/lib.rs", "README.md", "src/lib.rs", None),
}


@pytest.mark.parametrize("name", READMES)
def test_the_readme_is_what_the_manifest_names(name: str, tmp_path: Path) -> None:
    place, named, hint, found = READMES[name]
    said = f'readme = "{named}"\n' if named else "readme = false\n"
    path = tmp_path / "x.crate"
    manifest = file("x-1.0.0/Cargo.toml", MANIFEST + said)
    path.write_bytes(packed(file(f"x-1.0.0/{place}", README), manifest))
    assert check_crate(str(path), "x", "1.0.0", 1 << 20, hint) == found
    path.write_bytes(packed(file(f"x-1.0.0/{place}", "x" * (LARGEST_README + 1)), manifest))
    assert check_crate(str(path), "x", "1.0.0", 1 << 20, hint) is None, "it is too large to be shown"
