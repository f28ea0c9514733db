"""The stored form of packuments: what is asked for is found, and nothing else is looked at."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.catalog.blocks import Hidden
from nora.errors import PackageNotFound, VersionNotFound
from nora.formats.json_pieces import PIECE_BYTES
from nora.formats.npm.documents import Form, Package, Part, find_version, make_document, make_version, tags_of
from nora.formats.npm.json_packument import JsonPackument, mended
from nora.formats.npm.packument import Packument, tags_in, weight
from nora.formats.npm.upstream import DocumentUnreadable, find_listed, read_packument
from tests.support.npm_registry import Built, NpmRegistry
from tests.support.tables import each

URL = "https://registry.example.com/reg/lib"
BASE = "http://nora.example/npm"


def upstream_document(*versions: str, name: str = "lib", **about: Any) -> dict[str, Any]:
    registry = NpmRegistry(url="https://registry.example.com/reg")
    registry.add(*(Built(name, version, {"dependencies": {"a": "^1"}}) for version in versions))
    registry.packages[name].about = about
    return registry.packument(name)


def stored_of(document: Any, name: str = "lib") -> bytes:
    return read_packument(json.dumps(document).encode(), URL, name)


def rendered(form: Form, *parts: Part, name: str = "lib") -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(make_document(form.value, "identity", name, BASE, parts))
    return found


def test_only_addresses_differ_from_what_the_upstream_has() -> None:
    for name in ("lib", "@corp/lib"):
        document = upstream_document("1.0.0", "1.1.0", name=name, maintainers=[{"name": "é"}])
        attestations = {"url": "https://registry.example.com/x", "provenance": {"predicateType": "p"}}
        document["versions"]["1.1.0"]["dist"]["attestations"] = attestations
        found = rendered(Form.FULL, Part(stored_of(document, name)), name=name)
        for version, manifest in document["versions"].items():
            manifest["dist"]["tarball"] = f"{BASE}/{name}/-/lib-{version}.tgz"
        attestations["url"] = f"{BASE}/-/npm/v1/attestations/{name.replace('/', '%2f')}@1.1.0"
        assert found == document
        assert "registry.example.com" in found["readme"]


def test_installers_get_what_they_need() -> None:
    fields = {
        "description": "no",
        "scripts": {"postinstall": "x"},
        "libc": ["musl"],
        "os": ["linux"],
        "bin": "x",
    }
    registry = NpmRegistry(url="https://registry.example.com/reg")
    registry.add(Built("lib", "1.0.0", fields))
    found = rendered(Form.ABBREVIATED, Part(stored_of(registry.packument("lib"))))
    assert found.keys() == {"name", "dist-tags", "modified", "versions"}
    assert found["versions"]["1.0.0"].keys() == {
        "name", "version", "dist", "libc", "os", "bin", "hasInstallScript",
    }  # fmt: skip


def test_look_ups() -> None:
    versions = [f"1.{minor}.0" for minor in range(2000)]
    stored = stored_of(upstream_document(*versions))
    packument = Packument(stored)
    assert packument.names() == versions
    found = packument.find("1.1234.0")
    assert found is not None
    assert found.manifest["version"] == "1.1234.0"
    by_file = find_listed(stored, "lib", "lib-1.77.0.tgz")
    assert by_file is not None
    assert by_file.version == "1.77.0"
    assert by_file.hashes.keys() == {"sha512", "sha1"}
    assert find_listed(stored, "lib", "lib-9.9.9.tgz") is None
    assert tags_in(stored) == {"latest": "1.1999.0"}
    assert weight(stored) > 2 * len(stored)
    assert (
        orjson.loads(make_version("identity", "lib", BASE, "latest", (Part(stored),)))["version"]
        == "1.1999.0"
    )
    assert find_version("lib", "~1.5", (Part(stored),)).version == "1.5.0"
    for absent in ("^2", "1.9999.0", "beta"):
        with pytest.raises(VersionNotFound):
            find_version("lib", absent, (Part(stored),))


def test_files_keep_the_names_that_they_have_upstream() -> None:
    document = upstream_document("1.0.0", "2.0.0", "3.0.0")
    for version, url in {"1.0.0": "odd.tgz", "2.0.0": "download/lib/2.0.0/abc", "3.0.0": "odd.tgz"}.items():
        document["versions"][version]["dist"]["tarball"] = f"https://files.example.com/{url}"
    found = rendered(Form.FULL, Part(stored := stored_of(document)))
    files = [one["dist"]["tarball"].rpartition("/")[2] for one in found["versions"].values()]
    assert files == ["odd.tgz", "lib-2.0.0.tgz", "lib-3.0.0.tgz"]
    for filename in ("odd.tgz", "lib-1.0.0.tgz"):  # the other one is what clients put together themselves
        listed = find_listed(stored, "lib", filename)
        assert listed is not None
        assert listed.url == "https://files.example.com/odd.tgz"


@each("bad", [None, 1, {}, {"tarball": 1}, {"tarball": "ftp://x/a.tgz"}, {"tarball": "http://[x/a"}])
def test_versions_that_cannot_be_installed_are_left_out(bad: object) -> None:
    document = upstream_document("1.0.0", "2.0.0")
    document["versions"]["2.0.0"]["dist"] = bad
    found = rendered(Form.FULL, Part(stored_of(document)))
    assert (list(found["versions"]), found["dist-tags"]) == (["1.0.0"], {"latest": "1.0.0"})


@each(
    "body",
    [b"", b"<html>", b"[]", b"null", b'"x"', b"{}", b'{"name":"lib"}', b'{"versions":[]}',
     b'{"versions":null}', b'{"name":"other","versions":{}}', b'{"name":"lib","versions":{', b"[" * 100_000,
     b'{"versions":{"1.0.0":NaN}}', b'{"name":"\xff","versions":{}}'],
)  # fmt: skip
def test_what_is_no_packument(body: bytes) -> None:
    with pytest.raises(DocumentUnreadable):
        read_packument(body, URL, "lib")


def test_halves_of_characters_are_mended() -> None:
    document = upstream_document("1.0.0")
    document["versions"]["1.0.0"]["description"] = "cut \ud83d"
    document["readme"] = "whole \U0001f600, low \ude00, \\ud83d, \\\ud83d"
    found = rendered(Form.FULL, Part(stored_of(document)))
    assert found["versions"]["1.0.0"]["description"] == "cut \ufffd"
    assert found["readme"] == "whole \U0001f600, low \ufffd, \\ud83d, \\\ufffd"


def test_wrong_types_do_no_harm() -> None:
    document = upstream_document("1.0.0")
    document |= {"dist-tags": {"latest": 1, "a": "9.9.9"}, "time": [], "maintainers": "x"}
    document["versions"]["x"] = "not a manifest"
    found = rendered(Form.FULL, Part(stored_of(document)))
    assert found["dist-tags"] == {"latest": "1.0.0"}


def test_sources_are_joined_and_the_first_counts() -> None:
    first = stored_of(upstream_document("1.0.0", "2.0.0"))
    other = upstream_document("2.0.0", "3.0.0")
    other["versions"]["2.0.0"]["description"] = "of the other"
    parts = (Part(first), Part(stored_of(other)))
    found = rendered(Form.FULL, *parts)
    assert list(found["versions"]) == ["1.0.0", "2.0.0", "3.0.0"]
    assert "description" not in found["versions"]["2.0.0"]
    assert found["dist-tags"] == {"latest": "2.0.0"}
    assert set(found["time"]) >= {"1.0.0", "2.0.0", "3.0.0"}


def test_what_is_held_or_hidden_decides_what_is_offered() -> None:
    stored = stored_of(upstream_document("1.0.0", "2.0.0", "3.0.0-rc.1"))
    held = Part(stored, frozenset({"1.0.0", "3.0.0-rc.1"}))
    assert tags_of((held,)) == {"latest": "3.0.0-rc.1"}  # as the upstream has it
    part = Part(stored, frozenset({"1.0.0", "2.0.0"}), Hidden(frozenset({"2.0.0"}), frozenset(), ""))
    assert list(rendered(Form.ABBREVIATED, part)["versions"]) == ["1.0.0"]
    assert tags_of((part,)) == {"latest": "1.0.0"}
    for version in ("2.0.0", "3.0.0-rc.1"):
        with pytest.raises(VersionNotFound):
            find_version("lib", version, (part,))
    digest = Built("lib", "1.0.0", {"dependencies": {"a": "^1"}}).dist["shasum"]
    by_digest = Part(stored, None, Hidden(frozenset(), frozenset({f"sha1:{digest}"}), "x"))
    assert "1.0.0" not in Package.of((by_digest,)).versions
    with pytest.raises(PackageNotFound):
        Package.of((Part(stored, frozenset()),))


@given(st.lists(st.tuples(st.integers(0, 99), st.text(max_size=20)), max_size=30), st.booleans())
def test_pieces_make_the_whole(versions: list[tuple[int, str]], is_first: bool) -> None:
    """Whatever texts are in them, and wherever they are cut."""
    filler = '},"1.2.3":{"' * 3
    members = {f"{number}.0.0": {"a": text, "b": {"x": filler * 400}} for number, text in versions}
    document = {"name": "lib", "versions": members, "time": {"1.0.0": {}}}
    if not is_first:
        document = {"time": document["time"], "versions": members}
    body = json.dumps(document).encode()
    read = JsonPackument(body)
    assert dict(read.versions()) == members
    assert read.rest == {**document, "versions": {}}


def test_large_documents_are_read_in_pieces() -> None:
    document = upstream_document(*(f"1.0.{patch}" for patch in range(3000)))
    body = json.dumps(document).encode()
    assert len(body) > 3 * PIECE_BYTES
    read = JsonPackument(body)
    assert dict(read.versions()) == document.pop("versions")
    assert read.rest == {**document, "versions": {}}


def test_the_number_of_versions_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nora.formats.npm.upstream.MOST_VERSIONS", 20)
    document = upstream_document(*(f"1.{minor}.0" for minor in range(20)))
    assert len(Packument(stored_of(document)).names()) == 20
    document["versions"]["2.0.0"] = None
    with pytest.raises(DocumentUnreadable, match="more than 20 versions"):
        stored_of(document)


def test_addresses_of_tarballs() -> None:
    """A table: what a document tells, and what is asked for, or that it is none."""
    for told, wanted in (
        ("https://files.example.com/a/b-1.tgz", "https://files.example.com/a/b-1.tgz"),
        ("http://127.0.0.1:80/b.tgz", "http://127.0.0.1:80/b.tgz"),
        ("/a/b.tgz", "https://registry.example.com/a/b.tgz"),
        ("//files.example.com/b.tgz", "https://files.example.com/b.tgz"),
        ("-/b.tgz", "https://registry.example.com/reg/-/b.tgz"),
        ("https://u:p@files.example.com/b.tgz", "https://u:p@files.example.com/b.tgz"),
        ("https://[::1]:5/b.tgz?x=/c.tgz", "https://[::1]:5/b.tgz?x=/c.tgz"),
        ("HTTPS://files.example.com/b.tgz", "https://files.example.com/b.tgz"),
        ("https://files.example.com/b.tgz#c.tgz", "https://files.example.com/b.tgz#c.tgz"),
        ("ftp://files.example.com/b.tgz", None),
        ("http:///b.tgz", None),
        ("https://[::1/b.tgz", None),
    ):
        document = upstream_document("1.0.0")
        document["versions"]["1.0.0"]["dist"]["tarball"] = told
        found = Packument(stored_of(document)).find("1.0.0")
        assert (found and found.url) == wanted, told


def test_only_halves_are_mended() -> None:
    for text, wanted in (
        (rb"\ud83d\ude00", rb"\ud83d\ude00"),
        (rb"\ud83d", rb"\ufffd"),
        (rb"\ude00\ud83d", rb"\ufffd\ufffd"),
        (rb"\\ud83d", rb"\\ud83d"),
        (rb"\\\ud83d", rb"\\\ufffd"),
        (rb"\\" * 100_000, rb"\\" * 100_000),
    ):
        assert mended(text) == wanted, text
