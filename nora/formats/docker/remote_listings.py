"""Listings of upstreams, kept as documents: the tags of an image, and what refers to a manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urljoin

import orjson

from nora._speedups import is_tag
from nora.catalog.records import Cached
from nora.errors import UpstreamFailed
from nora.formats.base import Services
from nora.formats.docker.documents import OCI_INDEX, fallback_tag, next_page, read_descriptor
from nora.formats.docker.upstream import ACCEPT, Descriptor, Origin, Remotes
from nora.model import Digest
from nora.outbound import Reply, origin
from nora.proxy.base import UNCHANGED, Fetched, Unchanged, Upstream
from nora.proxy.offload import offload
from nora.resolve import Candidate

MAX_PAGES = 100
"""Of a listing that are followed: a hundred thousand tags."""
_PAGE = 1000
MAX_TAG_BYTES = 4 * 1024 * 1024
MAX_REFERRER_BYTES = 2 * 1024 * 1024
"""Of all pages of a listing. It is read again for each request, and at public registries anybody may push a
list of referrers."""
_WORK = 8
"""How much more work a byte of a listing is than most: it may be of very short tags."""
_JSON = "application/json"
_NOTHING = b"[]"
_STRANGE = "the upstream lists referrers in a way that NORA does not know"

T = TypeVar("T")


class RemoteListings:
    """What upstreams list, kept for as long as the meaning of a tag is."""

    def __init__(self, services: Services, remotes: Remotes) -> None:
        self._remotes = remotes
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._cache = services.cache

    async def tags(self, candidate: Candidate) -> list[str] | None:
        """The tags of an image, in byte order; where the upstream cannot say, those that are cached; where it
        is not asked, those that can be pulled. None: it does not have the image. Raises UpstreamFailed when
        nothing is known."""
        origin = self._remotes.origin(candidate)
        if not origin.is_online:
            return await self._held_tags(origin) or None

        async def fetch(cached: Cached | None) -> Fetched | Unchanged | None:
            return await self._ask_tags(origin, is_known=cached is not None or candidate.pinned)

        try:
            document = await self._cache.document(origin.key("tags", ""), self._remotes.policy(origin), fetch)
        except UpstreamFailed:
            held = await self._cached_tags(origin)
            if not held:
                raise
            return held
        if document is None:
            return None
        return list(orjson.loads(await self._blobs.read(document.cached.blob)))

    async def offered(self, candidate: Candidate, tags: list[str]) -> list[str]:
        """Tags without those that are blocked: by their names, or as what they are known to mean."""
        hidden = self._catalog.blocks().hidden(*candidate.key)
        if hidden is None:
            return tags
        origin = self._remotes.origin(candidate)
        prefix = origin.path("tags", "")
        left_out = set(hidden.versions)
        for file in await self._catalog.list_package_files(*candidate.key):
            if file.path.startswith(prefix) and file.path != prefix:
                digest = Descriptor.decode(file.document).digest
                if hidden.has(digest, digest):
                    left_out.add(file.path[len(prefix) :])
        return [tag for tag in tags if tag not in left_out]

    async def referrers(self, candidate: Candidate, subject: Digest) -> list[dict[str, Any]]:
        """Descriptors of what refers to a manifest. Raises UpstreamFailed when that cannot be known."""
        origin = self._remotes.origin(candidate)

        async def fetch(cached: Cached | None) -> Fetched | Unchanged | None:
            found = await self._ask_referrers(origin, subject, cached)
            if isinstance(found, Fetched) and found.body == _NOTHING:
                # Registries say so of every digest that somebody may think of: only what is here is kept.
                path = origin.path("manifests", subject)
                held = await self._catalog.find_file(origin.repository.id, path, blocked=True)
                return None if held is None else found
            return found

        document = await self._cache.document(
            origin.key("referrers", subject), self._remotes.policy(origin), fetch
        )
        if document is None:
            return []
        return list(orjson.loads(await self._blobs.read(document.cached.blob)))

    async def _held_tags(self, origin: Origin) -> list[str]:
        """The tags whose manifests are here."""
        found = []
        for tag in await self._cached_tags(origin):
            cached = await self._catalog.find_cached(origin.repository.id, origin.path("tags", tag))
            if cached is not None:
                path = origin.path("manifests", Descriptor.decode(cached.document).digest)
                if await self._catalog.find_file(origin.repository.id, path, blocked=True) is not None:
                    found.append(tag)
        return found

    async def _cached_tags(self, origin: Origin) -> list[str]:
        files = await self._catalog.list_package_files(origin.repository.id, origin.package)
        prefix = origin.path("tags", "")
        return [
            file.path[len(prefix) :]
            for file in files
            if file.path.startswith(prefix) and len(file.path) > len(prefix)
        ]

    async def _ask_tags(self, image: Origin, *, is_known: bool) -> Fetched | None:
        url = f"{image.url('tags', 'list')}?n={_PAGE}"
        upstream = image.upstream if is_known else image.unseen
        found = await self._pages(image, upstream, url, {"accept": _JSON}, parse_tags, MAX_TAG_BYTES)
        if found is None or not (found or is_known):  # some list nothing for every name there may be
            return None
        body = await offload(render_tags, found, weight=_WORK * sum(map(len, found)))
        return Fetched(body=body, media_type=_JSON, upstream_url=url)

    async def _ask_referrers(
        self, image: Origin, subject: Digest, cached: Cached | None
    ) -> Fetched | Unchanged | None:
        url = image.url("referrers", subject)
        upstream = image.unseen if cached is None else image.upstream
        found = await self._pages(
            image, upstream, url, {"accept": OCI_INDEX}, parse_referrers, MAX_REFERRER_BYTES
        )
        if found is None:
            return await self._ask_fallback(image, subject, cached)
        return _referrers(found, url)

    async def _ask_fallback(
        self, image: Origin, subject: Digest, cached: Cached | None
    ) -> Fetched | Unchanged | None:
        """The tag under which clients keep the list for a registry without the API. As it is a manifest, it
        is fetched only when it is another one than before."""
        url = image.url("manifests", fallback_tag(subject))
        upstream = image.unseen if cached is None else image.upstream
        head = await upstream.ask("HEAD", url, {"accept": ACCEPT}, max_bytes=0)
        if head is None:
            return None
        digest = head.headers.get("docker-content-digest", "")
        if cached is not None and digest and cached.validators.get("digest") == digest:
            return UNCHANGED
        reply = await upstream.ask("GET", url, {"accept": ACCEPT}, max_bytes=MAX_REFERRER_BYTES)
        if reply is None:
            return None
        return _referrers(await _parsed(parse_fallback, reply.body), url, {"digest": digest})

    async def _pages(
        self,
        image: Origin,
        upstream: Upstream,
        url: str,
        headers: dict[str, str],
        parse: Callable[[bytes], list[T]],
        left: int,
    ) -> list[T] | None:
        """All entries of a listing, whose pages are linked (RFC 8288). Raises UpstreamFailed."""
        found: list[T] = []
        for number in range(MAX_PAGES):
            reply = await upstream.ask("GET", url, headers, max_bytes=left)
            if reply is None:
                if number:
                    raise UpstreamFailed(f"{image.name} ends in the middle of a listing at the upstream")
                return None
            found += await _parsed(parse, reply.body)
            left -= len(reply.body)
            following = _following(reply)
            if following is None:
                return found
            url = following
        return found


async def _parsed(parse: Callable[[bytes], list[T]], body: bytes) -> list[T]:
    return await offload(parse, body, weight=_WORK * len(body))


def _referrers(found: list[dict[str, Any]], url: str, validators: Mapping[str, str] | None = None) -> Fetched:
    unique = {one["digest"]: one for one in found}
    body = orjson.dumps([*unique.values()])
    return Fetched(body=body, media_type=_JSON, upstream_url=url, validators=validators or {})


def _following(reply: Reply) -> str | None:
    """The next page of a listing. Raises UpstreamFailed when it is at another registry."""
    link = next_page(reply.headers.get("link", ""))
    if link is None:
        return None
    url = urljoin(reply.url, link)
    try:
        same = origin(url) == origin(reply.url)
    except ValueError:
        same = False
    if not same:
        raise UpstreamFailed("the upstream continues a listing at another one")
    return url


def render_tags(tags: list[str]) -> bytes:
    """As they are kept: in byte order, each once."""
    return orjson.dumps(sorted(set(tags)))  # code points in ASCII are bytes


def parse_tags(body: bytes) -> list[str]:
    """The tags of a `tags/list`; what is no tag is left out. Raises UpstreamFailed."""
    found = _object(body)
    tags = found.get("tags") or []
    if "tags" not in found or not isinstance(tags, list):
        raise UpstreamFailed("the upstream lists tags in a way that NORA does not know")
    return [tag for tag in tags if isinstance(tag, str) and is_tag(tag)]


def parse_referrers(body: bytes) -> list[dict[str, Any]]:
    """The descriptors of a referrers index; what is no descriptor is left out. Raises UpstreamFailed."""
    found = _object(body)
    if "manifests" not in found:
        raise UpstreamFailed(_STRANGE)
    return _descriptors(found)


def parse_fallback(body: bytes) -> list[dict[str, Any]]:
    """The descriptors of what is under the tag of clients that know no referrers API, which need not be an
    index. Raises UpstreamFailed."""
    return _descriptors(_object(body))


def _descriptors(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What some write without entries has null in their place."""
    entries = found.get("manifests")
    if entries is not None and not isinstance(entries, list):
        raise UpstreamFailed(_STRANGE)
    return [one for entry in entries or () if (one := read_descriptor(entry)) is not None]


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamFailed("the upstream answers with what is no JSON") from error
    if not isinstance(found, dict):
        raise UpstreamFailed("the upstream answers with JSON that is no object")
    return found
