"""A document in JSON whose one member is most of it, read a piece at a time: as one tree of objects it takes
many times its size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

PIECE_BYTES: Final = 256 << 10


class JsonPieces:
    """What somebody sent. Read `pieces` to its end first: `rest` is what stands around them.

    A format extends it by the name of the large member, by what that is when it is empty (`[]` or `{}`), and
    by what stands between two of its members: a match that begins with the end of one, and may be wrong.
    """

    def __init__(self, body: bytes, name: str, empty: bytes, between: re.Pattern[bytes]) -> None:
        self._body = body
        self._name = name
        self._left, self._right = empty[:1], empty[1:]
        self._kind = type(orjson.loads(empty))
        self._between = between
        self.rest: Any = None
        """The document without what was iterated; anything but a dictionary is none."""

    def pieces(self) -> Iterator[Any]:
        """The members of the large one, some at a time, in objects of its kind; nothing when it is of another
        kind. Raises ValueError for what is no JSON."""
        if len(self._body) <= PIECE_BYTES or (found := self._begin()) is None:
            self.rest = orjson.loads(self._body)
            yield self._last()
            return
        start, head = found
        size = PIECE_BYTES
        while (between := self._between.search(self._body, start + size)) is not None:
            members = self._body[start : between.start() + 1]
            try:
                piece = orjson.loads(self._left + members + self._right)
            except ValueError:  # this was not between two members, but within one
                size *= 2
                continue
            yield piece
            start, size = between.end(), PIECE_BYTES
        # What is left, with another beginning, is a document itself.
        self.rest = head | orjson.loads(b'{"%b":%b%b' % (self._name.encode(), self._left, self._body[start:]))
        yield self._last()

    def _begin(self) -> tuple[int, dict[str, Any]] | None:
        """Where the members begin, and what stands in front of them; None when that is not easily told."""
        name = b'"%b"' % self._name.encode()
        found = re.search(rb"%b\s*:\s*%b" % (name, re.escape(self._left)), self._body)
        if found is None or found.start() > PIECE_BYTES:
            return None
        try:  # only in the outermost object this is an object again
            around = self._body[: found.start()] + b"%b:%b%b}" % (name, self._left, self._right)
            head: dict[str, Any] = orjson.loads(around)
        except ValueError:
            return None
        return found.end(), head

    def _last(self) -> Any:
        members = self.rest.get(self._name) if isinstance(self.rest, dict) else None
        if not isinstance(members, self._kind):
            return self._kind()
        self.rest[self._name] = self._kind()
        return members
