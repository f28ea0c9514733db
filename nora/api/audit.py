"""The audit log, for administrators: who did what, where, when, and whether it was allowed.

GET /api/v1/admin/audit?who=&action=&where=&outcome=&since=&until=&after=&limit=    the newest first
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypedDict

from nora.http.fields import json_endpoint, read_limit
from nora.http.operations import Parameter
from nora.observability.audit_reader import Cursor
from nora.ui.audit_export import MOST_LISTED, question_of

if TYPE_CHECKING:
    from nora.api.call import Call
    from nora.http.router import Endpoint
    from nora.observability.audit_reader import AuditReader, Record

_QUERY: Final = (
    Parameter("who", "A part of the name of who asked, or of their address"),
    Parameter("action", "What was done, exactly: `write`, `delete`, `admin` …"),
    Parameter("where", "A part of the registry, the repository, the object or the digest"),
    Parameter("outcome", "`ok`, `denied` or `failed`"),
    Parameter("since", "From then on, in UTC: `2026-01-31`, or `2026-01-31T12:00:00Z`"),
    Parameter("until", "Before then; a day alone is included"),
    Parameter("after", "What the last answer had as `after`"),
    Parameter("limit", "How many at most, at most 1000", "integer"),
)


class AuditLine(TypedDict):
    """Something that was done, or tried. What a line lacks is empty."""

    ts: str
    request_id: str
    client: str
    subject: str
    method: str
    """How it was said who it was."""
    action: str
    registry: str
    repository: str
    object: str
    digest: str
    outcome: str
    status: int | None


class AuditLines(TypedDict):
    """Some of the lines, the newest first."""

    lines: list[AuditLine]
    """Fewer than were asked for, even none, where much was looked through."""
    after: str | None
    """Where to go on; null: there are no more."""
    reached: str | None
    """The time of the line that was looked at last."""
    mode: str
    """Where lines are written now, as the setting audit.mode says: those of a file are read."""


class AuditApi:
    """The endpoint."""

    def __init__(self, reader: AuditReader, mode: str) -> None:
        """`mode`: where lines are written, as `audit.mode` says."""
        self._reader = reader
        self._mode = mode

    def endpoints(self) -> Iterator[Endpoint[Call]]:
        """For administrators."""
        yield json_endpoint("GET HEAD", "/api/v1/admin/audit", "admin", AuditLines, self._list, query=_QUERY)

    async def _list(self, call: Call) -> AuditLines:
        """List what was done, and by whom."""
        question, cursor = question_of(call), Cursor.parse(call.parameter("after") or "")
        found = await asyncio.to_thread(self._reader.read, question, cursor, read_limit(call, MOST_LISTED))
        return {
            "lines": [_shown(one) for one in found.records],
            "after": None if found.next is None else str(found.next),
            "reached": found.reached or None,
            "mode": self._mode,
        }


def _shown(record: Record) -> AuditLine:
    """Of what the file has, whoever wrote it."""

    def text(name: str) -> str:
        return str(record.get(name) or "")

    status = record.get("status")
    return {
        "ts": text("ts"),
        "request_id": text("request_id"),
        "client": text("client"),
        "subject": text("subject"),
        "method": text("method"),
        "action": text("action"),
        "registry": text("registry"),
        "repository": text("repository"),
        "object": text("object"),
        "digest": text("digest"),
        "outcome": text("outcome"),
        "status": status if type(status) is int else None,
    }
