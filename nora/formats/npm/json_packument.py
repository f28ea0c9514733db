"""A packument in JSON, its versions a piece at a time: as one tree of objects 60 MB of it take 500."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

PIECE_BYTES: Final = 256 << 10
_VERSIONS: Final = re.compile(rb'"versions"\s*:\s*\{')
_BETWEEN: Final = re.compile(rb'\}\s*,\s*(?="[0-9]+\.[0-9]+\.[0-9]+[^"\\]{0,256}"\s*:\s*\{)')
"""Between two members that are objects and have versions for names."""


_HALVES: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
"""Both halves of a character beyond the first 65,536, or one of them alone: a text that was cut in two."""


def mended(body: bytes) -> bytes:
    """JSON without halves of characters, which registries send and parsers refuse."""
    return _HALVES.sub(lambda found: found[0] if found[2] else found[1] + rb"\ufffd", body)


class JsonPackument:
    """What an upstream sent. Read `versions` to its end first: `rest` is what stands around them."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.rest: Any = None
        """The document without the versions that were iterated; anything but a dictionary is none."""

    def versions(self) -> Iterator[tuple[str, object]]:
        """The members of `versions`; nothing when that is no object. Raises ValueError for no JSON."""
        if len(self._body) <= PIECE_BYTES or (found := self._begin()) is None:
            self.rest = orjson.loads(self._body)
            yield from self._last()
            return
        start, head = found
        size = PIECE_BYTES
        while (between := _BETWEEN.search(self._body, start + size)) is not None:
            try:
                piece = orjson.loads(b"{%b}" % self._body[start : between.start() + 1])
            except ValueError:  # this was not between two versions, but within one
                size *= 2
                continue
            yield from piece.items()
            start, size = between.end(), PIECE_BYTES
        # What is left, with another beginning, is a document itself.
        self.rest = head | orjson.loads(b'{"versions":{' + self._body[start:])
        yield from self._last()

    def _begin(self) -> tuple[int, dict[str, Any]] | None:
        """Where the versions begin, and what stands in front of them; None when that is not easily told."""
        found = _VERSIONS.search(self._body)
        if found is None or found.start() > PIECE_BYTES:
            return None
        try:  # only in the outermost object this is an object again
            head: dict[str, Any] = orjson.loads(self._body[: found.start()] + b'"versions":{}}')
        except ValueError:
            return None
        return found.end(), head

    def _last(self) -> Iterator[tuple[str, object]]:
        versions = self.rest.get("versions") if isinstance(self.rest, dict) else None
        if isinstance(versions, dict):
            self.rest["versions"] = {}
            yield from versions.items()
