"""Properties of every parser: accepted exactly when the grammar accepts, no other exception than the declared
one, and both twins alike. In a file of its own, so that wheels can be tested without hypothesis.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from nora._speedups import digest_py, manifest_py, names_py, ranges_py

names_c = pytest.importorskip("nora._speedups.names_c", exc_type=ImportError)
ranges_c = pytest.importorskip("nora._speedups.ranges_c", exc_type=ImportError)
digest_c = pytest.importorskip("nora._speedups.digest_c", exc_type=ImportError)
manifest_c = pytest.importorskip("nora._speedups.manifest_c", exc_type=ImportError)

# The standard's own words (distribution-spec 1.1, "Pulling manifests"; image-spec, descriptor.md).
NAME = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*\Z")
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\Z")
DIGEST = re.compile(r"(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})\Z")
DESCRIPTOR_DIGEST = re.compile(r"[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+\Z")

surrogates_too = st.text(st.characters(exclude_categories=[]), max_size=40)
near_names = st.text("aB0._-/ \né\x00", max_size=24)
near_names_of_any_length = st.builds(
    lambda text, times: text * times, st.text("a0._-/", max_size=6), st.integers(0, 90)
)
any_text = surrogates_too | near_names | near_names_of_any_length


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a call returns, or the ValueError that it raises; any other exception is a failure."""
    try:
        return function(*arguments)
    except ValueError as error:
        refusal = error
    assert type(refusal) is ValueError
    assert len(str(refusal)) < 200
    return ValueError, str(refusal)


def both(name: str, *arguments: Any) -> Any:
    """The outcome of a function of `names` or `ranges`, which must be the same for both."""
    twin, compiled = (names_py, names_c) if hasattr(names_py, name) else (ranges_py, ranges_c)
    ours, theirs = outcome(getattr(twin, name), *arguments), outcome(getattr(compiled, name), *arguments)
    assert ours == theirs
    assert type(ours) is type(theirs)
    return ours


def accepted(result: Any) -> bool:
    return not (isinstance(result, tuple) and result and result[0] is ValueError)


@given(any_text)
def test_image_name_is_the_grammar(text: str) -> None:
    assert both("is_image_name", text) == (NAME.match(text) is not None and len(text) <= 255)


@given(any_text | st.from_regex(TAG))
def test_tag_is_the_grammar(text: str) -> None:
    assert both("is_tag", text) == (TAG.match(text) is not None)


@given(any_text | st.from_regex(DIGEST) | st.from_regex(DIGEST).map(lambda text: text[:-1]))
def test_digest_is_the_grammar(text: str) -> None:
    assert both("is_digest", text) == (DIGEST.match(text) is not None)
    result = both("parse_digest", text)
    assert accepted(result) == both("is_digest", text)
    if accepted(result):
        assert ":".join(result) == text


@given(any_text)
def test_request_id(text: str) -> None:
    assert both("is_request_id", text) == (0 < len(text) <= 128 and all("!" <= c <= "~" for c in text))


def is_storage_key(text: str) -> bool:
    try:
        segments = text.encode().split(b"/")
    except UnicodeEncodeError:
        return False
    return (
        len(text.encode()) <= 1024
        and unicodedata.normalize("NFC", text) == text
        and not any(unicodedata.category(character) == "Cc" or character == "\\" for character in text)
        and all(0 < len(segment) <= 255 and segment not in {b".", b".."} for segment in segments)
    )


keys = st.lists(
    st.text(st.characters(exclude_categories=[]), max_size=6) | st.sampled_from([".", "..", "a"]), max_size=6
)


@given(
    any_text
    | keys.map("/".join)
    | st.builds(lambda text, n: text * n, st.text("aé/", max_size=5), st.integers(0, 300))
)
def test_storage_key_is_the_rule(text: str) -> None:
    result = both("check_storage_key", text)
    assert accepted(result) == is_storage_key(text)
    if accepted(result):
        assert result == text


# ---- paths ----

components = st.sampled_from(
    [
        "a",
        "b0",
        "blobs",
        "manifests",
        "uploads",
        "tags",
        "list",
        "referrers",
        "_catalog",
        "token",
        "_oci",
        "ext",
        "discover",
        "é",
    ]
)
references = st.text(min_size=1, max_size=20).filter(
    lambda text: "/" not in text and not names_py._control(text)
)
image_names = st.lists(components, min_size=1, max_size=6).map("/".join)


