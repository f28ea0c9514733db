"""A packument in JSON, its versions a piece at a time: as one tree of objects 60 MB of it take 500."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

from nora.formats.json_pieces import JsonPieces

_BETWEEN: Final = re.compile(rb'\}\s*,\s*(?="[0-9]+\.[0-9]+\.[0-9]+[^"\\]{0,256}"\s*:\s*\{)')
"""Between two members that are objects and have versions for names."""


_HALVES: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
"""Both halves of a character beyond the first 65,536, or one of them alone: a text that was cut in two."""
_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def mended(body: bytes) -> bytes:
    """JSON without halves of characters, which registries send and parsers refuse."""
    if _HALF.search(body) is None:  # which is quicker by far
        return body
    return _HALVES.sub(lambda found: found[0] if found[2] else found[1] + rb"\ufffd", body)


class JsonPackument(JsonPieces):
    """What an upstream sent."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body, "versions", b"{}", _BETWEEN)

    def versions(self) -> Iterator[tuple[str, object]]:
        """The members of `versions`; nothing when that is no object. Raises ValueError for no JSON."""
        return chain.from_iterable(piece.items() for piece in self.pieces())
