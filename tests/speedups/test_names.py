"""Tables of the edges of each grammar, on both implementations."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.support.tables import each

DIGEST = "sha256:" + "0123456789abcdef" * 4
LONG_DIGEST = "sha512:" + "0123456789abcdef" * 8
TEXT_FUNCTIONS = [
    "split_oci_path",
    "is_image_name",
    "is_tag",
    "parse_digest",
    "is_digest",
    "check_storage_key",
    "is_request_id",
]


class Text(str):
    """A `str` of another class, as `nora.model.Digest` is."""

    __slots__ = ()


@each("function", TEXT_FUNCTIONS)
@each("value", [None, 7, b"a", bytearray(b"a"), ["a"], object()])
def test_anything_but_str_is_type_error(names: ModuleType, function: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"must be str, not {type(value).__name__}"):
        getattr(names, function)(value)


def test_subclasses_of_str_are_taken(names: ModuleType) -> None:
    assert names.is_digest(Text(DIGEST))
    assert names.is_image_name(Text("a/b"))
    assert names.split_oci_path(Text("/v2/a/manifests/b")) == (names.MANIFEST, "a", "b")


def test_predicates_return_bool(names: ModuleType) -> None:
    for function in (names.is_image_name, names.is_tag, names.is_digest, names.is_request_id):
        assert type(function("a")) is bool
        assert type(function("-")) is bool
        assert type(function("")) is bool


# ---- paths ----


@each(
    ("path", "kind", "name", "reference"),
    [
        ("/v2", "PING", "", ""),
        ("/v2/", "PING", "", ""),
        ("/v2/_catalog", "CATALOG", "", ""),
        ("/v2/token", "TOKEN", "", ""),
        ("/v2/token/manifests/1", "MANIFEST", "token", "1"),
        ("/v2/_oci/ext/discover", "EXTENSIONS", "", ""),
        ("/v2/a/b/_oci/ext/discover", "EXTENSIONS", "a/b", ""),
        ("/v2/a/tags/list", "TAGS", "a", ""),
        ("/v2/a/b/c/d/e/manifests/latest", "MANIFEST", "a/b/c/d/e", "latest"),
        (f"/v2/a/blobs/{DIGEST}", "BLOB", "a", DIGEST),
        (f"/v2/a/referrers/{DIGEST}", "REFERRERS", "a", DIGEST),
        ("/v2/a/blobs/uploads", "UPLOADS", "a", ""),
        ("/v2/a/blobs/uploads/", "UPLOADS", "a", ""),
        ("/v2/a/blobs/uploads/0b9", "UPLOAD", "a", "0b9"),
        # names that hold reserved words
        ("/v2/a/blobs/b/manifests/1", "MANIFEST", "a/blobs/b", "1"),
        ("/v2/x/manifests/manifests/1", "MANIFEST", "x/manifests", "1"),
        ("/v2/manifests/manifests/manifests", "MANIFEST", "manifests", "manifests"),
        ("/v2/a/manifests/list", "MANIFEST", "a", "list"),
        ("/v2/a/tags/tags/list", "TAGS", "a/tags", ""),
        ("/v2/a/tags/list/tags/list", "TAGS", "a/tags/list", ""),
        ("/v2/blobs/uploads/manifests/1", "MANIFEST", "blobs/uploads", "1"),
        ("/v2/a/blobs/uploads/blobs/uploads/", "UPLOADS", "a/blobs/uploads", ""),
        ("/v2/a/blobs/uploads/blobs/uploads", "UPLOADS", "a/blobs/uploads", ""),
        ("/v2/a/blobs/uploads/uploads", "UPLOAD", "a", "uploads"),
        ("/v2/a/blobs/blobs/uploads/1", "UPLOAD", "a/blobs", "1"),
        ("/v2/uploads/blobs/uploads/1", "UPLOAD", "uploads", "1"),
        (f"/v2/a/uploads/blobs/{DIGEST}", "BLOB", "a/uploads", DIGEST),
        ("/v2/_catalog/tags/list", "TAGS", "_catalog", ""),
        ("/v2/a/referrers/referrers/x", "REFERRERS", "a/referrers", "x"),
        ("/v2/a/_oci/ext/discover/tags/list", "TAGS", "a/_oci/ext/discover", ""),
        # neither name nor reference is checked
        ("/v2/A//B/manifests/!", "MANIFEST", "A//B", "!"),
        ("/v2/../manifests/..", "MANIFEST", "..", ".."),
        ("/v2/ a/manifests/b c", "MANIFEST", " a", "b c"),
        # escapes are decoded once, before anything is decided
        ("/v2/foo%2Fbar/manifests/1", "MANIFEST", "foo/bar", "1"),
        (f"/v2/a/blobs/{DIGEST.replace(':', '%3A')}", "BLOB", "a", DIGEST),
        (f"/v2/a/blobs/{DIGEST.replace(':', '%3a')}", "BLOB", "a", DIGEST),
        ("/v2/a%2Fblobs%2Fuploads%2F", "UPLOADS", "a", ""),
        ("/v2/a/manifests/%252F", "MANIFEST", "a", "%2F"),
        ("/v2/caf%C3%A9/manifests/%F0%9F%98%80", "MANIFEST", "café", "😀"),
        ("/%762/", "PING", "", ""),
    ],
)
def test_path_leads_to(names: ModuleType, path: str, kind: str, name: str, reference: str) -> None:
    assert names.split_oci_path(path) == (getattr(names, kind), name, reference)


@each(
    "path",
    [
        "",
        "/",
        "v2/",
        "/v1/",
        "/v2x",
        "/v22/a/manifests/1",
        "/V2/",
        "/v2//",
        "/v2/a",
        "/v2/manifests/1",
        "/v2//manifests/1",
        "/v2/a/manifests/",
        "/v2/a/manifests",
        "/v2/a/manifests/b/c",
        "/v2/tags/list",
        "/v2/a/tags/list/",
        "/v2/a/tags/other",
        "/v2/a/tags/",
        "/v2/blobs/uploads/",
        "/v2/blobs/uploads",
        "/v2/blobs/uploads/1",
        "/v2//blobs/uploads/1",
        "/v2//blobs/uploads/",
        "/v2//blobs/uploads",
        "/v2/a/uploads/1",
        "/v2/a/blobs/",
        "/v2/_catalog/",
        "/v2/token/",
        "/v2//_oci/ext/discover",
        "/v2/a_oci/ext/discover",
        "/v2/a/Manifests/1",
        "/v2/a/referrers/",
        "a/v2/a/manifests/1",
    ],
)
def test_path_leads_nowhere(names: ModuleType, path: str) -> None:
    assert names.split_oci_path(path) == (names.NOWHERE, "", "")


@each(
    ("path", "message"),
    [
        ("/v2/a/manifests/%", "percent-escape"),
        ("/v2/a/manifests/%4", "percent-escape"),
        ("/v2/a/manifests/%4g", "percent-escape"),
        ("/v2/a/manifests/%%41", "percent-escape"),
        ("/v2/%zz", "percent-escape"),
        ("/v2/a/manifests/%ff", "UTF-8"),
        ("/v2/a/manifests/%c3", "UTF-8"),
        ("/v2/a/manifests/%c0%80", "UTF-8"),
        ("/v2/a/manifests/%ed%a0%80", "UTF-8"),
        ("/v2/a/manifests/%00", "control"),
        ("/v2/a/manifests/%0a", "control"),
        ("/v2/a%7f/manifests/1", "control"),
        ("/v2/a/manifests/%c2%85", "control"),
        ("/v2/a/manifests/\x00", "control"),
        ("/v2/a/manifests/\n", "control"),
        ("/v2/a/manifests/\x7f", "control"),
        ("/v2/café/manifests/1", "ASCII"),
        ("/v2/\ud800/manifests/1", "ASCII"),
        ("/v2/\x85", "ASCII"),
    ],
)
def test_malformed_path(names: ModuleType, path: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        names.split_oci_path(path)
    assert type(caught.value) is ValueError


def test_kinds_are_the_numbers_from_zero(names: ModuleType) -> None:
    order = "PING CATALOG TAGS MANIFEST BLOB UPLOADS UPLOAD REFERRERS EXTENSIONS TOKEN NOWHERE"
    assert [getattr(names, name) for name in order.split()] == list(range(11))


# ---- image names, tags, digests, request ids ----


@each(
    "text",
    [
        "a",
        "0",
        "library/alpine",
        "a.b",
        "a_b",
        "a__b",
        "a-b",
        "a--b",
        "a-----b",
        "a/b/c/d/e/f/g",
        "0/1",
        "a.b_c__d-e---f/g.h",
        "blobs/uploads",
        "a" * 255,
        "/".join(["a"] * 128),
    ],
)
def test_image_name(names: ModuleType, text: str) -> None:
    assert names.is_image_name(text)


@each(
    "text",
    [
        "",
        "A",
        "aB",
        "a b",
        "a..b",
        "a___b",
        "a._b",
        "a-_b",
        "a_-b",
        "a.-b",
        ".a",
        "_a",
        "-a",
        "a.",
        "a_",
        "a__",
        "a-",
        "/a",
        "a/",
        "a//b",
        "a/-b",
        "a-/b",
        "a\n",
        "\na",
        "a\x00",
        "a:b",
        "a@b",
        "é",
        "aé",
        "\u0660",
        "\ud800",
        "a" * 256,
        "/".join(["a"] * 129),
    ],
)
def test_no_image_name(names: ModuleType, text: str) -> None:
    assert not names.is_image_name(text)


@each("text", ["a", "A", "_", "0", "_a", "1.0", "v1-rc.2_x", "a.", "a-", "a" * 128])
def test_tag(names: ModuleType, text: str) -> None:
    assert names.is_tag(text)


@each("text", ["", ".a", "-a", "a b", "a/b", "a:b", "a\n", "é", "a+b", "a" * 129, "\ud800", "a\x00"])
def test_no_tag(names: ModuleType, text: str) -> None:
    assert not names.is_tag(text)


@each("text", [DIGEST, LONG_DIGEST])
def test_digest(names: ModuleType, text: str) -> None:
    assert names.is_digest(text)
    assert names.parse_digest(text) == tuple(text.split(":"))


@each(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        ":" + "a" * 64,
        DIGEST[:-1],
        DIGEST + "a",
        DIGEST + "\n",
        DIGEST.upper(),
        DIGEST[:-1] + "A",
        DIGEST[:-1] + "g",
        DIGEST[:-1] + "é",
        "sha256:" + "a" * 128,
        "sha512:" + "a" * 64,
        LONG_DIGEST[:-1],
        "sha384:" + "a" * 96,
        "md5:" + "a" * 32,
        "sha256+b64:" + "a" * 64,
        " " + DIGEST,
        "sha256-" + "a" * 64,
        "\ud800" * 71,
    ],
)
def test_no_digest(names: ModuleType, text: str) -> None:
    assert not names.is_digest(text)
    with pytest.raises(ValueError, match="digest is not sha256: or sha512:"):
        names.parse_digest(text)


@each("text", ["a", "!", "~", "0190-4f", "a:b/c?d=e%", "x" * 128])
def test_request_id(names: ModuleType, text: str) -> None:
    assert names.is_request_id(text)


@each("text", ["", " ", "a b", "a\n", "\x7f", "\x00", "é", "x" * 129, "\ud800"])
def test_no_request_id(names: ModuleType, text: str) -> None:
    assert not names.is_request_id(text)