@given(image_names, references, st.data())
def test_split_of_render_is_the_identity(name: str, reference: str, data: st.DataObject) -> None:
    render = {
        "MANIFEST": f"/v2/{name}/manifests/{reference}",
        "REFERRERS": f"/v2/{name}/referrers/{reference}",
        "TAGS": f"/v2/{name}/tags/list",
        "UPLOADS": f"/v2/{name}/blobs/uploads/",
        "UPLOAD": f"/v2/{name}/blobs/uploads/{reference}",
        "EXTENSIONS": f"/v2/{name}/_oci/ext/discover",
    }
    if reference != "uploads":
        render["BLOB"] = f"/v2/{name}/blobs/{reference}"
    kind = data.draw(st.sampled_from(sorted(render)))
    path = quote(render[kind], safe=data.draw(st.sampled_from(["/", "", "/:@!$&'()*+,;="])))
    expected = "" if kind in {"TAGS", "UPLOADS", "EXTENSIONS"} else reference
    ambiguous = kind == "REFERRERS" and (name, reference) == ("_oci/ext", "discover")
    if not ambiguous:
        assert both("split_oci_path", path) == (getattr(names_py, kind), name, expected)


@given(
    st.lists(
        components | st.sampled_from(["", "%2F", "%", "%4", "%C3%A9", "%ff", "%00", "\n", "é", ".."]),
        max_size=8,
    ).map("/".join)
    | surrogates_too
)
def test_paths_never_raise_anything_else(tail: str) -> None:
    both("split_oci_path", "/v2/" + tail)
    both("split_oci_path", tail)


# ---- ranges ----

numbers = st.integers(0, 30) | st.integers(0, 2**64) | st.integers(0, 10**30)
sizes = st.integers(0, 30) | st.integers(0, 2**63 - 1)
any_range = st.text("bytes=0123456789-, /*\u0661", max_size=16)


@given(numbers, numbers, sizes)
def test_range_of_render(start: int, end: int, size: int) -> None:
    result = both("parse_range", f"bytes={start}-{end}", size)
    assert accepted(result) == (start < size and start <= end)
    if accepted(result):
        assert result == (start, min(end, size - 1))
    assert both("parse_range", f"bytes={start}-", size) == (
        (start, size - 1) if start < size else (ValueError, f"range is outside of {size} bytes")
    )
    suffix = both("parse_range", f"bytes=-{end}", size)
    assert suffix == (
        (max(0, size - end), size - 1) if end and size else (ValueError, f"range is outside of {size} bytes")
    )


@given(any_range | any_range.map("bytes=".__add__) | surrogates_too, st.integers(-2, 2**63 + 1))
def test_ranges_never_raise_anything_else(header: str, size: int) -> None:
    both("parse_range", header, size)
    both("parse_content_range", header)


@given(st.integers(0, 10**19 - 1), st.integers(0, 10**19 - 1))
def test_content_range_of_render(start: int, end: int) -> None:
    result = both("parse_content_range", f"{start}-{end}")
    assert result == ((start, end) if start <= end else (ValueError, "content range ends before it starts"))


# ---- digests ----


