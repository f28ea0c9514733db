"""Whole answers that are given again to the same question.

Most of what a busy registry is asked for is what it was asked for a moment ago: a
manifest by its tag. Who answers such a request can say that its answer depends on the method and the path
alone, and on rows that have not changed for as long as a stamp holds; the next one who asks gets the same
bytes. What is done for each request - its id, limits, the check of its `Host`, metrics, logs - is done all
the same. An answer that varies by `Accept` and `Accept-Encoding` is for who sends the same texts there, and
one that has the address of this server in it is for who used that. An answer to somebody who showed
credentials is for all who have the same rights, and whether those hold is found out each time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar, cast

from blacksheep import Request, Response, StreamedContent

from nora.catalog.pulls import FileKey
from nora.http.clients import Clients
from nora.http.pulls import pulled_file
from nora.http.send import Header, head_of
from nora.model import ANONYMOUS, Principal, Scope

OVERHEAD: Final = 2000
"""Bytes that an answer takes beside its body: its key, its head, its stamp."""
LARGEST_BODY: Final = 64 * 1024
MOST_VARIANTS: Final = 16
"""Of one path: the forms and encodings that clients ask for, and the rights that they have."""
STAMP_KEY: Final = "nora.stamp"
"""Where a request whose answer may be kept has the stamp of that; None as long as nobody has said so."""
BASE_KEY: Final = "nora.base"
"""Where a request has the address of this server that its answer contains; nothing while it has none."""

INDIFFERENT: Final = frozenset(
    b"accept-language cache-control cargo-protocol connection forwarded http2-settings npm-auth-type"
    b" npm-command npm-scope npm-session pacote-integrity pacote-pkg-id pacote-req-type pacote-version pragma"
    b" traceparent tracestate upgrade user-agent via x-forwarded-for x-forwarded-host x-forwarded-port"
    b" x-forwarded-proto x-real-ip".split()
)
"""Header fields of which an answer that is kept knows nothing, beside those that a Question has. A request
with any other is answered anew: ranges, and whatever clients may come to send; of conditions one is known,
that the client has not the whole answer already."""
_VARYING: Final = frozenset({b"accept", b"accept-encoding"})
_OF_A_BODY: Final = frozenset({b"content-type", b"content-length"})

M = TypeVar("M")

Rights = tuple[str, str, tuple[Scope, ...]]
"""What an answer may depend on of who asks: how they said who they are, their role and their scopes."""


def rights_of(principal: Principal) -> Rights:
    """The rights of somebody who showed credentials."""
    return principal.method, principal.role, principal.scopes


class Question(NamedTuple):
    """What a request says beside its method and path."""

    host: bytes | None
    request_id: bytes | None
    """As the client wants it."""
    accept: bytes | None
    encoding: bytes | None
    credentials: bytes | None
    """Its `Authorization`."""
    condition: bytes | None
    """Its `If-None-Match`, empty where it has none. None where it has any header field that an answer may
    depend on and that is not one of these."""


def question_of(headers: Sequence[Header]) -> Question:
    """What the header of a request asks. This is for each request."""
    host = request_id = accept = encoding = credentials = since = None
    condition: bytes | None = b""
    for name, value in headers:
        if name in INDIFFERENT:
            continue
        if name == b"host":
            host = value if host is None else b"%b, %b" % (host, value)
        elif name == b"accept" and accept is None:
            accept = value
        elif name == b"accept-encoding" and encoding is None:
            encoding = value
        elif name == b"x-request-id":
            request_id = value
        elif name == b"authorization" and credentials is None:
            credentials = value
        elif name == b"if-modified-since":
            since = value
        else:
            condition = value if name == b"if-none-match" and condition == b"" else None
    if since is not None and condition == b"":  # beside an If-None-Match it does not count (RFC 9110, 13.1.3)
        condition = None
    return Question(host, request_id, accept, encoding, credentials, condition)


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


@dataclass(frozen=True, slots=True, eq=False)
class Again(Generic[M]):
    """What is sent of an answer again."""

    status: int
    head: Sequence[Header]
    """Without the id of the request."""
    body: dict[str, Any]
    """The message of it."""
    event: str | None
    """What it counts as: see `RequestContext.count_as`."""
    file: FileKey | None
    """That is pulled with it."""
    mount: M
    """Who has answered."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptAnswer(Generic[M]):
    """An answer, whom it is for, and how long."""

    whole: Again[M]
    unchanged: Again[M]
    """To who has it already."""
    etag: bytes | None
    stamp: Stamp
    varies: tuple[bool, bool]
    """By `Accept`, by `Accept-Encoding`: then it is for who sends these."""
    accept: bytes | None
    encoding: bytes | None
    base: str | None
    """The address of this server, if it is in it."""
    rights: Rights | None
    """Of who got it; None where that showed no credentials."""
    cost: int

    def suits(
        self, question: Question, scope: dict[str, Any], clients: Clients, rights: Rights | None
    ) -> bool:
        """Whether it is for who asks so."""
        by_accept, by_encoding = self.varies
        return (
            self.rights == rights
            and (not by_encoding or self.encoding == question.encoding)
            and (not by_accept or self.accept == question.accept)
            and (self.base is None or self.base == (clients.base_url(scope) or ""))
        )

    def replaces(self, other: KeptAnswer[M]) -> bool:
        """Whether it is for the same ones as another answer to the same path."""
        return (
            self.varies == other.varies
            and (self.accept, self.encoding) == (other.accept, other.encoding)
            and (self.base, self.rights) == (other.base, other.rights)
        )


