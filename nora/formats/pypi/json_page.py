"""A page in JSON (PEP 691), its files a piece at a time: as one tree of dictionaries 20 MB of it take 110."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

PIECE_BYTES: Final = 256 << 10
_FILES: Final = re.compile(rb'"files"\s*:\s*\[')
_BETWEEN: Final = re.compile(rb"\}\s*,\s*(?=\{)")


class JsonPage:
    """What an upstream sent. Read `files` to its end first: `rest` is what stands around them."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.rest: Any = None
        """The page without the files that were iterated; anything but a dictionary is no page."""

    def files(self) -> Iterator[object]:
        """The members of `files`; nothing when that is no list. Raises ValueError for what is no JSON."""
        if len(self._body) <= PIECE_BYTES or (found := self._begin()) is None:
            self.rest = orjson.loads(self._body)
            yield from self._last()
            return
        start, head = found
        size = PIECE_BYTES
        while (between := _BETWEEN.search(self._body, start + size)) is not None:
            try:
                piece = orjson.loads(b"[%b]" % self._body[start : between.start() + 1])
            except ValueError:  # this was not between two files, but within a text or a list of one
                size *= 2
                continue
            yield from piece
            start, size = between.end(), PIECE_BYTES
        # What is left, with another beginning, is a page itself.
        self.rest = head | orjson.loads(b'{"files":[' + self._body[start:])
        yield from self._last()

    def _begin(self) -> tuple[int, dict[str, Any]] | None:
        """Where the files begin, and what stands in front of them; None when that is not easily told."""
        found = _FILES.search(self._body)
        if found is None or found.start() > PIECE_BYTES:
            return None
        try:  # only in the outermost object this is an object again
            head: dict[str, Any] = orjson.loads(self._body[: found.start()] + b'"files":[]}')
        except ValueError:
            return None
        return found.end(), head

    def _last(self) -> Iterator[object]:
        files = self.rest.get("files") if isinstance(self.rest, dict) else None
        if isinstance(files, list):
            self.rest["files"] = []
            yield from files
