"""The pages of upstream projects: asked for, parsed once, and kept in the stored form of `index`."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import Final

from nora.catalog.records import Blob, Cached
from nora.errors import NotFound, StorageFailed, StorageFull, TooManyRequests, UpstreamFailed, quoted
from nora.formats.base import Services
from nora.formats.pypi.html_index import parse_html
from nora.formats.pypi.index import IndexUnreadable, ListedFile, decode, encode, store_json, weight
from nora.formats.pypi.marks import VOLATILE, is_replaced, is_volatile
from nora.formats.pypi.names import ProjectName
from nora.formats.pypi.pages import PageType
from nora.formats.pypi.settings import PypiSettings
from nora.formats.upstream_index import UpstreamIndex
from nora.outbound import Reply
from nora.proxy.base import Document, Fetched
from nora.proxy.offload import offload
from nora.proxy.upstreams import document_fetch
from nora.resolve import Source

_log = logging.getLogger(__name__)

ACCEPT: Final = f"{PageType.JSON.value}, {PageType.HTML.value};q=0.2, {PageType.TEXT_HTML.value};q=0.01"
MEDIA_TYPE: Final = "application/vnd.nora.pypi-project"
"""Of the stored form. It leaves NORA as something else."""
_JSON: Final = frozenset({PageType.JSON.value, "application/json"})
JSON_WORK: Final = 4
HTML_WORK: Final = 16
"""How much more work a byte is than most: a page of 1 MiB can list so many files that it takes half a second
as JSON, two as HTML."""
END_BYTES: Final = 1024
_END: Final = re.compile(rb"</(?:html|body)\s*>", re.IGNORECASE)
"""Stands at the end of a page. What is cut off of JSON is none, and of HTML a page with fewer files."""
JUST_NOW: Final = 10.0
"""Seconds for which a page that came is good for its files, whatever its time is: installers ask for both."""


class Index(UpstreamIndex):
    """What the upstreams of proxy repositories list."""

    def __init__(self, services: Services) -> None:
        settings = services.settings(PypiSettings)
        super().__init__(services, settings)
        self._catalog = services.catalog
        self._max_bytes = settings.max_index_size
        self._known: set[int] = set()
        """Sources that have answered."""

    async def page(self, source: Source, project: ProjectName) -> Document | None:
        """The page of a project, None when the source says that there is none. Raises UpstreamFailed."""

        async def parse(reply: Reply) -> Fetched:
            declared = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
            is_json = declared in _JSON
            if not (is_json or reply.is_delimited or _END.search(reply.body[-END_BYTES:])):
                raise UpstreamFailed(
                    f"the page of {project} may have been cut off: it has no Content-Length and no </html>"
                )
            work = len(reply.body) * (JSON_WORK if is_json else HTML_WORK)
            before = await self._catalog.find_cached(source.id, page_path(project))
            known = b"" if before is None or is_volatile(before) else await self._blobs.read(before.blob)
            arguments = reply.body, reply.url, project, is_json, known
            try:
                stored, is_other = await offload(read_page, *arguments, weight=max(work, weight(known)))
            except IndexUnreadable as error:
                raise UpstreamFailed(f"the page of {project} cannot be used: {quoted(error)}") from None
            if is_other:
                _log.info("%s replaces files of %s under their names", source.setting.url, project)
            document = VOLATILE if is_other or is_volatile(before) else b"{}"
            return Fetched(body=stored, media_type=MEDIA_TYPE, upstream_url=reply.url, document=document)

        upstream = self.upstream(source)
        url = f"{upstream.url}/{project}/"
        fetch = document_fetch(upstream, url, {"accept": ACCEPT}, parse, max_bytes=self._max_bytes)
        document = await self.cached(source, page_path(project), fetch, package=project)
        if source.id not in self._known:
            self._known.add(source.id)
            if document is None and self.is_online(source) and not upstream.url.endswith("simple"):
                _log.warning(
                    "%s has no %s, the first that it is asked for: is the address right? Most end with"
                    " /simple; `nora check-config --online` looks at it",
                    upstream.url,
                    project,
                )
        return document

    async def current_page(self, source: Source, project: ProjectName) -> Cached | None:
        """The page of a project of which a file is here. It is asked for again when its time is over: who has
        the exact addresses of files never does. What is known stands while it cannot be asked for (soon).
        Raises NotFound when the upstream has the project no more."""
        row = await self._catalog.find_cached(source.id, page_path(project))
        if (row is not None and _is_good(row)) or not self.is_online(source):
            return row
        try:
            async with asyncio.timeout(self.policy(source).max_wait):
                page = await self.page(source, project)
        except (TimeoutError, UpstreamFailed, TooManyRequests, StorageFailed, StorageFull):
            return row
        if page is None:
            raise NotFound(f"{project} was removed at the upstream")
        return page.cached

    async def stored(self, document: Document) -> bytes:
        """A page in its stored form."""
        return await self._blobs.read(document.cached.blob)

    async def find(self, document: Document, filename: str) -> ListedFile | None:
        """A file of a page."""
        return await self.find_in(document.cached.blob, filename)

    async def find_in(self, page: Blob, filename: str) -> ListedFile | None:
        """A file of a page, by the bytes of the page."""
        stored = await self._blobs.read(page)
        return await offload(find_listed, stored, filename, weight=weight(stored))

    async def is_quarantined(self, page: Blob) -> bool:
        """Whether a page offers nothing because its project is quarantined."""
        stored = await self._blobs.read(page)
        return await offload(find_status, stored, weight=weight(stored)) == "quarantined"


def _is_good(page: Cached) -> bool:
    """Whether a page need not be asked for. The time 0 is that of one that somebody has said to ask for."""
    now = time.time()
    return page.fresh_until > 0 and (page.is_fresh(now) or 0 <= now - page.fetched_at < JUST_NOW)


def page_path(project: ProjectName) -> str:
    """Where the page of a project is among the files of a source."""
    return f"{project}/"


def read_page(body: bytes, url: str, project: str, is_json: bool, before: bytes) -> tuple[bytes, bool]:
    """The stored form of what an upstream sent, and whether a file was replaced since the page `before`, in
    its stored form; empty where there is none. Raises IndexUnreadable."""
    name = ProjectName(project)
    stored = store_json(body, url, name) if is_json else encode(parse_html(body, url, name))
    return stored, bool(before) and stored != before and is_replaced(before, stored)


def find_listed(stored: bytes, filename: str) -> ListedFile | None:
    """A file of a page in its stored form."""
    return decode(stored).find(filename)


def find_status(stored: bytes) -> str:
    """The status of the project of a page in its stored form (PEP 792)."""
    return decode(stored).status
