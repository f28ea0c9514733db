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
from time import monotonic
from typing import Any, Final, Protocol

from blacksheep import Response, StreamedContent

from nora.http.send import Header, head_of

OVERHEAD: Final = 2000
"""Bytes that an answer takes beside its body: its key, its head, its stamp."""
LARGEST_BODY: Final = 16 * 1024
STAMP_KEY: Final = "nora.stamp"
"""Where a request whose answer may be kept has the stamp of that; None as long as nobody has said so."""

INDIFFERENT: Final = frozenset(
    b"accept accept-encoding accept-language cache-control cargo-protocol connection forwarded host"
    b" http2-settings pragma traceparent tracestate upgrade user-agent via x-forwarded-for x-forwarded-host"
    b" x-forwarded-port x-forwarded-proto x-real-ip x-request-id".split()
)
"""Header fields of which an answer that is kept knows nothing, but for what its `Vary` says. A request with
any other is answered anew: credentials, ranges, and whatever clients may come to send; of conditions one is
known, that the client has not the whole answer already."""
_ENCODING: Final = b"accept-encoding"
_OF_A_BODY: Final = frozenset({b"content-type", b"content-length"})


class Stamp(Protocol):
    """How things stood when something was read."""

    def holds(self) -> bool:
        """Whether they still stand so, in all processes."""
        ...


class Until:
    """A stamp that holds for some seconds at most."""

    __slots__ = ("_end", "_stamp")

    def __init__(self, stamp: Stamp, seconds: float) -> None:
        self._stamp = stamp
        self._end = monotonic() + seconds

    def holds(self) -> bool:
        """See Stamp."""
        return monotonic() < self._end and self._stamp.holds()


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
    etag: bytes | None
    unchanged: Sequence[Header]
    """The head of a 304, without the id of the request."""
    varies: bool
    """Whether it is for who sends this `Accept-Encoding` alone."""
    encoding: bytes | None


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

    def recall(self, scope: dict[str, Any], condition: bytes = b"") -> KeptAnswer | None:
        """The answer to a request that says nothing but its method and its path, if it is known and still
        true; else notes in its scope that its answer may be kept. `condition` is its `If-None-Match`: then
        the answer is found if that is its ETag, and none is noted."""
        if scope["query_string"]:
            return None
        key = scope["method"], scope["raw_path"]
        known = self._answers.get(key)
        if known is None or not known.stamp.holds():
            self._discard(key)
            if not condition:
                scope[STAMP_KEY] = None
            return None
        if known.varies and known.encoding != _encoding_of(scope):
            if not condition:
                scope[STAMP_KEY] = None
            return None
        if condition and condition != known.etag:
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
        head = tuple(head_of(response, extra))
        varied = {value.lower() for name, value in head if name == b"vary"}
        if not varied <= {_ENCODING}:
            return
        body = b"" if is_head else content.body
        cost = len(body) + OVERHEAD
        if cost > self._max_bytes:
            return
        key = scope["method"], scope["raw_path"]
        self._discard(key)
        while cost > self._free:
            self._discard(next(iter(self._answers)))
        self._answers[key] = KeptAnswer(
            response,
            head,
            body,
            scope.get("nora.event"),
            stamp,
            etag=next((value for name, value in head if name == b"etag"), None),
            unchanged=[one for one in head if one[0] not in _OF_A_BODY],
            varies=bool(varied),
            encoding=_encoding_of(scope) if varied else None,
        )
        self._free -= cost

    def _discard(self, key: tuple[str, bytes]) -> None:
        old = self._answers.pop(key, None)
        if old is not None:
            self._free += len(old.body) + OVERHEAD


def _encoding_of(scope: dict[str, Any]) -> bytes | None:
    for name, value in scope["headers"]:
        if name == _ENCODING:
            found: bytes = value
            return found
    return None
