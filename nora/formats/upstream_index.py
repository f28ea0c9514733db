"""What the indexes of all formats do in one way: who is asked for a document, and how long it is good for."""

from __future__ import annotations

from nora.config import ProxiedSettings
from nora.formats.base import Services
from nora.proxy.base import CacheKey, Document, Fetch, Policy, Upstream
from nora.proxy.policy import DocumentPolicies
from nora.resolve import Source


class UpstreamIndex:
    """What the upstreams of proxy repositories have. A format extends it by the documents that there are."""

    def __init__(self, services: Services, settings: ProxiedSettings) -> None:
        self._cache = services.cache
        self._blobs = services.blobs
        self._policies = DocumentPolicies(services.config.proxy, settings)
        self._sources = services.resolver.sources
        self._upstreams = services.upstreams

    def policy(self, source: Source) -> Policy:
        """How long what a source says of a package is good for."""
        return self._policies.of(source)

    def is_online(self, source: Source) -> bool:
        """Whether a source may be asked."""
        return self._sources.is_online(source.repository)

    def upstream(self, source: Source) -> Upstream:
        """How a source is asked."""
        return self._upstreams.of(source)

    async def cached(
        self, source: Source, path: str, fetch: Fetch, *, package: str | None = None
    ) -> Document | None:
        """A document that may change, kept at a path among the files of a source; None when the source says
        that there is none. Raises UpstreamFailed."""
        key = CacheKey(repository=source.repository, path=path, package=package)
        return await self._cache.document(key, self.policy(source), fetch)
