"""Scanning of manifests: the pure Python twin of `manifest_c`, on orjson."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from nora._speedups.descriptors import Descriptor, Manifest

_SIZE_LIMIT = 1 << 63

# image-spec, descriptor.md, "Digests": any algorithm, but those that are registered have one form only.
_digest = re.compile(
    r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"
    r"|(?!sha256:|sha512:)[a-z0-9]++(?:[+._-][a-z0-9]++)*+:[a-zA-Z0-9=_-]++"
).fullmatch
_new = tuple.__new__
_tokens = re.compile(rb'("(?:[^"\\]++|\\.)*+")([ \t\r\n]*+:)?|([{}\[\]])').findall
"""Of a valid document the strings, with the colon that makes one the name of a member, and the brackets."""

_MANIFEST = frozenset(
    {"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"}
)
_DESCRIPTOR = frozenset(
    {"mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"}
)
_PLATFORM = frozenset({"os", "architecture", "variant", "os.version", "os.features", "features"})
_NAMES = {"manifest": _MANIFEST, "descriptor": _DESCRIPTOR, "platform": _PLATFORM}
_KINDS = {
    ("", "", b"{"): "manifest",
    ("manifest", "config", b"{"): "descriptor",
    ("manifest", "subject", b"{"): "descriptor",
    ("manifest", "layers", b"["): "descriptors",
    ("manifest", "manifests", b"["): "descriptors",
    ("descriptors", "", b"{"): "descriptor",
    ("descriptor", "platform", b"{"): "platform",
}
"""What is within what, under which name and bracket."""


def scan_manifest(body: bytes) -> Manifest:
    """Read everything that a registry needs to know out of a manifest or an index, of whatever vendor.

    Raises ValueError when `body` is not JSON as orjson takes it, or is no manifest: a known field of a wrong
    type, a malformed descriptor, neither layers nor manifests, or both. Unknown fields are skipped; null
    counts as absent, and as empty for layers and manifests. A name of the specification that is given twice,
    or in another case, is refused: parsers do not agree on which member counts (CVE-2021-41190).
    """
    if type(body) is not bytes:
        raise TypeError(f"manifest must be bytes, not {type(body).__name__}")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValueError("manifest is not valid JSON") from None
    if type(document) is not dict:
        raise ValueError("manifest is not an object")
    _check_members(document, body)
    get = document.get
    version = get("schemaVersion")
    if version is not None and (type(version) is not int or not 0 <= version < _SIZE_LIMIT):
        raise ValueError("schemaVersion is not an integer between 0 and 2**63 - 1")
    config, subject = get("config"), get("subject")
    manifest = _new(
        Manifest,
        (
            _text(get("mediaType"), "mediaType"),
            _text(get("artifactType"), "artifactType"),
            None if config is None else _descriptor(config, "config"),
            _descriptors(get("layers"), "layers"),
            _descriptors(get("manifests"), "manifests"),
            None if subject is None else _descriptor(subject, "subject"),
            compact_annotations(get("annotations")),
            version,
        ),
    )
    if "layers" not in document and "manifests" not in document:
        raise ValueError("manifest has neither layers nor manifests")
    if get("layers") is not None and get("manifests") is not None:
        raise ValueError("manifest has both layers and manifests")
    return manifest


def _check_members(document: dict[str, Any], body: bytes) -> None:
    """Raises ValueError where another parser might take another member than this one does."""
    tokens = _tokens(body)
    if sum(colon != b"" for _, colon, _ in tokens) > _count_members(document):
        _check_once(tokens)
    for where, index, having, found, names in _objects(document):
        if not names.issuperset(found):
            odd = {_folded(name) for name in found if name not in names}
            if wrong := [name for name in names if _folded(name) in odd]:
                raise _malformed(where, index, f"{having} {min(wrong)} in another case")


def _check_once(tokens: Iterable[tuple[bytes, bytes, bytes]]) -> None:
    """Raises ValueError for a name of the specification that an object has twice."""
    open_: list[tuple[str, set[str]]] = [("", set())]
    name = ""
    for string, colon, bracket in tokens:
        kind, seen = open_[-1]
        if colon:
            name = orjson.loads(string)
            if name in seen and name in _NAMES.get(kind, ()):
                raise ValueError(f"{kind} has {name} twice")
            seen.add(name)
        elif bracket in (b"{", b"["):
            member = "" if kind == "descriptors" else name
            open_.append((_KINDS.get((kind, member, bracket), "other"), set()))
        elif bracket:
            open_.pop()


def _folded(name: str) -> str:
    """As the parser of Go compares names: two characters outside of ASCII are letters in another case."""
    return name.lower().replace("\u017f", "s")


def _count_members(document: dict[str, Any]) -> int:
    """Of all objects, however deep."""
    count = 0
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            count += len(value)
            waiting += [one for one in value.values() if type(one) is dict or type(one) is list]
        else:
            waiting += [one for one in value if type(one) is dict or type(one) is list]
    return count


def _objects(
    document: dict[str, Any],
) -> Iterator[tuple[str, int, str, dict[str, Any], frozenset[str]]]:
    """The objects whose members the specification names: where they are, and these names."""
    yield "manifest", -1, "has", document, _MANIFEST
    for field in ("config", "layers", "manifests", "subject"):
        value = document.get(field)
        if field in ("config", "subject"):
            entries: Iterable[tuple[int, Any]] = [(-1, value)]
        else:
            entries = enumerate(value) if type(value) is list else ()
        for index, entry in entries:
            if type(entry) is dict:
                yield field, index, "has", entry, _DESCRIPTOR
                platform = entry.get("platform")
                if type(platform) is dict:
                    yield field, index, "has a platform with", platform, _PLATFORM


def _text(value: Any, where: str) -> str | None:
    if value is None or type(value) is str:
        return value
    raise ValueError(f"{where} is not a string")


def _descriptors(values: Any, where: str) -> tuple[Descriptor, ...]:
    if not values and (values is None or type(values) is list):
        return ()
    if type(values) is not list:
        raise ValueError(f"{where} is not an array")
    return tuple([_descriptor(value, where, index) for index, value in enumerate(values)])


def _descriptor(value: Any, where: str, index: int = -1) -> Descriptor:
    if type(value) is not dict:
        raise _malformed(where, index, "is not an object")
    get = value.get
    media_type, digest, size = get("mediaType"), get("digest"), get("size")
    if type(media_type) is not str or not media_type:
        raise _malformed(where, index, "has no mediaType that is a non-empty string")
    if type(digest) is not str or not _digest(digest):
        raise _malformed(where, index, "has no digest of the form algorithm:encoded")
    if type(size) is not int or not 0 <= size < _SIZE_LIMIT:
        raise _malformed(where, index, "has no size that is an integer between 0 and 2**63 - 1")
    if len(value) == 3:
        return _new(Descriptor, (media_type, digest, size, False, None, None))
    urls, artifact_type, platform = get("urls"), get("artifactType"), get("platform")
    if urls is not None and type(urls) is not list:
        raise _malformed(where, index, "has urls that are not an array")
    if artifact_type is not None and type(artifact_type) is not str:
        raise _malformed(where, index, "has an artifactType that is not a string")
    if platform is not None:
        platform = _platform(platform, where, index)
    return _new(Descriptor, (media_type, digest, size, bool(urls), artifact_type, platform))


def _platform(value: Any, where: str, index: int) -> str | None:
    if type(value) is not dict:
        raise _malformed(where, index, "has a platform that is not an object")
    get = value.get
    system, architecture, variant = get("os"), get("architecture"), get("variant")
    for part in (system, architecture, variant):
        if part is not None and type(part) is not str:
            raise _malformed(where, index, "has a platform whose os, architecture or variant is not a string")
    if not system or not architecture:
        return None
    return f"{system}/{architecture}/{variant}" if variant else f"{system}/{architecture}"


def compact_annotations(values: Any) -> bytes | None:
    """The annotations as compact JSON; ValueError when they are not an object of strings."""
    if values is None:
        return None
    if type(values) is not dict:
        raise ValueError("annotations is not an object")
    for value in values.values():
        if type(value) is not str:
            raise ValueError("annotations has a value that is not a string")
    return orjson.dumps(values)


def _malformed(where: str, index: int, problem: str) -> ValueError:
    return ValueError(f"{where} {problem}" if index < 0 else f"{where}[{index}] {problem}")
