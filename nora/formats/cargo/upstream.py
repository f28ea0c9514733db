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
from nora.formats.upstream_index import UpstreamIndex
from nora.outbound import Reply, host_of
from nora.proxy.base import Address, Document, Fetched
from nora.proxy.offload import offload
from nora.proxy.upstreams import document_fetch
from nora.resolve import Source

CONFIG: Final = "config.json"
LONGEST_LINE: Final = 1 << 20
LARGEST_CONFIG: Final = 64 << 10
TEXT: Final = "text/plain; charset=utf-8"
ACCEPT: Final = {"accept": "text/plain, application/json;q=0.9, */*;q=0.1"}
_PARTS: Final = ("{crate}", "{version}", "{prefix}", "{lowerprefix}", "{sha256-checksum}")


class Index(UpstreamIndex):
    """What the upstreams of proxy repositories have."""

    def __init__(self, services: Services) -> None:
        settings = services.settings(CargoSettings)
        super().__init__(services, settings)
        self._max_bytes = settings.max_index_size

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
        return await self.cached(source, index_path(crate), fetch, package=crate)

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
        document = await self.cached(source, CONFIG, fetch)
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
