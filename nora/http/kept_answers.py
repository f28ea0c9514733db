"""Whole answers that are given again to the same question.

Most of what a busy registry is asked for without credentials is what it was asked for a moment ago: a
manifest by its tag. Who answers such a request can say that its answer depends on the method and the path
alone, and on rows that have not changed for as long as a stamp holds; the next one who asks gets the same
bytes. What is done for each request - its id, limits, the check of its `Host`, metrics, logs - is done all
the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from blacksheep import Response, StreamedContent

from nora.http.send import Header, head_of

OVERHEAD: Final = 2000
"""Bytes that an answer takes beside its body: its key, its head, its stamp."""
LARGEST_BODY: Final = 16 * 1024
STAMP_KEY: Final = "nora.stamp"
"""Where a request whose answer may be kept has the stamp of that; None as long as nobody has said so."""

INDIFFERENT: Final = frozenset(
    b"accept accept-encoding accept-language cache-control connection forwarded host pragma traceparent"
    b" tracestate user-agent via x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto"
    b" x-real-ip x-request-id".split()
)
"""Header fields of which an answer that is kept knows nothing. A request with any other is answered anew:
credentials, conditions, ranges, and whatever clients may come to send."""


class Stamp(Protocol):
    """How things stood when something was read."""

    def holds(self) -> bool:
        """Whether they still stand so, in all processes."""
        ...


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer, and what is sent of it again."""

    response: Response
    head: Sequence[Header]
    """Without the id of the request."""
    body: bytes
    event: str | None
    """What it counts as: see `RequestContext.count_as`."""
    stamp: Stamp


class KeptAnswers:
    """The most recent ones, up to a number of bytes."""

    __slots__ = ("_answers", "_free", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._answers: OrderedDict[tuple[str, bytes], KeptAnswer] = OrderedDict()
        self._max_bytes = max_bytes
        self._free = max_bytes

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def used(self) -> int:
        """Bytes in use."""
        return self._max_bytes - self._free

    def recall(self, scope: dict[str, Any]) -> KeptAnswer | None:
        """The answer to a request that says nothing but its method and its path, if it is known and still
        true; else notes in its scope that its answer may be kept."""
        if scope["query_string"]:
            return None
        key = scope["method"], scope["raw_path"]
        known = self._answers.get(key)
        if known is None or not known.stamp.holds():
            self._discard(key)
            scope[STAMP_KEY] = None
            return None
        self._answers.move_to_end(key)
        if known.event is not None:
            scope["nora.event"] = known.event
        return known

    def put(self, scope: dict[str, Any], response: Response, extra: Sequence[Header]) -> None:
        """Keep the answer to a request with `extra` header fields, if whoever made it says so: see
        `RequestContext.keep_while`."""
        stamp: Stamp | None = scope.get(STAMP_KEY)
        content = response.content
        if stamp is None or response.status != 200 or content is None:
            return
        is_head = scope["method"] == "HEAD"
        if not is_head and (isinstance(content, StreamedContent) or content.length > LARGEST_BODY):
            return
        body = b"" if is_head else content.body
        cost = len(body) + OVERHEAD
        if cost > self._max_bytes:
            return
        key = scope["method"], scope["raw_path"]
        self._discard(key)
        while cost > self._free:
            self._discard(next(iter(self._answers)))
        head = tuple(head_of(response, extra))
        self._answers[key] = KeptAnswer(response, head, body, scope.get("nora.event"), stamp)
        self._free -= cost

    def _discard(self, key: tuple[str, bytes]) -> None:
        old = self._answers.pop(key, None)
        if old is not None:
            self._free += len(old.body) + OVERHEAD
