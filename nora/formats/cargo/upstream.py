"""What upstreams have: index files, kept as they came, and where their crates are."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlsplit

import orjson

from nora.errors import UpstreamFailed, quoted
from nora.formats.base import Services
from nora.formats.cargo.index import Line, find_line, parse_line
from nora.formats.cargo.names import CrateName, prefix_of
from nora.formats.cargo.settings import CargoSettings
from nora.outbound import Reply, host_of
from nora.proxy.base import Address, CacheKey, Document, Fetched, Policy, Upstream
from nora.proxy.offload import offload
from nora.proxy.policy import document_policy
from nora.proxy.upstreams import document_fetch
from nora.resolve import Source

CONFIG: Final = "config.json"
LONGEST_LINE: Final = 1 << 20
LARGEST_CONFIG: Final = 64 << 10
TEXT: Final = "text/plain; charset=utf-8"
ACCEPT: Final = {"accept": "text/plain, application/json;q=0.9, */*;q=0.1"}
_PARTS: Final = ("{crate}", "{version}", "{prefix}", "{lowerprefix}", "{sha256-checksum}")


class Index:
    """What the upstreams of proxy repositories have."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cache = services.cache
        self._blobs = services.blobs
        self._max_bytes = services.settings(CargoSettings).max_index_size
        self._policies: dict[int, Policy] = {}

    def policy(self, source: Source) -> Policy:
        """How long what a source says of a crate is good for."""
        found = self._policies.get(source.id)
        if found is None:
            config, settings = self._services.config, self._services.settings(CargoSettings)
            found = self._policies[source.id] = document_policy(config.proxy, settings, source.setting)
        return found

    def is_online(self, source: Source) -> bool:
        """Whether a source may be asked."""
        return self._services.resolver.sources.is_online(source.repository)

    def upstream(self, source: Source) -> Upstream:
        """How a source is asked."""
        return self._services.upstreams.of(source)

    async def file(self, source: Source, crate: CrateName) -> Document | None:
        """The index file of a crate; None when the source says that there is none. Raises UpstreamFailed."""

        async def parse(reply: Reply) -> Fetched:
            problem = await offload(problem_of, first_line(reply.body), crate.indexed)
            if problem:
                raise UpstreamFailed(f"the index of {crate.spelled} at {host_of(reply.url)} {problem}")
            return Fetched(body=reply.body, media_type=TEXT, upstream_url=reply.url)

        upstream = self.upstream(source)
        url = f"{upstream.url}/{crate.index_path}"
        fetch = document_fetch(upstream, url, ACCEPT, parse, max_bytes=self._max_bytes)
        key = CacheKey(repository=source.repository, path=index_path(crate), package=crate)
        return await self._cache.document(key, self.policy(source), fetch)

    async def read(self, document: Document) -> bytes:
        """An index file."""
        return await self._blobs.read(document.cached.blob)

    async def find(self, document: Document, crate: CrateName, version: str) -> Line | None:
        """The line of a version in an index file."""
        return await offload(find_line, await self.read(document), crate.indexed, version)

    async def address(self, source: Source, line: Line) -> Address:
        """Where the file of a version is, as the upstream's `config.json` says. Raises UpstreamFailed."""
        upstream = self.upstream(source)
        url = f"{upstream.url}/{CONFIG}"

        async def parse(reply: Reply) -> Fetched:
            read_config(reply.body, reply.url)
            return Fetched(body=reply.body, media_type="application/json", upstream_url=reply.url)

        fetch = document_fetch(upstream, url, ACCEPT, parse, max_bytes=LARGEST_CONFIG)
        key = CacheKey(repository=source.repository, path=CONFIG)
        document = await self._cache.document(key, self.policy(source), fetch)
        if document is None:
            raise UpstreamFailed(
                f"{host_of(url)} has no {CONFIG}: the address of an upstream is that of a sparse index"
            )
        template = read_config(await self.read(document), url)["dl"]
        return Address(upstream.naming(document.cached), download_url(template, line))


def index_path(crate: CrateName) -> str:
    """Where the index file of a crate is among the files of a source."""
    return f"index/{crate.indexed}"


def crate_folder(crate: CrateName) -> str:
    """Where the files of a crate are."""
    return f"crates/{crate.indexed}/"


def first_line(file: bytes) -> bytes:
    """The first line of an index file that is not empty, and no more of it than a line may be."""
    return file[:LONGEST_LINE].lstrip().partition(b"\n")[0]


def problem_of(first: bytes, name: str) -> str:
    """What is wrong with an index file of a crate, by its first line; empty when cargo can use it."""
    if not first:
        return "is empty"
    line = parse_line(first)
    if line is None:
        return f"is none: {quoted(first[:80].decode('utf-8', 'replace'))}"
    return "" if line.name.lower() == name else f"is that of another crate: {quoted(line.name)}"


def read_config(body: bytes, url: str) -> dict[str, Any]:
    """What a sparse index says of itself. Raises UpstreamFailed."""
    try:
        config = orjson.loads(body)
    except orjson.JSONDecodeError:
        config = None
    if not isinstance(config, dict) or not isinstance(config.get("dl"), str):
        raise UpstreamFailed(f"the {CONFIG} of {host_of(url)} does not say where crates are (dl)")
    if urlsplit(config["dl"]).scheme not in ("http", "https"):
        raise UpstreamFailed(f"the {CONFIG} of {host_of(url)} says that crates are at {quoted(config['dl'])}")
    return config


def download_url(template: str, line: Line) -> str:
    """The address of the file of a version (cargo reference, Index Format)."""
    if not any(part in template for part in _PARTS):
        template += "/{crate}/{version}/download"
    name = line.name
    values = (name, line.version, prefix_of(name), prefix_of(name.lower()), line.checksum)
    for part, value in zip(_PARTS, values, strict=True):
        template = template.replace(part, quote(value, safe="/"))
    return template
