"""What is inside of wheels and sdists, and what must not be."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nora.archives import Limits
from nora.errors import InvalidPackageFile, StorageFailed
from nora.formats.pypi.metadata import (
    inspect,
    inspect_sdist,
    inspect_wheel,
    parse_metadata,
    read_metadata,
)
from nora.formats.pypi.names import Distribution, parse_filename
from tests.formats.pypi.distributions import core_metadata, link, sdist, tar, wheel

WHEEL = parse_filename("foo_bar-1.0-py3-none-any.whl")
SDIST = parse_filename("foo_bar-1.0.tar.gz")
ZIP = parse_filename("foo_bar-1.0.zip")

Put = Callable[[bytes], str]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes an archive under a name that says nothing; its path."""

    def write(body: bytes) -> str:
        path = tmp_path / "upload"
        path.write_bytes(body)
        return str(path)

    return write


# -- wheels -----------------------------------------------------------------------------------------------


def test_a_wheel(put: Put) -> None:
    raw = core_metadata(
        "Foo.Bar", "1.0.0", "Requires-Python: >=3.8", "Requires-Dist: baz (>=1) ; extra == 'x'"
    )
    with pytest.raises(InvalidPackageFile, match=r"foo-bar 1\.0\.0"):
        inspect(put(wheel(metadata=raw)), WHEEL)
    raw = raw.replace(b"1.0.0", b"1.0")
    found = inspect(put(wheel(metadata=raw)), WHEEL)
    assert (found.name, found.version, found.requires_python, found.raw) == ("foo-bar", "1.0", ">=3.8", raw)
    assert read_metadata(put(wheel(metadata=raw)), WHEEL) == raw


@pytest.mark.parametrize("missing", ["METADATA", "WHEEL", "RECORD"])
def test_a_wheel_has_all_of_its_metadata(put: Put, missing: str) -> None:
    with pytest.raises(InvalidPackageFile, match=missing):
        inspect(put(wheel(without=[missing])), WHEEL)


@pytest.mark.parametrize(
    "folder", ["foo-1.0.dist-info", "foo_bar-1.1.dist-info", "Evil-1.0.dist-info", "foo_bar.dist-info", "x"]
)
def test_the_dist_info_is_that_of_the_file_name(put: Put, folder: str) -> None:
    with pytest.raises(InvalidPackageFile, match=r"dist-info"):
        inspect(put(wheel(folder=folder)), WHEEL)


def test_the_dist_info_may_be_spelled_otherwise(put: Put) -> None:
    inspect(put(wheel(folder="Foo.Bar-1.0.dist-info")), WHEEL)


def test_there_is_one_dist_info(put: Put) -> None:
    with pytest.raises(InvalidPackageFile, match="this one has 2"):
        inspect(put(wheel({"other-1.0.dist-info/METADATA": b""})), WHEEL)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (core_metadata("other"), "other 1.0"),
        (core_metadata("foo-bar", "2.0"), "foo-bar 2.0"),
        (core_metadata("../x"), "not valid"),
        (core_metadata("foo-bar", "one"), "not valid"),
        (core_metadata("foo-bar", "1.0", "Name: foo-bar"), "name that cannot be read"),
        (core_metadata("foo-bar", "1.0", "Requires-Python: newest"), "not valid"),
        (core_metadata("foo-bar", "1.0", "Requires-Dist: baz (=1)"), "not valid"),
        (core_metadata("foo-bar", "1.0", f"Requires-Dist: baz; {'(' * 50_000}"), "requirement|not valid"),
        (core_metadata().replace(b"Metadata-Version: 2.1", b"Metadata-Version: 3.0"), "no known version"),
        (b"", "no known version"),
        (b"\xff\xfe", "not UTF-8"),
        (b"\x00" * 100, "no known version"),
    ],
)
def test_metadata_that_is_refused(put: Put, metadata: bytes, said: str) -> None:
    with pytest.raises(InvalidPackageFile, match=said) as refusal:
        inspect(put(wheel(metadata=metadata)), WHEEL)
    assert len(str(refusal.value)) < 300, "what came in is quoted by its start"
    assert read_metadata(put(wheel(metadata=metadata)), WHEEL) == metadata, (
        "what others published stays as it is"
    )


