"""`npm audit`: upstreams are told what is installed, but for names that are ours.

    POST /-/npm/v1/security/advisories/bulk   {name: [version, …]} → {name: [advisory, …]}
    POST /-/npm/v1/security/audits            the tree of a lock file → a report (npm 6, yarn 1)
    POST /-/npm/v1/security/audits/quick      the same

What cannot be asked is an error: an empty answer would say that nothing is wrong.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Collection, Mapping
from typing import Any, Final

import orjson
from blacksheep import Response

from nora.errors import BadRequest, InvalidName, NotFound, TooLarge, UpstreamFailed
from nora.formats.base import Services
from nora.formats.npm.names import PackageName, is_version
from nora.formats.npm.resource import Resource
from nora.formats.npm.upstream import Index
from nora.http.body import read_body
from nora.http.fields import json_answer
from nora.outbound import host_of
from nora.proxy.offload import offload
from nora.resolve import Source

LARGEST_BODY: Final = 16 << 20
LARGEST_UNPACKED: Final = 64 << 20
LARGEST_ANSWER: Final = 64 << 20
MOST_NAMES: Final = 100_000
MOST_ENTRIES: Final = 300_000
"""Of a tree, which names a package wherever it is needed: it is looked through on the event loop."""
DEEPEST: Final = 200
_HEADERS: Final = {"content-type": "application/json", "accept": "application/json"}
_TREES: Final = ("dependencies", "requires")
_LISTS: Final = ("install", "remove")
"""Names that a command was given."""
_FLAGS: Final = ("dev", "optional", "bundled", "requires")
_TEXTS: Final = ("version", "integrity")
_METADATA: Final = ("node_version", "npm_version", "platform")
_is_range = re.compile(r"[0-9A-Za-z.*+<>=^~| -]{0,256}").fullmatch
_YIELD_NAMES: Final = 200
"""Names that are resolved before others are served."""


class Audit:
    """The endpoints."""

    def __init__(self, services: Services, index: Index) -> None:
        self._resolver = services.resolver
        self._index = index
        self._idle_seconds = services.config.server.idle_timeout

    async def bulk(self, resource: Resource) -> Response:
        """What is known of flaws of packages. Each name is asked of the source that it comes from."""
        wanted = {name: said for name, said in (await self._read(resource)).items() if isinstance(said, list)}
        asked: dict[int, tuple[Source, dict[str, Any]]] = {}
        for name, source in (await self._sources_of(resource, wanted)).items():
            versions = [one for one in wanted[name] if isinstance(one, str) and is_version(one)]
            if source is not None and versions:
                asked.setdefault(source.id, (source, {}))[1][name] = versions
        self._check_sources(resource)
        path = "/-/npm/v1/security/advisories/bulk"
        answers = await asyncio.gather(*(self._ask(source, path, names) for source, names in asked.values()))
        found: dict[str, Any] = {}
        for answer in answers:
            found |= answer
        return json_answer(found)

    async def tree(self, resource: Resource) -> Response:
        """What is known of flaws in a tree of packages. It is asked of one source: that of most of its
        names."""
        body = await self._read(resource)
        sources = await self._sources_of(resource, _names_in(body))
        self._check_sources(resource)
        counts: dict[int, int] = {}
        for source in filter(None, sources.values()):
            counts[source.id] = counts.get(source.id, 0) + 1
        if not counts:
            raise NotFound("none of these packages comes from an upstream: there is nobody to ask")
        most = max(counts, key=lambda number: counts[number])
        source = next(one for one in sources.values() if one is not None and one.id == most)
        told = {name for name, one in sources.items() if one is not None and one.id == most}
        path = "/-/npm/v1/security/audits"
        if resource.target.pattern.endswith("/quick"):
            path += "/quick"
        lists = {key: _only(body[key], told) for key in _LISTS if isinstance(body.get(key), list)}
        about = {"metadata": _only_texts(body.get("metadata")), **lists, **_told(body, told)}
        return json_answer(await self._ask(source, path, about))

    async def _sources_of(self, resource: Resource, names: Collection[str]) -> dict[str, Source | None]:
        """Who may be told of names; None: nobody. Raises BadRequest."""
        if len(names) > MOST_NAMES:
            raise BadRequest(f"at most {MOST_NAMES} packages are audited at once")
        found = {}
        for number, name in enumerate(names):
            found[name] = await self._source_of(resource, name)
            if number % _YIELD_NAMES == 0:
                await asyncio.sleep(0)
        return found

    async def _source_of(self, resource: Resource, name: str) -> Source | None:
        try:
            resolution = await self._resolver.resolve(resource.repository, PackageName.of(name))
        except InvalidName:
            return None
        online = (one.source for one in resolution.candidates if self._index.is_online(one.source))
        return next(online, None)

    def _check_sources(self, resource: Resource) -> None:
        """That there is anybody to ask. Raises NotFound."""
        sources = self._resolver.sources_of(resource.repository)
        if not any(self._index.is_online(one) for one in sources):
            raise NotFound("no upstream is asked here, so nothing is known of vulnerabilities")

    async def _ask(self, source: Source, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        upstream = self._index.upstream(source)
        url = f"{upstream.url}{path}"
        sent = orjson.dumps(body)
        reply = await upstream.ask("POST", url, _HEADERS, max_bytes=LARGEST_ANSWER, body=sent)
        if reply is None:
            raise NotFound(f"{host_of(url)} offers no audit")
        answer = await offload(parse, reply.body)
        if not isinstance(answer, dict):
            raise UpstreamFailed(f"{host_of(url)} answers an audit with something that is no JSON object")
        return answer

    async def _read(self, resource: Resource) -> dict[str, Any]:
        """The body, which npm compresses. Raises BadRequest, TooLarge."""
        raw = await read_body(resource.request, LARGEST_BODY, self._idle_seconds)
        encoding = (resource.header(b"content-encoding") or "identity").strip().lower()
        if encoding not in ("identity", "gzip", "x-gzip"):
            raise BadRequest("the body is sent as it is, or with gzip")
        work = 8 * len(raw) if encoding != "identity" else 0
        body = await offload(read_object, raw, encoding != "identity", weight=work)
        if not isinstance(body, dict):
            raise BadRequest("the body is not a JSON object")
        return body


def read_object(raw: bytes, is_packed: bool) -> Any:
    """What a body holds; None for no JSON. Raises BadRequest, TooLarge."""
    if is_packed:
        unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            raw = unpacker.decompress(raw, LARGEST_UNPACKED)
        except zlib.error:
            raise BadRequest("the body is not intact gzip") from None
        if unpacker.unconsumed_tail:
            raise TooLarge(LARGEST_UNPACKED)
        if not unpacker.eof:
            raise BadRequest("the body is not all of a gzip file")
    return parse(raw)


def parse(raw: bytes) -> Any:
    """None for no JSON."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _only(said: list[Any], names: set[str]) -> list[Any]:
    return [one for one in said if isinstance(one, str) and one in names]


