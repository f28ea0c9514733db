"""The pages of who looks after a server: what takes space, what is left, what is done about it.

    GET  /ui/upkeep
    GET  /ui/upkeep/{subject}            what a collection, or retention, would remove, and what has gone
    GET  /ui/upkeep/{subject}?do=apply   asks whether it shall go
    POST /ui/upkeep/{subject}            do=plan or do=apply, with the key of the session

The work itself is a job: see nora.http.requested_jobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nora.errors import BadRequest, NotFound, quoted
from nora.formats import retention_job
from nora.http import collection_job
from nora.ui.forms import read_own_form

if TYPE_CHECKING:
    from blacksheep import Response

    from nora.auth.browser import BrowserSessions
    from nora.formats.upkeep import Upkeep
    from nora.ui.shelves import Shelves
    from nora.ui.visit import Visit


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at before it goes: the jobs that do either."""

    plan: str
    apply: str


SUBJECTS: Final = {
    "collection": Subject(collection_job.PLAN, collection_job.COLLECT),
    "retention": Subject(retention_job.PLAN, retention_job.APPLY),
}


class UpkeepPages:
    """The pages."""

    def __init__(self, shelves: Shelves, upkeep: Upkeep, sessions: BrowserSessions) -> None:
        self._shelves = shelves
        self._upkeep = upkeep
        self._sessions = sessions

    async def page(self, visit: Visit) -> Response:
        """How it is, for administrators. Raises Unauthenticated, Denied, StorageFailed."""
        self._shelves.require_administrator(visit.principal)
        state = await self._upkeep.read()
        shelves = {one.format.name: one for one in self._shelves.all()}
        plans = self._upkeep.plans
        plan = await plans.read() if plans.retention.rules else None
        return visit.page("upkeep.html", state=state, shelves=shelves, plan=plan, rules=plans.retention.rules)

    async def subject(self, visit: Visit) -> Response:
        """What would go, and what has gone. Raises Unauthenticated, Denied, NotFound."""
        self._shelves.require_administrator(visit.principal)
        name, subject = self._subject(visit)
        jobs = self._upkeep.requested
        plan, applied = await jobs.read(subject.plan), await jobs.read(subject.apply)
        return visit.page(
            "upkeep_job.html",
            subject=name,
            plan=plan,
            applied=applied,
            is_open=any(one is not None and one.is_open for one in (plan, applied)),
            asks=visit.text("do") == "apply",
            rules=self._upkeep.plans.retention.rules,
        )

    async def ask(self, visit: Visit) -> Response:
        """Let a plan be made, or what it tells be done. Raises Unauthenticated, Denied, NotFound, BadRequest,
        Conflict while it is being done."""
        self._shelves.require_administrator(visit.principal)
        form = await read_own_form(visit, self._sessions)
        name, subject = self._subject(visit)
        job = {"plan": subject.plan, "apply": subject.apply}.get(form.text("do"))
        if job is None:
            raise BadRequest("do is plan or apply")
        visit.audit("admin", job)
        await self._upkeep.requested.ask(job, visit.principal.name)
        return visit.redirect(f"upkeep/{name}")

    def _subject(self, visit: Visit) -> tuple[str, Subject]:
        name = visit.value("subject")
        found = SUBJECTS.get(name)
        if found is None or found.plan not in self._upkeep.requested:
            raise NotFound(f"there is nothing to remove by {quoted(name)}; retention needs rules")
        return name, found