@given(
    st.lists(
        st.binary(max_size=600)
        | st.builds(lambda byte, n: byte * n, st.binary(min_size=1, max_size=2), st.integers(0, 3000))
    )
)
def test_pieces_make_the_digest_of_the_whole(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    for module in (digest_py, digest_c):
        hasher = module.Hasher("sha256", "sha512", "sha1", "md5", "blake2b_256")
        for piece in pieces:
            hasher.update(piece)
        assert hasher.size == len(whole)
        assert hasher.xxh3() == xxhash.xxh3_128_hexdigest(whole)
        assert hasher.hexdigest("sha256") == hashlib.sha256(whole).hexdigest()
        assert hasher.hexdigest("sha512") == hashlib.sha512(whole).hexdigest()
        assert hasher.hexdigest("sha1") == hashlib.sha1(whole).hexdigest()
        assert hasher.hexdigest("md5") == hashlib.md5(whole).hexdigest()
        assert hasher.hexdigest("blake2b_256") == hashlib.blake2b(whole, digest_size=32).hexdigest()


# ---- manifests ----

texts = st.text(max_size=12)
known = st.sampled_from(
    [
        "mediaType",
        "digest",
        "size",
        "urls",
        "artifactType",
        "platform",
        "config",
        "layers",
        "manifests",
        "subject",
        *("annotations", "schemaVersion", "os", "architecture", "variant", "data", "x"),
        *("Layers", "DIGEST", "\u017fize", "manife\u017ft\u017f", "os.version", "os.features", "features"),
    ]
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
json_values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(known | texts, inner, max_size=5),
    max_leaves=12,
)
digests = (
    st.sampled_from(["sha256:" + "a" * 64, "sha512:" + "b" * 128]) | st.from_regex(DESCRIPTOR_DIGEST) | texts
)
descriptors = st.fixed_dictionaries(
    {"mediaType": st.just("a/b") | texts, "digest": digests, "size": st.integers(0, 2**63 - 1)},
    optional={
        "urls": st.lists(texts, max_size=2) | json_values,
        "artifactType": texts | json_values,
        "platform": st.dictionaries(st.sampled_from(["os", "architecture", "variant"]), texts) | json_values,
        "annotations": json_values,
        "x": json_values,
    },
)
manifests = st.fixed_dictionaries(
    {"layers": st.lists(descriptors, max_size=3)},
    optional={
        "schemaVersion": st.just(2) | json_values,
        "mediaType": texts | json_values,
        "artifactType": texts,
        "config": descriptors | json_values,
        "manifests": st.lists(descriptors, max_size=3) | json_values,
        "subject": descriptors | json_values,
        "annotations": st.dictionaries(texts, texts, max_size=12) | json_values,
        "x": json_values,
    },
)
documents = manifests | json_values | st.dictionaries(known, json_values)


def scan(body: bytes) -> Any:
    ours, theirs = outcome(manifest_py.scan_manifest, body), outcome(manifest_c.scan_manifest, body)
    assert ours == theirs
    assert type(ours) is type(theirs)
    return ours


@given(documents, st.sampled_from([None, 0, 1, 3]), st.booleans())
def test_scan_of_any_json(document: Any, indent: int | None, ascii_only: bool) -> None:
    body = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    scan(body.encode())
    scan(body.replace('"x"', '"layers"').encode())  # which may be there already, or in any of the objects
    scan(body.replace('"x"', '"digest"').encode())


@given(
    manifests, st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=3), st.integers(0, 3)), max_size=3)
)
def test_scan_of_damaged_json(document: Any, damages: list[tuple[int, bytes, int]]) -> None:
    body = orjson.dumps(document)
    for place, instead, removed in damages:
        place %= len(body) + 1
        body = body[:place] + instead + body[place + removed :]
    scan(body)


@given(st.binary(max_size=64) | st.text('{}[]",:\\u0019aeé \n-+.', max_size=40).map(str.encode))
def test_scan_of_any_bytes(body: bytes) -> None:
    scan(body)
    scan(b'{"layers":[],"x":' + body + b"}")
    scan(b'{"layers":[],"annotations":{"a":"' + body + b'"}}')


@given(texts | st.from_regex(DESCRIPTOR_DIGEST) | st.text("aZ09:+._=-", max_size=12))
def test_descriptor_digest_is_the_grammar(text: str) -> None:
    descriptor = {"mediaType": "a/b", "digest": text, "size": 1}
    result = scan(orjson.dumps({"layers": [descriptor]}))
    registered = text.startswith(("sha256:", "sha512:"))
    assert accepted(result) == (
        DESCRIPTOR_DIGEST.match(text) is not None and (not registered or bool(DIGEST.match(text)))
    )


@given(
    st.lists(st.tuples(st.sampled_from(["a/b", "c/d"]), st.integers(0, 2**63 - 1)), max_size=40),
    st.dictionaries(texts, texts),
)
def test_scan_of_render_is_the_identity(layers: list[tuple[str, int]], annotations: dict[str, str]) -> None:
    digest = "sha256:" + "c" * 64
    written = [{"mediaType": media_type, "digest": digest, "size": size} for media_type, size in layers]
    result = scan(orjson.dumps({"layers": written, "annotations": annotations}))
    assert [(layer.media_type, layer.size) for layer in result.layers] == layers
    assert result.annotations == annotations