def _only_texts(said: Any) -> dict[str, str]:
    found = said if isinstance(said, dict) else {}
    return {key: found[key] for key in _METADATA if isinstance(found.get(key), str)}


def _names_in(tree: Mapping[str, Any]) -> set[str]:
    """Of all packages in the tree of a lock file. Raises BadRequest."""
    found: set[str] = set()
    entries = 0
    left = [(tree, 0)]
    while left:
        node, depth = left.pop()
        if depth > DEEPEST:
            raise BadRequest(f"the tree is deeper than {DEEPEST}")
        for field in _TREES:
            below = node.get(field)
            if isinstance(below, dict):
                entries += len(below)
                found |= below.keys()
                left += [(one, depth + 1) for one in below.values() if isinstance(one, dict)]
        if entries > MOST_ENTRIES:
            raise BadRequest(f"a tree of at most {MOST_ENTRIES} entries is audited")
    return found


def _told(tree: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """What an upstream is told of a tree: these names, their versions, and what they are for. Everything else
    may name what is ours: addresses of tarballs and of repositories, say."""
    found = {key: tree[key] for key in _FLAGS if type(tree.get(key)) is bool}
    for key in _TEXTS:
        if isinstance(said := tree.get(key), str) and (key == "integrity" or is_version(said)):
            found[key] = said
    for field in _TREES:
        below = tree.get(field)
        if isinstance(below, dict):
            found[field] = {name: _entry(one, names) for name, one in below.items() if name in names}
    return found


def _entry(said: Any, names: set[str]) -> Any:
    if isinstance(said, dict):
        return _told(said, names)
    return said if isinstance(said, str) and _is_range(said) else "*"
