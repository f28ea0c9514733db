"""Packuments, the manifests of versions, and tags, as clients read them.

A document that was made before is found by what it depends on, and sent as it is: nothing is parsed, rendered
or compressed on the way.
"""

from __future__ import annotations

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.formats.base import Services
from nora.formats.npm.documents import Form, Part, looked_through, make_document, make_version, tags_of
from nora.formats.npm.packument import weight
from nora.formats.npm.resource import Resource
from nora.formats.npm.sources import Finder
from nora.formats.sources import Sources
from nora.http.encodings import Encoding
from nora.http.fields import json_answer
from nora.http.negotiation import Offers
from nora.http.render_cache import VARY_ALL
from nora.http.send import Header
from nora.proxy.answers import NO_CACHE, kept_while
from nora.proxy.offload import offload

_OFFERS = Offers({form.value: form for form in (Form.FULL, Form.ABBREVIATED)}, Form.FULL)
_RENDER_WORK = {Form.FULL: 1, Form.ABBREVIATED: 2}
"""How much work a byte of a stored form is, compared with others."""


class Packuments:
    """The endpoints."""

    def __init__(self, services: Services, authorizer: Authorizer, finder: Finder) -> None:
        self._authorizer = authorizer
        self._finder = finder
        self._render_cache = services.render_cache
        self._resolver = services.resolver

    async def document(self, resource: Resource) -> Response:
        """GET and HEAD of a package, in full or abbreviated. `?write=true`: by who will change it."""
        form = _OFFERS.choose(resource.header(b"accept"))
        name, base = resource.name, resource.base
        sources = await self._sources(resource)

        async def make(encoding: Encoding) -> bytes:
            parts = await self._finder.parts(name, sources)
            work = _RENDER_WORK[form] * sum(weight(part.stored) for part in parts)
            return await offload(make_document, form.value, encoding.value, name, base, parts, weight=work)

        return await self._render_cache.variant(
            resource,
            ("packument", name, base, sources.key),
            make,
            media_type=form.value,
            headers=self._headers(resource, sources),
            vary=VARY_ALL,
        )

    async def version(self, resource: Resource) -> Response:
        """GET and HEAD of the manifest of a version, by its name, a tag or a range of versions."""
        name, base, wanted = resource.name, resource.base, resource.version
        sources = await self._sources(resource)

        async def make(encoding: Encoding) -> bytes:
            parts = await self._finder.parts(name, sources)
            work = _work(parts)
            if looked_through(wanted) is not None:
                work += sum(weight(part.stored) for part in parts)
            return await offload(make_version, encoding.value, name, base, wanted, parts, weight=work)

        return await self._render_cache.variant(
            resource,
            ("manifest", name, base, wanted, sources.key),
            make,
            media_type="application/json",
            headers=self._headers(resource, sources),
        )

    async def tags(self, resource: Resource) -> Response:
        """GET and HEAD of the tags of a package."""
        sources = await self._finder.find(resource.repository, resource.name)
        parts = await self._finder.parts(resource.name, sources)
        return json_answer(await offload(tags_of, parts, weight=_work(parts)))

    async def _sources(self, resource: Resource) -> Sources:
        """Of an answer that is given again as long as they stay the same."""
        repository, name = resource.repository, resource.name
        stamp = self._resolver.stamp(repository, name) if resource.may_be_kept else None
        sources = await self._finder.find(repository, name)
        resource.keep_while(kept_while(sources.documents, stamp))
        return sources

    def _headers(self, resource: Resource, sources: Sources) -> tuple[Header, ...]:
        if resource.parameter("write"):
            return (NO_CACHE,)
        headers = sources.headers(public=self._authorizer.is_public(resource.repository))
        documents = sources.documents
        if sources.hosted or len(documents) != 1:
            return headers
        modified = documents[0].cached.validators.get("last-modified", "")
        if not modified or not modified.isprintable():
            return headers
        return (*headers, (b"last-modified", modified.encode("latin-1")))


def _work(parts: list[Part]) -> int:
    """Of a look-up in a stored form: it takes little of it, unless that is filtered."""
    filtered = [part for part in parts if len(parts) > 1 or part.held is not None or part.hidden is not None]
    return sum(weight(part.stored) for part in filtered) + sum(len(part.stored) for part in parts)
