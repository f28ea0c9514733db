"""Referrers: the manifests whose subject is a digest, in pages (distribution-spec end-12).

They come from rows, from the index that a client without this API keeps under a tag, and from upstreams.
Annotations make an entry as large as a manifest may be, so pages are bounded in bytes, and before the rows
are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import orjson
from blacksheep import Content, Response

from nora.catalog.blocks import Hidden
from nora.errors import Blocked, quoted
from nora.formats.base import Services
from nora.formats.docker.documents import (
    INDEX_TYPES,
    OCI_INDEX,
    fallback_tag,
    next_link,
    read_index,
    referrer_descriptor,
    render_referrers,
)
from nora.formats.docker.names import Image
from nora.formats.docker.pull_through import PullThrough
from nora.formats.docker.remote_listings import RemoteListings
from nora.formats.docker.resource import API_VERSION, Resource
from nora.formats.docker.upstream import Remotes
from nora.model import Digest, Repository
from nora.proxy.offload import offload
from nora.resolve import Candidate

_PAGE = 1000
_PAGE_BYTES = 2 * 1024 * 1024
"""Clients refuse an index of more than 4 MiB; annotations may be long."""
_BATCH = 256
"""Paths that are looked up at once on the event loop."""
_PARSING = 8
"""How much more work a byte of an index is than most: its entries are made anew."""

Entry = dict[str, Any]


class Referrers:
    """The endpoint."""

    def __init__(self, services: Services, remotes: Remotes, pull: PullThrough) -> None:
        self._remotes = remotes
        self._pull = pull
        self._resolver = services.resolver
        self._remote = RemoteListings(services, remotes)
        self._catalog = services.catalog
        self._blobs = services.blobs

    async def get(self, resource: Resource) -> Response:
        """GET and HEAD of the manifests that are about another one, such as signatures."""
        """An index; empty where there are none."""
        image = resource.image
        wanted = _Wanted(
            Digest(resource.reference),
            resource.parameter("artifactType") or None,
            resource.parameter("last") or "",
        )
        page, is_cut = (await self._find(image, wanted)).page()
        headers = [API_VERSION]
        if wanted.artifact_type is not None:
            headers.append((b"oci-filters-applied", b"artifactType"))
        if is_cut:
            path = f"/v2/{quoted(image.full_name)}/referrers/{wanted.subject}"
            link = next_link(path, artifactType=wanted.artifact_type, last=page[-1]["digest"])
            headers.append(link)
        return Response(200, headers, Content(OCI_INDEX.encode(), render_referrers(page)))

    async def _find(self, image: Image, wanted: _Wanted) -> _Found:
        found = _Found()
        described: list[Entry] = []

        async def take(repository: int, package: str) -> None:
            found.hide(self._catalog.blocks().hidden(repository, package))
            rows, has_more = await self._catalog.list_versions_about(
                repository,
                package,
                wanted.subject,
                wanted.artifact_type,
                wanted.last,
                limit=_PAGE,
                max_bytes=_PAGE_BYTES,
            )
            found.add(map(referrer_descriptor, rows), has_more=has_more)

        async def look(hosted: Repository) -> bool:
            self._catalog.blocks().check(hosted.id, image.package)
            await take(hosted.id, image.package)
            described.extend(await self._fallback(hosted.id, image, wanted))
            return True

        async def ask(candidate: Candidate) -> bool | None:
            if not candidate.is_last and not await self._pull.has_image(candidate):
                return None
            await take(*candidate.key)
            descriptors = await self._remote.referrers(candidate, wanted.subject)
            described.extend(filter(wanted.has, descriptors))
            is_its = candidate.pinned or not candidate.is_last  # else it was not even asked
            return is_its or bool(descriptors) or None

        await self._resolver.every_hosted(image.repository, look)
        await self._resolver.every(await self._remotes.resolve(image), ask)
        found.add(described, has_more=False)
        return found

    async def _fallback(self, repository: int, image: Image, wanted: _Wanted) -> list[Entry]:
        """Those that a client without this API has listed under a tag, as far as they are here; no more than
        a page needs (Enabling the Referrers API)."""
        tag = fallback_tag(wanted.subject)
        try:
            file = await self._catalog.find_tagged_file(repository, image.package, tag)
        except Blocked:
            return []
        if file is None or file.media_type not in INDEX_TYPES:
            return []
        body = await self._blobs.read(file.blob)
        written = await offload(read_index, body, weight=_PARSING * len(body))
        entries = sorted(filter(wanted.has, written), key=_digest_of)
        found: list[Entry] = []
        for start in range(0, len(entries), _BATCH):
            paths = {image.file_path(one["digest"]): one for one in entries[start : start + _BATCH]}
            held = await self._catalog.find_paths(repository, [*paths])
            found += [entry for path, entry in paths.items() if path in held]
            if len(found) > _PAGE:
                break
            await asyncio.sleep(0)  # let other requests in between
        return found


class _Wanted:
    """What a request asks for."""

    __slots__ = ("artifact_type", "last", "subject")

    def __init__(self, subject: Digest, artifact_type: str | None, last: str) -> None:
        self.subject = subject
        self.artifact_type = artifact_type
        self.last = last

    def has(self, entry: Entry) -> bool:
        """Whether an entry of an index that somebody wrote is among it."""
        fits = self.artifact_type is None or entry.get("artifactType") == self.artifact_type
        return fits and entry["digest"] > self.last


class _Found:
    """What was found, of which a page is made: the first who has an entry says what it is."""

    __slots__ = ("_entries", "_hidden", "_known_to")

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._hidden: set[str] = set()
        """Digests that are blocked."""
        self._known_to: str | None = None
        """Behind this digest somebody has more than was read; None: that is all."""

    def add(self, entries: Iterable[Entry], *, has_more: bool) -> None:
        """Add entries, which are in order when there are more of them."""
        digest = ""
        for entry in entries:
            digest = entry["digest"]
            self._entries.setdefault(digest, entry)
        if has_more and (self._known_to is None or digest < self._known_to):
            self._known_to = digest

    def hide(self, hidden: Hidden | None) -> None:
        """Leave out what is blocked."""
        if hidden is not None:
            self._hidden |= hidden.versions | hidden.digests

    def page(self) -> tuple[list[Entry], bool]:
        """The first ones, and whether there are more behind them."""
        known = [one for one in self._entries if self._known_to is None or one <= self._known_to]
        page: list[Entry] = []
        size = 0
        for digest in sorted(set(known) - self._hidden):
            size += len(orjson.dumps(self._entries[digest]))
            if len(page) == _PAGE or (page and size > _PAGE_BYTES):
                return page, True
            page.append(self._entries[digest])
        return page, bool(page) and self._known_to is not None


def _digest_of(entry: Entry) -> str:
    digest: str = entry["digest"]
    return digest