MANY = 2_000_000 // len("X-100000: y\n")


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (core_metadata("foo-bar", "1.0", *(f"X-{n}: y" for n in range(257))), "too many fields"),
        (core_metadata("foo-bar", "1.0", *(f"X-{n}: y" for n in range(MANY))), "too many fields"),
        (core_metadata("foo-bar", "1.0", *(f"X-{n}:\r continued" for n in range(MANY))), "too many fields"),
        (core_metadata("foo-bar", "1.0", *["Classifier: X"] * 20_000), "too many fields"),
        (
            core_metadata("foo-bar", "1.0", f"Requires-Dist: baz{'>1,' * 2_000_000}>1"),
            "too many requirements",
        ),
        (b"Content-Type: message/rfc822\n\n" * 2000, "several parts"),
        (core_metadata("foo-bar", "1.0", "content-TYPE:\n multipart/mixed; boundary=b"), "several parts"),
    ],
    ids=["a name more", "names", "folded", "fields", "requirements", "messages", "parts"],
)
def test_metadata_that_would_keep_a_core_busy(put: Put, metadata: bytes, said: str) -> None:
    with pytest.raises(InvalidPackageFile, match=said):
        inspect(put(wheel(metadata=metadata)), WHEEL)


def test_metadata_may_have_many_fields_and_a_description_that_looks_like_fields(put: Put) -> None:
    fields = [*(f"X-{n}: y" for n in range(252)), *(f"Requires-Dist: baz{n}" for n in range(2000))]
    description = b"".join(b"Y-%d: z\nContent-Type: message/rfc822\n" % n for n in range(300))
    found = inspect(put(wheel(metadata=core_metadata("foo-bar", "1.0", *fields) + description)), WHEEL)
    assert len(found.info["requires_dist"]) == 2000
    assert found.info["description"].endswith("Content-Type: message/rfc822\n")


def test_a_wheel_without_metadata_has_none_to_offer(put: Put) -> None:
    assert read_metadata(put(wheel(without=["METADATA"])), WHEEL) is None


def test_wheel_says_its_version(put: Put) -> None:
    body = wheel({"foo_bar-1.0.dist-info/WHEEL": b"nothing"})
    with pytest.raises(InvalidPackageFile, match="Wheel-Version"):
        inspect(put(body), WHEEL)


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a\\b", "c:/x", "a\nb", "x\u2028"])
def test_paths_that_lead_out_of_a_wheel(put: Put, path: str) -> None:
    with pytest.raises(InvalidPackageFile, match="dangerous name"):
        inspect(put(wheel({path: b""})), WHEEL)


