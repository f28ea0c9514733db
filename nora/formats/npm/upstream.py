"""What upstreams have: packuments, parsed once and kept in the stored form of `packument`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote, urljoin, urlsplit

from nora.catalog.records import Blob
from nora.errors import UpstreamFailed, quoted
from nora.formats.base import Services
from nora.formats.npm.integrity import hashes_of
from nora.formats.npm.json_packument import JsonPackument, mended
from nora.formats.npm.names import PackageName, is_filename
from nora.formats.npm.packument import MEDIA_TYPE, Listed, Packument, encode, listed
from nora.formats.npm.settings import NpmSettings
from nora.formats.upstream_index import UpstreamIndex
from nora.outbound import Reply, host_of
from nora.proxy.base import Document, Fetched
from nora.proxy.offload import offload
from nora.proxy.upstreams import document_fetch
from nora.resolve import Source

_ACCEPT: Final = {"accept": "application/json"}
MOST_VERSIONS: Final = 100_000
"""Of a package of an upstream: several times as many as any has. A million small ones would take half a
minute, and 650 MB."""
_whole = re.compile(r"https?://[A-Za-z0-9.:_-]+(/[!-\"$->@-~]*)").fullmatch
"""An address without query and fragment."""
_WORK: Final = 2
"""How much more work a byte of a packument is than most."""


class DocumentUnreadable(ValueError):
    """What an upstream sent is no packument."""


class Index(UpstreamIndex):
    """What the upstreams of proxy repositories have."""

    def __init__(self, services: Services) -> None:
        settings = services.settings(NpmSettings)
        super().__init__(services, settings)
        self._max_bytes = settings.max_document_size

    async def document(self, source: Source, name: PackageName) -> Document | None:
        """The packument of a package; None when the source says that there is none. Raises UpstreamFailed.

        It is always the full one: of two forms with clocks of their own clients would see two states.
        """

        async def parse(reply: Reply) -> Fetched:
            try:
                stored = await offload(
                    read_packument, reply.body, reply.url, name, weight=_WORK * len(reply.body)
                )
            except DocumentUnreadable as error:
                raise UpstreamFailed(
                    f"the document of {name} at {host_of(reply.url)} cannot be used: {quoted(error)}"
                ) from None
            return Fetched(body=stored, media_type=MEDIA_TYPE, upstream_url=reply.url)

        upstream = self.upstream(source)
        url = f"{upstream.url}/{name.escaped}"
        fetch = document_fetch(upstream, url, _ACCEPT, parse, max_bytes=self._max_bytes)
        return await self.cached(source, document_path(name), fetch, package=name)

    async def stored(self, blob: Blob) -> bytes:
        """A packument in its stored form."""
        return await self._blobs.read(blob)

    async def find(self, document: Blob, name: PackageName, filename: str) -> Listed | None:
        """The version that has a file."""
        return await offload(find_listed, await self.stored(document), name, filename)


def document_path(name: str) -> str:
    """Where the packument of a package is among the files of a source."""
    return f"{name}/packument"


def tarball_path(name: str, filename: str) -> str:
    """Where a tarball is among the files of a repository."""
    return f"{name}/-/{filename}"


def find_listed(stored: bytes, name: str, filename: str) -> Listed | None:
    """The version that has a file, in a packument in its stored form: under the name that the upstream gives
    it, or under the one that is made of name and version."""
    packument = Packument(stored)
    return packument.find_file(filename) or packument.find(PackageName(name).version_in(filename))


def read_packument(body: bytes, url: str, name: str) -> bytes:
    """The stored form of what an upstream sent. Raises DocumentUnreadable."""
    try:
        return _read(body, url, name)
    except DocumentUnreadable:
        whole = mended(body)
        if whole == body:
            raise
    return _read(whole, url, name)


def _read(body: bytes, url: str, name: str) -> bytes:
    document = JsonPackument(body)

    def rest() -> tuple[dict[str, Any], dict[str, str]]:
        about = document.rest
        if not isinstance(about, dict):
            raise DocumentUnreadable("it is no object")
        if about.get("name", name) != name:
            raise DocumentUnreadable(f"it is that of {quoted(about['name'])}")
        if not isinstance(about.pop("versions", None), dict):
            raise DocumentUnreadable("it has no versions")
        about.pop("_attachments", None)
        return about, _tags(about.pop("dist-tags", None))

    try:
        return encode(_versions(document, url, PackageName(name)), rest)
    except ValueError as error:
        raise DocumentUnreadable(str(error)) from None


def _versions(document: JsonPackument, url: str, name: PackageName) -> Iterator[Listed]:
    """Those that can be installed: objects that say where the tarball is."""
    used: set[str] = set()
    for number, (version, manifest) in enumerate(document.versions()):
        if number == MOST_VERSIONS:
            raise DocumentUnreadable(f"it has more than {MOST_VERSIONS} versions")
        dist = manifest.get("dist") if isinstance(manifest, dict) else None
        tarball = dist.get("tarball") if isinstance(dist, dict) else None
        if not isinstance(tarball, str) or not isinstance(manifest, dict) or not isinstance(dist, dict):
            continue
        found = _address(url, tarball)
        if found is None:
            continue
        address, path = found
        file = unquote(path.rpartition("/")[2])
        if not is_filename(file) or file in used:
            file = name.file(version)
        if is_filename(file):
            used.add(file)
            yield listed(version, file, manifest, hashes_of(dist), address)


def _address(url: str, tarball: str) -> tuple[str, str] | None:
    """The address of a tarball as a document at `url` has it, and its path; None for what is none."""
    if whole := _whole(tarball):  # nearly all are, and those of a document may be thousands
        return tarball, whole[1]
    try:
        address = urljoin(url, tarball)
        parts = urlsplit(address)
    except ValueError:
        return None
    return (address, parts.path) if parts.scheme in ("http", "https") and parts.netloc else None


def _tags(said: object) -> dict[str, str]:
    if not isinstance(said, dict):
        return {}
    return {tag: version for tag, version in said.items() if isinstance(version, str)}
