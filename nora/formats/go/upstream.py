"""What upstreams have: lists, branches, `latest`, and where the files of versions are.

They speak the protocol that NORA speaks (go.dev/ref/mod, GOPROXY protocol).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Final
from urllib.parse import quote

from nora.errors import UpstreamFailed, quoted
from nora.formats.base import Services
from nora.formats.go.checks import LARGEST_INFO
from nora.formats.go.documents import is_list, version_in
from nora.formats.go.names import ModulePath, escape
from nora.formats.go.publish import JSON, TEXT
from nora.formats.go.releases import latest_path, list_path, version_file
from nora.formats.go.settings import GoSettings
from nora.outbound import Reply, host_of
from nora.proxy.base import Address, CacheKey, Document, Fetched, Freshness, Policy, Upstream
from nora.proxy.policy import document_policy
from nora.proxy.upstreams import Parse, document_fetch
from nora.resolve import Source

LARGEST_LIST: Final = 8 << 20
_UNESCAPED: Final = "/@+$&=:"
"""What the go command leaves as it is in a path."""


@dataclass(frozen=True, slots=True)
class Question:
    """A document that a source is asked for."""

    path: str
    """Among the files of the source."""
    parse: Parse
    max_bytes: int
    package: str | None = None
    url: str = ""
    """Where it is, if that is not where its path says."""
    is_for_good: bool = False
    """Whether it never changes."""


def url_path(path: str) -> str:
    """Of something whose path among the files of a source is this."""
    return quote(escape(path), safe=_UNESCAPED)


class Index:
    """What the upstreams of proxy repositories have."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._catalog = services.catalog
        self._cache = services.cache
        self._policies: dict[int, Policy] = {}

    def policy(self, source: Source) -> Policy:
        """How long what a source says of versions is good for."""
        found = self._policies.get(source.id)
        if found is None:
            config, settings = self._services.config, self._services.settings(GoSettings)
            found = self._policies[source.id] = document_policy(config.proxy, settings, source.setting)
        return found

    def is_online(self, source: Source) -> bool:
        """Whether a source may be asked."""
        return self._services.resolver.sources.is_online(source.repository)

    def address(self, source: Source, path: str) -> Address:
        """Where a source has what is at a path among its files."""
        upstream = self._upstream(source)
        return Address(upstream, f"{upstream.url}/{url_path(path)}")

    async def list(self, source: Source, module: ModulePath, *, may_fetch: bool) -> Document | None:
        """The list of versions; None when the source says that there is none. Raises UpstreamFailed."""

        async def parse(reply: Reply) -> Fetched:
            if not is_list(reply.body):
                raise UpstreamFailed(f"what {host_of(reply.url)} has for the list of {module} is none")
            return Fetched(body=reply.body, media_type=TEXT, upstream_url=reply.url)

        question = Question(list_path(module), parse, LARGEST_LIST, module)
        return await self.document(source, question, may_fetch=may_fetch)

    async def latest(self, source: Source, module: ModulePath, *, may_fetch: bool) -> Document | None:
        """As `list`, the `.info` of the version that is to be used where the list is empty."""
        return await self._info(source, module, latest_path(module), may_fetch)

    async def query(
        self, source: Source, module: ModulePath, query: str, *, may_fetch: bool
    ) -> Document | None:
        """As `list`, the `.info` of the version that a branch, a tag or a commit is now."""
        return await self._info(source, module, version_file(module, f"{query}.info"), may_fetch)

    async def _info(self, source: Source, module: ModulePath, path: str, may_fetch: bool) -> Document | None:
        async def parse(reply: Reply) -> Fetched:
            if version_in(reply.body) is None:
                told = quoted(reply.body[:80].decode("utf-8", "replace"))
                raise UpstreamFailed(f"{host_of(reply.url)} tells no version of {module}: {told}")
            return Fetched(body=reply.body, media_type=JSON, upstream_url=reply.url)

        question = Question(path, parse, LARGEST_INFO, module)
        return await self.document(source, question, may_fetch=may_fetch)

    async def document(self, source: Source, question: Question, *, may_fetch: bool) -> Document | None:
        """The answer of a source; None when it says that there is none. Raises UpstreamFailed."""
        path = question.path
        if not may_fetch:
            cached = await self._catalog.find_cached(source.id, path)
            return None if cached is None else Document(cached, Freshness.HIT)
        where = self.address(source, path)
        url = question.url or where.url
        fetch = document_fetch(where.upstream, url, {}, question.parse, max_bytes=question.max_bytes)
        key = CacheKey(repository=source.repository, path=path, package=question.package)
        policy = self.policy(source)
        return await self._cache.document(
            key, replace(policy, fresh=inf) if question.is_for_good else policy, fetch
        )

    def _upstream(self, source: Source) -> Upstream:
        return self._services.upstreams.of(source)
