"""What was pushed to the NORA written in Rust (nora.formats.legacy).

docker/<image>/blobs/<digest>                      pushed
docker/<image>/manifests/<tag or digest>.json      pushed; `.meta.json` is what was noted of it
docker/<host of an upstream>/<image>/…             copies of what that has
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import orjson

from nora.errors import InvalidDigest, InvalidName, InvalidTag
from nora.formats.docker.names import Tag, parse_reference
from nora.formats.legacy import (
    Call,
    Group,
    Left,
    Legacy,
    LegacyInvalid,
    LegacyTree,
    Names,
    Publication,
    Refused,
    StoredFile,
    as_objects,
)
from nora.model import Digest

LARGEST_MANIFEST: Final = 16 << 20
TAGS_AT_ONCE: Final = 20
"""Of one manifest, in the address of one request."""
_MANIFESTS: Final = "/manifests"
_NOTED: Final = ".meta"
_OCTETS: Final = {"content-type": "application/octet-stream"}


@dataclass(slots=True)
class _Manifest:
    """A manifest of an image. What says no media type is sent with none: the server sees what it is."""

    digest: str
    body: bytes
    document: Mapping[str, Any]
    tags: list[str] = field(default_factory=list)

    @property
    def children(self) -> Iterator[str]:
        """Digests of manifests that it lists."""
        return (str(one.get("digest")) for one in as_objects(self.document.get("manifests")))

    @property
    def contents(self) -> Iterator[str]:
        """Digests of blobs that have to be there."""
        for one in (*as_objects([self.document.get("config")]), *as_objects(self.document.get("layers"))):
            if not one.get("urls"):
                yield str(one.get("digest"))


def _read(tree: LegacyTree, names: Names) -> Iterator[Group]:
    for folder, files in tree.walk("docker"):
        if folder.endswith(_MANIFESTS) and any(name.endswith(".json") for name in files):
            name = folder.removeprefix("docker/").removesuffix(_MANIFESTS)
            host, slash, _ = name.partition("/")
            is_copy = bool(slash) and ("." in host or ":" in host or host == "localhost")
            left = names.decide(name, published=not is_copy)
            yield _image(tree, name, files) if left is None else [left]


def _image(tree: LegacyTree, name: str, files: Sequence[str]) -> Group:
    found: dict[str, _Manifest] = {}
    group: list[Publication | Refused | Left] = []
    for file in files:
        reference = file.removesuffix(".json")
        if reference == file:
            continue
        try:
            _take(tree, f"docker/{name}{_MANIFESTS}/{file}", reference, found)
        except (InvalidDigest, InvalidName, InvalidTag, LegacyInvalid) as error:
            group.append(Refused(f"docker {name} {reference}", str(error)))
    blobs = _Blobs(tree, name)
    return [*group, *(blobs.publication(one) for one in _ordered(found))]


def _take(tree: LegacyTree, key: str, reference: str, found: dict[str, _Manifest]) -> None:
    """Raises LegacyInvalid, InvalidDigest, InvalidTag."""
    body = tree.read(key, LARGEST_MANIFEST)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise LegacyInvalid(f"{key} is no JSON: {error}") from None
    is_manifest = isinstance(document, dict) and "schemaVersion" in document
    if reference.endswith(_NOTED) and not is_manifest:
        return
    if not is_manifest:
        raise LegacyInvalid(f"{key} is no manifest")
    named = parse_reference(reference)
    tree.file(key)  # its pin
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    if isinstance(named, Digest):
        taken = f"{named.algorithm}:{hashlib.new(named.algorithm, body).hexdigest()}"
        if taken != named:
            raise LegacyInvalid(f"{key} is damaged: its digest is {taken}")
    one = found.setdefault(digest, _Manifest(digest, body, document))
    if isinstance(named, Tag):
        one.tags.append(named)


class _Blobs:
    """The blobs of an image. The first one makes the name ours; whether others are there is asked first."""

    def __init__(self, tree: LegacyTree, name: str) -> None:
        self._tree = tree
        self._name = name
        self._sent: set[str] = set()

    def publication(self, manifest: _Manifest) -> Publication | Refused:
        """A manifest, with what it needs."""
        title = f"docker {self._name} {', '.join(manifest.tags) or manifest.digest}"
        try:
            files = [
                (one, self._file(one)) for one in dict.fromkeys(manifest.contents) if one not in self._sent
            ]
        except (InvalidDigest, LegacyInvalid) as error:
            return Refused(title, str(error))
        calls = [self._blob(digest, file) for digest, file in files]
        calls += self._puts(manifest)
        return Publication(title, calls, len(manifest.body) + sum(file.size for _, file in files))

    def _file(self, text: str) -> StoredFile:
        digest = Digest(text)
        return self._tree.file(f"docker/{self._name}/blobs/{digest}", {digest.algorithm: digest.encoded})

    def _blob(self, digest: str, file: StoredFile) -> Call:
        base = f"/v2/{quote(self._name)}/blobs"
        unless = f"{base}/{digest}" if self._sent else ""
        self._sent.add(digest)
        return Call("POST", f"{base}/uploads/?digest={quote(digest)}", [file], _OCTETS, unless)

    def _puts(self, manifest: _Manifest) -> Iterator[Call]:
        media_type = manifest.document.get("mediaType")
        headers = {"content-type": media_type} if isinstance(media_type, str) else _OCTETS
        path = f"/v2/{quote(self._name)}/manifests/{manifest.digest}"
        for start in range(0, len(manifest.tags) or 1, TAGS_AT_ONCE):
            tags = "&".join(f"tag={quote(tag)}" for tag in manifest.tags[start : start + TAGS_AT_ONCE])
            yield Call("PUT", f"{path}?{tags}" if tags else path, [manifest.body], headers)


def _ordered(found: Mapping[str, _Manifest]) -> Iterator[_Manifest]:
    """What others list comes before them."""
    seen: set[str] = set()

    def visit(one: _Manifest) -> Iterator[_Manifest]:
        seen.add(one.digest)
        for child in one.children:
            if child in found and child not in seen:
                yield from visit(found[child])
        yield one

    for one in found.values():
        if one.digest not in seen:
            yield from visit(one)


LEGACY = Legacy(("docker",), _read)
