"""Events over HTTP, for programs that follow what happens.

    GET /api/v1/events?kind=&format=&repository=&user=&limit=&before=    the newest first
    GET /api/v1/events?after=0                                           the oldest first

`kind` may be said several times. A program that follows asks with the `after` that it was answered with,
again and again; nothing is missed between two answers, as long as it asks before events are removed
(`[events]`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypedDict

from nora.auth.endpoints import ServerEndpoint
from nora.errors import BadRequest, Unauthenticated
from nora.events.feed import EventShown, Feed, Wish
from nora.http.context import RequestContext
from nora.http.fields import json_endpoint, read_limit
from nora.http.operations import Parameter

if TYPE_CHECKING:
    from nora.auth.authenticator import Authenticator

MOST_LISTED: Final = 500
MOST_KINDS: Final = 20
LARGEST_ID: Final = 2**63 - 1


_QUERY: Final = (
    Parameter("kind", "What happened"),
    Parameter("format", "The name of a format"),
    Parameter("repository", "The name of a repository, with all that is read through it"),
    Parameter("user", "Who did it"),
    Parameter("before", "Older than the event with this id", "integer"),
    Parameter("after", "Newer than the event with this id, the oldest first", "integer"),
    Parameter("limit", "How many at most; as many as there may be, if nothing is said", "integer"),
)


class EventsShown(TypedDict, total=False):
    """Some of what has happened."""

    events: list[EventShown]
    before: int | None
    """Where to go on with older ones; null: there are none."""
    after: int | None
    """Where to go on with newer ones."""


class EventApi:
    """The endpoints."""

    def __init__(self, authenticator: Authenticator, feed: Feed) -> None:
        self._authenticator = authenticator
        self._feed = feed

    def endpoints(self) -> Iterator[ServerEndpoint]:
        """For everybody who may read anything."""
        yield json_endpoint(
            "GET HEAD", "/api/v1/events", None, EventsShown, self._list, query=_QUERY, errors=(400, 401)
        )

    async def _list(self, context: RequestContext) -> EventsShown:
        """List what has happened to what may be read."""
        is_open = self._feed.is_open
        principal = await self._authenticator.identify(context.request, allow_foreign=is_open)
        if self._authenticator.enabled and principal.is_anonymous and not is_open:
            raise Unauthenticated("authentication is required: a token, or a user with a password")
        wish = read_wish(context)
        page = await self._feed.read(principal, wish, read_limit(context, MOST_LISTED))
        events = [one.render() for one in page.events]
        if wish.after is None:
            return {"events": events, "before": page.next}
        return {"events": events, "after": page.next}


def read_wish(context: RequestContext) -> Wish:
    """What the query asks for. Raises BadRequest."""
    after = context.parameter("after")
    before = context.parameter("before")
    if after is not None and before:
        raise BadRequest("the query has after or before, one of them")
    return Wish(
        kinds=tuple(one for one in context.query.get("kind", ()) if one)[:MOST_KINDS],
        format=context.parameter("format") or "",
        repository=context.parameter("repository") or "",
        user=context.parameter("user") or "",
        before=_number("before", before) if before else 0,
        after=None if after is None else _number("after", after),
    )


def _number(name: str, text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST_ID:
        return int(text)
    raise BadRequest(f"{name} is the id of an event")
