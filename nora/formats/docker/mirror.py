"""`nora mirror docker`: what a tag means, the manifests of its platforms, their configs and layers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from nora._speedups import is_image_name
from nora.errors import BadRequest, DigestMismatch, InvalidDigest, InvalidTag, quoted
from nora.formats.docker.documents import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    IMAGE_TYPES,
    INDEX_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
)
from nora.formats.docker.names import Tag, parse_reference
from nora.formats.mirroring import (
    MirrorTool,
    Missing,
    Registry,
    Table,
    Unusable,
    Want,
    table,
    tables,
    text_of,
)
from nora.model import Digest

ACCEPT: Final = f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_LIST}, {DOCKER_MANIFEST}"
LARGEST_MANIFEST: Final = 16 << 20
SUBJECT: Final = "vnd.docker.reference.digest"
"""The annotation by which an attestation in an index says which image it is about (BuildKit)."""
_host = re.compile(r"[a-z0-9][a-z0-9.-]*(?::[0-9]{1,5})?").fullmatch
_platform = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?").fullmatch


@dataclass(frozen=True, slots=True)
class Image:
    """The name of an image, and of the registry that it is of, where that is said."""

    name: str
    host: str = ""

    def __str__(self) -> str:
        return f"{self.host}/{self.name}" if self.host else self.name

    def path(self, kind: str, reference: str) -> str:
        """Of a manifest or a blob. Which registry is meant is said as containerd says it to a mirror."""
        return f"/v2/{self.name}/{kind}/{reference}" + (f"?ns={quote(self.host)}" if self.host else "")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest by tag or digest, and what it refers to."""

    image: Image
    reference: Digest | Tag
    digest: str = ""
    """What it has to be, where a tag was named together with it."""
    platforms: tuple[str, ...] = ()
    """Of an index, which of its images; none: all of them."""

    @property
    def title(self) -> str:
        """See Want."""
        sign = "@" if isinstance(self.reference, Digest) else ":"
        return f"{self.image}{sign}{self.reference}"

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        path = self.image.path("manifests", self.reference)
        document = await registry.document(path, ACCEPT, LARGEST_MANIFEST)
        told = document.headers.get("docker-content-digest", "")
        _check(document.body, self.reference if isinstance(self.reference, Digest) else self.digest or told)
        media_type = document.headers.get("content-type", "").partition(";")[0].strip()
        if media_type in INDEX_TYPES:
            return self._children(tables(document.json.get("manifests")))
        if media_type not in IMAGE_TYPES:
            raise Unusable(f"it is {quoted(media_type) or 'nothing that is said'}, which is not mirrored")
        refers = [table(document.json.get("config")), *tables(document.json.get("layers"))]
        return [Blob(self.image, _digest(one)) for one in refers if one and not one.get("urls")]

    def _children(self, listed: Sequence[Table]) -> Sequence[Want]:
        chosen = [one for one in listed if not self.platforms or _is_of(one, self.platforms)]
        found = {text_of(one, "digest") for one in chosen}
        about = [one for one in listed if _subject(one) in found and one not in chosen]
        wants: list[Want] = [_child(self.image, one) for one in (*chosen, *about)]
        for platform in self.platforms:
            if not any(_is_of(one, (platform,)) for one in listed):
                there = ", ".join(sorted(filter(None, map(_name_of, listed)))) or "none"
                wants.append(
                    Missing(
                        f"{self.title} for {platform}", f"it has no image for it, but for {quoted(there)}"
                    )
                )
        return wants


@dataclass(frozen=True, slots=True)
class Blob:
    """A config or a layer."""

    image: Image
    digest: Digest

    @property
    def title(self) -> str:
        """See Want."""
        return f"{self.image} {self.digest}"

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        hashes = {self.digest.algorithm: (self.digest.encoded,)}
        await registry.file(self.image.path("blobs", self.digest), hashes)
        return ()


def parse_image(text: str) -> tuple[Image, Digest | Tag, str]:
    """Of `team/app:1`, `registry.example.com/team/app@sha256:…`: the image, what to ask for, and the digest
    that this has to have, if it is said. Raises BadRequest."""
    name, at, digest = text.partition("@")
    before, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    name = f"{before}{slash}{last}"
    first, _, rest = name.partition("/")
    host = first if rest and ("." in first or ":" in first or first == "localhost") else ""
    name = rest if host else name
    try:
        if not is_image_name(name) or (host and not _host(host)) or (at and not digest):
            raise BadRequest(f"{quoted(text)!r} is no image, such as alpine:3.22 or team/app@sha256:…")
        wanted = Digest(digest) if digest else None
        reference = Tag(tag) if colon else wanted or Tag("latest")
    except (InvalidDigest, InvalidTag) as error:
        raise BadRequest(f"{quoted(text)!r}: {error}") from None
    return Image(name, host), reference, wanted or ""


def _images(names: Sequence[str], platforms: Sequence[str]) -> Sequence[Want]:
    for one in platforms:
        if not _platform(one):
            raise BadRequest(f"{quoted(one)!r} is no platform, such as linux/amd64 or linux/arm/v7")
    return [Manifest(*parse_image(name), tuple(platforms)) for name in names]


def _child(image: Image, entry: Table) -> Want:
    """What an index refers to: manifests, and blobs where it is a cache of builds."""
    digest = _digest(entry)
    is_manifest = text_of(entry, "mediaType") in IMAGE_TYPES | INDEX_TYPES
    return Manifest(image, digest) if is_manifest else Blob(image, digest)


def _digest(entry: Table) -> Digest:
    found = parse_reference(text_of(entry, "digest"))
    if not isinstance(found, Digest):
        raise InvalidDigest(f"{quoted(found)!r} is no digest")
    return found


def _subject(entry: Table) -> str:
    return text_of(table(entry.get("annotations")) or {}, SUBJECT)


def _name_of(entry: Table) -> str:
    """The platform of an entry of an index; empty for what is for none."""
    said = table(entry.get("platform")) or {}
    names = [text_of(said, name) for name in ("os", "architecture", "variant")]
    return "" if "unknown" in names else "/".join(filter(None, names))


def _is_of(entry: Table, platforms: Sequence[str]) -> bool:
    """Whether an entry is for one of the platforms; one without a variant stands for all of them."""
    name = _name_of(entry)
    return any(name == one or name.startswith(f"{one}/") for one in platforms)


def _check(body: bytes, wanted: str) -> None:
    if wanted:
        digest = Digest(wanted)
        found = hashlib.new(digest.algorithm, body).hexdigest()
        if found != digest.encoded:
            raise DigestMismatch(f"its {digest.algorithm} is {found}, and should be {digest.encoded}")


TOOLS: Final = (
    MirrorTool(
        name="docker",
        needs="images by name (--images, --images-file), for all platforms or some (--platforms)",
        images=_images,
    ),
)