def test_damaged_wheels(put: Put) -> None:
    good = wheel()
    for body in (
        b"",
        b"PK",
        good[:-1],
        good[: len(good) // 2],
        good[10:],
        b"#!x" + good,
        good[:60] + good[80:],
    ):
        with pytest.raises(InvalidPackageFile):
            inspect(put(body), WHEEL)


def test_a_wrong_checksum_in_a_wheel(put: Put) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("foo_bar-1.0.dist-info/METADATA", core_metadata())
        archive.writestr("foo_bar-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0")
        archive.writestr("foo_bar-1.0.dist-info/RECORD", b"")
    with pytest.raises(InvalidPackageFile, match="CRC"):
        inspect(put(buffer.getvalue().replace(b"A description", b"A prescription"[:13])), WHEEL)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_wheel_with_two_files_of_one_name(put: Put) -> None:
    buffer = io.BytesIO(wheel())
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("foo_bar-1.0.dist-info/METADATA", core_metadata("evil"))
    with pytest.raises(InvalidPackageFile, match="two files"):
        inspect(put(buffer.getvalue()), WHEEL)


def test_compression_that_not_everybody_reads(put: Put) -> None:
    buffer = io.BytesIO(wheel())
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("x", b"", zipfile.ZIP_LZMA)
    with pytest.raises(InvalidPackageFile, match="compressed in a way"):
        inspect(put(buffer.getvalue()), WHEEL)


def test_encrypted_wheels(put: Put) -> None:
    body = bytearray(wheel())
    position = body.rindex(b"PK\x01\x02")
    body[position + 8] |= 1
    with pytest.raises(InvalidPackageFile, match="encrypted"):
        inspect(put(bytes(body)), WHEEL)


def test_zip_bombs(put: Put) -> None:
    body = wheel({"x": bytes(300_000)})
    limits = Limits(bomb_floor=100_000)
    with pytest.raises(InvalidPackageFile, match="bomb"):
        inspect(put(body), WHEEL, limits)
    inspect(put(body), WHEEL)
    inspect(put(wheel({"x": bytes(60_000)})), WHEEL, limits)  # a ratio of 50, below the floor
    incompressible = gzip.compress(bytes(range(256)) * 4) * 200
    inspect(put(wheel({"x": incompressible})), WHEEL, Limits(bomb_floor=1000))


def test_the_default_limits_are_those_of_pypi(put: Put) -> None:
    assert Limits().expanded(1 << 20) == 64 << 20
    assert Limits().expanded(10 << 20) == 500 << 20
    with pytest.raises(InvalidPackageFile, match="bomb"):
        inspect(put(wheel({"x": bytes(65 << 20)})), WHEEL)


def test_too_much_of_everything(put: Put) -> None:
    body = wheel({f"file-{n}": b"" for n in range(50)})
    for limits in (Limits(members=10), Limits(directory=500), Limits(member=20)):
        with pytest.raises(InvalidPackageFile):
            inspect_wheel(put(body), WHEEL, limits)


# -- sdists -----------------------------------------------------------------------------------------------


def test_an_sdist(put: Put) -> None:
    raw = core_metadata("foo-bar", "1.0", "Requires-Python: >=3.8")
    body = sdist(
        ("foo_bar-1.0/a.py", b"x" * 5000),
        link("foo_bar-1.0/docs/b.py", "../a.py"),
        link("foo_bar-1.0/c.py", "foo_bar-1.0/a.py", tarfile.LNKTYPE),
        metadata=raw,
    )
    found = inspect(put(body), SDIST)
    assert (found.name, found.version, found.requires_python, found.raw) == ("foo-bar", "1.0", ">=3.8", raw)


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_sdists_of_all_kinds_of_tar(put: Put, format_: int) -> None:
    members: list[tuple[str | tarfile.TarInfo, bytes]] = [
        ("foo_bar-1.0/" + "/".join(["ordner"] * 14), b"x"),
        ("foo_bar-1.0/PKG-INFO", core_metadata()),
    ]
    if format_ != tarfile.USTAR_FORMAT:
        members.append(("foo_bar-1.0/" + "ä" * 200, b"y"))
    folder = tarfile.TarInfo("foo_bar-1.0")
    folder.type = tarfile.DIRTYPE
    assert inspect(put(gzip.compress(tar([(folder, b""), *members], format=format_))), SDIST).version == "1.0"


def test_an_sdist_as_zip(put: Put) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("foo_bar-1.0/PKG-INFO", core_metadata())
    assert inspect_sdist(put(buffer.getvalue()), ZIP).raw == core_metadata()
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("other/x", b"")
    with pytest.raises(InvalidPackageFile, match="PKG-INFO"):
        inspect_sdist(put(buffer.getvalue()), ZIP)


@pytest.mark.parametrize(
    "members",
    [
        [],
        [("foo_bar-1.0/setup.py", b"")],
        [("PKG-INFO", core_metadata())],
        [("foo_bar-1.0/sub/PKG-INFO", core_metadata())],
        [("foo_bar-1.0/PKG-INFO", core_metadata()), ("other/x", b"")],
        [("foo_bar-1.0/PKG-INFO", core_metadata()), ("x", b"")],
        [("foo_bar-1.0/PKG-INFO", core_metadata()), ("foo_bar-1.0/PKG-INFO", core_metadata())],
        [("foo_bar-1.0/setup.py", b""), link("foo_bar-1.0/PKG-INFO", "setup.py")],
    ],
)
def test_an_sdist_has_one_folder_with_one_pkg_info(put: Put, members: list[tuple[str, bytes]]) -> None:
    with pytest.raises(InvalidPackageFile, match="PKG-INFO"):
        inspect(put(gzip.compress(tar(members))), SDIST)


def test_an_sdist_is_what_its_name_says(put: Put) -> None:
    for metadata in (core_metadata("other"), core_metadata("foo-bar", "1.1")):
        with pytest.raises(InvalidPackageFile, match="the file name says"):
            inspect(put(sdist(metadata=metadata)), SDIST)


@pytest.mark.parametrize(
    ("name", "target", "kind"),
    [
        *(
            ("x", "/etc/passwd", tarfile.SYMTYPE),
            ("x", "../../etc", tarfile.SYMTYPE),
            ("x", "..", tarfile.LNKTYPE),
        ),
        *(("x", "/etc/passwd", tarfile.LNKTYPE), ("a/x", "../../..", tarfile.SYMTYPE)),
        *(("x", "", tarfile.CHRTYPE), ("x", "", tarfile.BLKTYPE), ("x", "", tarfile.FIFOTYPE)),
        *(
            ("../x", "", tarfile.REGTYPE),
            ("a/../../../x", "", tarfile.REGTYPE),
            ("a\\b", "", tarfile.REGTYPE),
        ),
    ],
)
def test_what_an_sdist_may_not_hold(put: Put, name: str, target: str, kind: bytes) -> None:
    with pytest.raises(InvalidPackageFile):
        inspect(put(sdist(link(f"foo_bar-1.0/{name}", target, kind))), SDIST)


@pytest.mark.parametrize(
    "target",
    [
        "a/../../../../etc",
        "setup.py/..",
        "a/b/c/l1/../..",
        "a/b/c/l1/x",
        "./a/b/c/l1/./x",
        "\0" * 5000,
        "a/" * 300,
    ],
)
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_that_lead_out_by_other_links(put: Put, target: str, kind: bytes) -> None:
    """Inside as they are written: what is at `a/b/c/l1` is the root."""
    prefix = "" if kind == tarfile.SYMTYPE else "foo_bar-1.0/"
    body = sdist(
        ("foo_bar-1.0/a/b/c/x", b""),
        link("foo_bar-1.0/a/b/c/l1", "../../.."),
        link("foo_bar-1.0/l2", prefix + target, kind),
    )
    with pytest.raises(InvalidPackageFile, match="leads out"):
        inspect(put(body), SDIST)


def test_links_that_stay_inside(put: Put) -> None:
    for target in ("setup.py", "./setup.py", "docs/index.rst", "../a/docs/", "..", "../setup.py", "../b//x"):
        inspect(put(sdist(link("foo_bar-1.0/a/x", target))), SDIST)
    two = link("foo_bar-1.0/a", "setup.py"), link("foo_bar-1.0/b", "foo_bar-1.0/a", tarfile.LNKTYPE)
    inspect(put(sdist(*two)), SDIST)


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.map": "0,1", "GNU.sparse.size": "1000000000000000"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1000000000000000"},
    ],
)
def test_sparse_files_in_an_sdist(put: Put, headers: dict[str, str]) -> None:
    """A few bytes that would fill every disk."""
    info = tarfile.TarInfo("foo_bar-1.0/x")
    info.pax_headers = headers
    with pytest.raises(InvalidPackageFile, match="sparse"):
        inspect(put(sdist((info, b"1\n0\n1\n".ljust(512, b"\0") + b"x"))), SDIST)


