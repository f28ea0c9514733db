"""Listings of directories, for formats whose files have paths: pages for people, and as JSON for programs.

    {"path": "builds/", "entries": [{"name": "7/"}, {"name": "a.txt", "size": 12, …}], "next": "?after=a.txt"}

Nothing is walked: a page costs a look-up for each of its entries, however much is beneath them. What is
blocked, and what somebody may not read, is not there for them: neither as an entry, nor as the name after
which the next page begins, nor as what makes a directory be there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson
from blacksheep import Content, Response

from nora.catalog.base import Catalog
from nora.catalog.records import DirectoryEntry
from nora.errors import BadRequest, NotFound, quoted
from nora.http.context import PathContext
from nora.http.fields import read_limit
from nora.http.negotiation import Offers
from nora.proxy.answers import NO_CACHE

MOST_ENTRIES: Final = 1000
MOST_HIDDEN: Final = 20_000
"""Entries in a row that are passed over for one page. Then it ends, with the name of the last of them."""
LONGEST_NAME: Final = 1024
HTML: Final = "text/html"
JSON: Final = "application/json"
_OFFERS: Final = Offers({HTML: HTML, JSON: JSON}, otherwise=HTML)


def is_directory(path: str) -> bool:
    """Whether a path is that of a directory: it ends in a slash. That of all files is empty."""
    return not path or path.endswith("/")


def require_file(context: PathContext) -> str:
    """The path of the file that a request names. Raises BadRequest for a directory."""
    if is_directory(context.name):
        raise BadRequest("name a file: what ends in a slash is a directory")
    return context.name


async def paths_beneath(catalog: Catalog, row: int, directory: str) -> AsyncIterator[str]:
    """All files of a repository in a directory and in those in it. What is found may be removed meanwhile."""
    waiting = [directory]
    while waiting:
        current, after = waiting.pop(), ""
        while page := await catalog.list_directory(row, current.removesuffix("/"), after, MOST_ENTRIES):
            for one in page:
                if one.file is None:
                    waiting.append(current + one.name)
                else:
                    yield one.file.path
            after = page[-1].name


async def shown_entries(
    catalog: Catalog,
    rows: Sequence[int],
    directory: str,
    after: str,
    limit: int,
    is_shown: Callable[[int, DirectoryEntry], bool],
) -> tuple[list[DirectoryEntry], str | None]:
    """The first so many entries after a name that are shown of a directory in these repositories, and the
    name after which there are more; None: there are none. Of a name in several that of the first."""
    shown: list[DirectoryEntry] = []
    passed, wanted = 0, max(limit + 1, 100)
    while len(shown) <= limit and passed < MOST_HIDDEN:
        found: dict[str, DirectoryEntry | None] = {}
        for row in rows:
            for one in await catalog.list_directory(row, directory.removesuffix("/"), after, wanted):
                found.setdefault(one.name, one if is_shown(row, one) else None)
        names = sorted(found, key=str.encode)[:wanted]
        new = [entry for name in names if (entry := found[name]) is not None]
        shown += new
        if len(names) < wanted and len(shown) <= limit:
            return shown, None
        after = names[-1]
        passed = 0 if new else passed + len(names)
        await asyncio.sleep(0)
    page = shown[:limit]
    return page, page[-1].name if page else after


class Directories:
    """The directories of the repositories of a format."""

    def __init__(self, catalog: Catalog, may_read: Callable[[PathContext, str], bool]) -> None:
        """`may_read` says whether who is asking may read what is at a path, which ends in a slash for a
        directory."""
        self._catalog = catalog
        self._may_read = may_read

    async def answer(self, context: PathContext, directory: str) -> Response:
        """GET and HEAD of a directory: what all members of the repository have in it, of a proxy what is
        here. `directory` ends in a slash, or is empty. `?list` is as good as an `Accept` of JSON; `limit`
        and `after` say which page. Raises NotFound where there is no such directory."""
        after, limit = context.parameter("after") or "", read_limit(context, MOST_ENTRIES)
        if len(after) > LONGEST_NAME:
            raise BadRequest(f"after is a name of at most {LONGEST_NAME} characters")
        is_listed = context.parameter("list") is not None
        media_type = JSON if is_listed else _OFFERS.choose(context.accept)

        def is_shown(row: int, entry: DirectoryEntry) -> bool:
            return self._is_shown(context, directory, row, entry)

        rows = context.repository.row_ids
        listed, last = await shown_entries(self._catalog, rows, directory, after, limit, is_shown)
        if not listed and directory and not after and last is None:
            raise NotFound(f"there is no directory {quoted(directory)}")
        query = {} if last is None else {"after": last, "limit": limit, **({"list": ""} if is_listed else {})}
        link = f"?{urlencode(query)}" if query else None
        render = _render_json if media_type == JSON else _render_html
        head = [NO_CACHE, (b"vary", b"Accept")]
        if link is not None:
            head.append((b"link", f'<{link}>; rel="next"'.encode()))
        content_type = JSON if media_type == JSON else f"{HTML}; charset=utf-8"
        return Response(200, head, Content(content_type.encode(), render(directory, listed, link)))

    def _is_shown(self, context: PathContext, directory: str, row: int, entry: DirectoryEntry) -> bool:
        file = entry.file
        if file is not None:
            if file.has_ended(time.time()):
                return False
            hidden = self._catalog.blocks().hidden(row, file.package or file.path)
            if hidden is not None and hidden.has(file.version, file.blob.digest):
                return False
        return self._may_read(context, directory + entry.name)


def _render_json(directory: str, entries: Sequence[DirectoryEntry], link: str | None) -> bytes:
    return orjson.dumps({"path": directory, "entries": [_fields(one) for one in entries], "next": link})


def _fields(entry: DirectoryEntry) -> dict[str, Any]:
    if entry.file is None:
        return {"name": entry.name}
    ends = entry.file.expires_at
    return {
        "name": entry.name,
        "size": entry.file.blob.size,
        "modified": _time(entry.file.created_at),
        "type": entry.file.media_type,
        "sha256": entry.file.blob.digest.encoded,
        **({} if ends is None else {"expires": _time(ends)}),
    }


def _render_html(directory: str, entries: Sequence[DirectoryEntry], link: str | None) -> bytes:
    return "\n".join(_lines(directory, entries, link)).encode()


def _lines(directory: str, entries: Sequence[DirectoryEntry], link: str | None) -> Iterator[str]:
    title = f"Index of /{escape(directory)}"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
    yield f"<title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<table>"
    if directory:
        yield '<tr><td><a href="../">../</a></td></tr>'
    for one in entries:
        # A colon is quoted, so it ends no scheme; `./` in front would hide the link from coursier
        name = f'<td><a href="{quote(one.name)}">{escape(one.name)}</a></td>'
        size = (
            "" if one.file is None else f"<td>{_time(one.file.created_at)}</td><td>{one.file.blob.size}</td>"
        )
        yield f"<tr>{name}{size}</tr>"
    yield "</table>"
    if link is not None:
        yield f'<p><a href="{escape(link)}">More</a></p>'
    yield "</body>\n</html>\n"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
