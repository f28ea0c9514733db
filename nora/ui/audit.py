"""The audit log, for administrators: who did what, where, when, and whether it was allowed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, get_args

from nora.errors import BadRequest
from nora.model import Action
from nora.observability.audit_reader import OUTCOMES, AuditPage, Cursor, Question
from nora.ui.audit_export import export, question_of

if TYPE_CHECKING:
    from blacksheep import Response

    from nora.observability.audit_reader import AuditReader, Record
    from nora.ui.shelves import Shelves
    from nora.ui.visit import Visit

PAGE: Final = 100
ACTIONS: Final = (*get_args(Action), "claim", "authenticate", "session")
FILTERS: Final = ("who", "action", "where", "outcome", "since", "until")


@dataclass(frozen=True, slots=True)
class Line:
    """A line as the page shows it: what it lacks is empty."""

    ts: str
    at: float | None
    """Seconds since the epoch; None where its time cannot be read."""
    subject: str
    client: str
    action: str
    repository: str
    object: str
    outcome: str
    status: str
    request_id: str

    @classmethod
    def of(cls, record: Record) -> Line:
        """Of what the file has, whoever wrote it."""
        texts = {name: str(record.get(name) or "") for name in cls.__slots__ if name != "at"}
        return cls(at=_moment(texts["ts"]), **texts)


class AuditPages:
    """The pages."""

    def __init__(self, reader: AuditReader, shelves: Shelves, mode: str) -> None:
        """`mode`: where lines are written, as `audit.mode` says."""
        self._reader = reader
        self._shelves = shelves
        self._mode = mode

    async def page(self, visit: Visit) -> Response:
        """Lines, the newest first."""
        self._shelves.require_administrator(visit.principal)
        filters = {name: visit.text(name) for name in FILTERS}
        problem = ""
        found = AuditPage((), None, "")
        try:
            question, cursor = question_of(visit), Cursor.parse(visit.text("after", 64))
            found = await asyncio.to_thread(self._reader.read, question, cursor, PAGE)
        except BadRequest as error:
            problem = str(error)
        return visit.page(
            "audit.html",
            status=400 if problem else 200,
            problem=problem,
            mode=self._mode,
            is_there=self._reader.is_there,
            lines=[Line.of(one) for one in found.records],
            reached=found.reached,
            next_after=None if found.next is None else str(found.next),
            after=visit.text("after", 64),
            filters=filters,
            is_filtered=question_of(visit) != Question() if not problem else True,
            actions=ACTIONS,
            outcomes=OUTCOMES,
        )

    async def export(self, visit: Visit) -> Response:
        """All of them as JSON lines."""
        self._shelves.require_administrator(visit.principal)
        return export(self._reader, question_of(visit))


def _moment(text: str) -> float | None:
    """The time of a line in seconds since the epoch; None where it says none that can be read."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