def test_absolute_paths_in_an_sdist(put: Put) -> None:
    with pytest.raises(InvalidPackageFile, match="dangerous name"):
        inspect(put(sdist(("/etc/x", b""))), SDIST)


@pytest.mark.parametrize("path", ["a/" * 3_000_000, "a" * 5000, "a/" * 300])
def test_paths_of_absurd_length(put: Put, path: str) -> None:
    """A few kilobytes that would have kept a core busy for hours."""
    body = sdist((f"foo_bar-1.0/{path}x", b""))
    assert len(body) < 50_000
    with pytest.raises(InvalidPackageFile, match="absurdly long path"):
        inspect(put(body), SDIST)


def test_nothing_is_inside_of_a_link(put: Put) -> None:
    body = sdist(link("foo_bar-1.0/a", "b"), ("foo_bar-1.0/a/x", b""))
    with pytest.raises(InvalidPackageFile, match="inside of a link"):
        inspect(put(body), SDIST)


def test_damaged_sdists(put: Put) -> None:
    good = sdist()
    plain = gzip.decompress(good)
    cut = gzip.compress(plain[:600])
    for body in (
        b"",
        good[:-1],
        good[: len(good) // 2],
        good[:-8] + b"\0" * 8,
        good + b"rest",
        plain,
        cut,
        b"\x1f\x8b",
    ):
        with pytest.raises(InvalidPackageFile):
            inspect(put(body), SDIST)


def test_tar_bombs(put: Put) -> None:
    limits = Limits(bomb_floor=100_000)
    body = sdist(("foo_bar-1.0/x", bytes(300_000)))
    with pytest.raises(InvalidPackageFile, match="bomb"):
        inspect(put(body), SDIST, limits)
    inspect(put(body), SDIST)
    after = gzip.compress(gzip.decompress(sdist()) + bytes(300_000))
    with pytest.raises(InvalidPackageFile, match="bomb"):
        inspect(put(after), SDIST, limits)


def test_sizes_that_lie(put: Put) -> None:
    """The header of a file, or of an extended header, may claim anything."""
    for kind in (tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        for size in (1 << 33, 1 << 40, 9 << 20):
            info = tarfile.TarInfo("foo_bar-1.0/x")
            info.size, info.type = size, kind
            header = info.tobuf(tarfile.GNU_FORMAT)
            body = gzip.compress(header + gzip.decompress(sdist()))
            with pytest.raises(InvalidPackageFile):
                inspect(put(body), SDIST)


def test_too_many_files_in_an_sdist(put: Put) -> None:
    body = sdist(*((f"foo_bar-1.0/{n}", b"") for n in range(50)))
    with pytest.raises(InvalidPackageFile, match="more than 10 files"):
        inspect(put(body), SDIST, Limits(members=10))


# -- what both share --------------------------------------------------------------------------------------


@pytest.mark.parametrize("distribution", [WHEEL, SDIST, ZIP])
def test_a_file_that_cannot_be_read_is_no_fault_of_the_client(
    tmp_path: Path, distribution: Distribution
) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(StorageFailed):
            inspect(str(path), distribution)


def test_the_info_of_the_json_api() -> None:
    lines = (
        "Summary: A foo",
        "Keywords: a,b",
        "Classifier: X",
        "Classifier: Y",
        "Project-URL: Home, https://h/",
    )
    more = (
        "License-Expression: MIT",
        "Requires-Dist: baz",
        "Provides-Extra: x",
        "Platform: linux",
        "Home-page: https://h",
    )
    info = parse_metadata(core_metadata("Foo.Bar", "1.0rc1", *lines, *more)).info
    assert info["name"] == "Foo.Bar"
    assert info["version"] == "1.0rc1"
    assert info["summary"] == "A foo"
    assert info["description"] == "A description.\n"
    assert info["classifiers"] == ["X", "Y"]
    assert info["keywords"] == "a,b"
    assert info["project_urls"] == {"Home": "https://h/"}
    assert (info["license_expression"], info["requires_dist"], info["provides_extra"]) == (
        "MIT",
        ["baz"],
        ["x"],
    )
    assert (info["platform"], info["home_page"], info["author"], info["requires_python"]) == (
        "linux",
        "https://h",
        "",
        None,
    )


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_metadata_is_read_or_refused(body: bytes) -> None:
    for raw in (body, core_metadata() + body, core_metadata("a", "1", "X: y")[:-17] + body):
        with suppress(InvalidPackageFile):
            assert parse_metadata(raw).raw == raw


@given(st.sampled_from([WHEEL, SDIST]), st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_found_or_harmless(
    put: Put, distribution: Distribution, place: int, noise: bytes
) -> None:
    for good in (wheel(), sdist(link("foo_bar-1.0/x", "setup.py")) if distribution is SDIST else wheel()):
        at = place % len(good)
        with suppress(InvalidPackageFile):
            inspect(put(good[:at] + noise + good[at + len(noise) :]), distribution)
    if distribution is SDIST:
        plain = gzip.decompress(sdist(link("foo_bar-1.0/x", "setup.py")))
        at = place % len(plain)
        with suppress(InvalidPackageFile):
            inspect(put(gzip.compress(plain[:at] + noise + plain[at + len(noise) :])), distribution)