def give_once(request: Request) -> None:
    """Keep no answer to a request, whoever says later that it may be kept."""
    cast("dict[str, Any]", request.scope).pop(STAMP_KEY, None)


_Key = tuple[str, bytes]


class KeptAnswers(Generic[M]):
    """The most recent ones, up to a number of bytes."""

    __slots__ = ("_answers", "_free", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._answers: OrderedDict[_Key, list[KeptAnswer[M]]] = OrderedDict()
        self._max_bytes = max_bytes
        self._free = max_bytes

    def __len__(self) -> int:
        return sum(map(len, self._answers.values()))

    @property
    def used(self) -> int:
        """Bytes in use."""
        return self._max_bytes - self._free

    def has_for_known(self, scope: dict[str, Any]) -> bool:
        """Whether somebody who showed credentials got an answer to such a request that is kept."""
        return any(one.rights for one in self._answers.get((scope["method"], scope["raw_path"]), ()))

    def recall(
        self, scope: dict[str, Any], question: Question, clients: Clients, rights: Rights | None = None
    ) -> Again[M] | None:
        """What is sent to a request whose answer is known and still true; to one with credentials if their
        `rights` are given, which hold. Raises what its stamp does."""
        key = scope["method"], scope["raw_path"]
        variants = self._answers.get(key)
        condition = question.condition
        if variants is None or condition is None or scope["query_string"]:
            return None
        if rights is None and question.credentials is not None:
            return None
        for one in variants:
            if one.suits(question, scope, clients, rights):
                if not one.stamp.holds():
                    self._drop(key, one)
                    return None
                if condition and condition != one.etag:
                    return None
                self._answers.move_to_end(key)
                return one.unchanged if condition else one.whole
        return None

    def invite(self, scope: dict[str, Any], question: Question) -> None:
        """Note in the scope of a request that its answer may be kept, if it is such a one."""
        if question.condition == b"" and not scope["query_string"]:
            scope[STAMP_KEY] = None

    def put(
        self,
        scope: dict[str, Any],
        question: Question,
        response: Response,
        extra: Sequence[Header],
        mount: M,
    ) -> None:
        """Keep the answer to a request with `extra` header fields, if whoever made it says so: see
        `RequestContext.keep_while`. Credentials that count for nothing are not worth it."""
        stamp: Stamp | None = scope.get(STAMP_KEY)
        content = response.content
        if stamp is None or response.status != 200 or content is None:
            return
        principal: Principal = scope.get("nora.principal", ANONYMOUS)
        if principal.is_anonymous != (question.credentials is None):
            return
        is_head = scope["method"] == "HEAD"
        if not is_head and (isinstance(content, StreamedContent) or content.length > LARGEST_BODY):
            return
        head = tuple(head_of(response, extra))
        vary = b",".join(text for name, text in head if name == b"vary")
        varied = {field.strip().lower() for field in vary.split(b",") if vary}
        if not varied <= _VARYING:
            return
        body = b"" if is_head else content.body
        cost = len(body) + OVERHEAD
        if cost > self._max_bytes:
            return
        event, file = scope.get("nora.event"), pulled_file(scope)
        message = {"type": "http.response.body", "body": body, "more_body": False}
        unchanged = [one for one in head if one[0] not in _OF_A_BODY]
        self._add(
            (scope["method"], scope["raw_path"]),
            KeptAnswer(
                Again(200, head, message, event, file, mount),
                Again(304, unchanged, {**message, "body": b""}, event, file, mount),
                etag=next((value for name, value in head if name == b"etag"), None),
                stamp=stamp,
                varies=(b"accept" in varied, b"accept-encoding" in varied),
                accept=question.accept if b"accept" in varied else None,
                encoding=question.encoding if b"accept-encoding" in varied else None,
                base=scope.get(BASE_KEY),
                rights=None if principal.is_anonymous else rights_of(principal),
                cost=cost,
            ),
        )

    def _add(self, key: _Key, new: KeptAnswer[M]) -> None:
        for old in [one for one in self._answers.get(key, ()) if new.replaces(one)]:
            self._drop(key, old)
        while new.cost > self._free:
            oldest, variants = next(iter(self._answers.items()))
            self._drop(oldest, variants[0])
        variants = self._answers.setdefault(key, [])
        variants.append(new)
        self._answers.move_to_end(key)
        self._free -= new.cost
        if len(variants) > MOST_VARIANTS:
            self._drop(key, variants[0])

    def _drop(self, key: _Key, one: KeptAnswer[M]) -> None:
        variants = self._answers[key]
        variants.remove(one)
        self._free += one.cost
        if not variants:
            del self._answers[key]
