"""A page in JSON (PEP 691), its files a piece at a time: as one tree of dictionaries 20 MB of it take 110."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

from nora.formats.json_pieces import JsonPieces

_BETWEEN: Final = re.compile(rb"\}\s*,\s*(?=\{)")


class JsonPage(JsonPieces):
    """What an upstream sent."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body, "files", b"[]", _BETWEEN)

    def files(self) -> Iterator[object]:
        """The members of `files`; nothing when that is no list. Raises ValueError for what is no JSON."""
        return chain.from_iterable(self.pieces())
