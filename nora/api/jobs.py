"""Work that administrators ask for: to tell what collection or retention would remove, and to remove it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypedDict

from nora.http.fields import json_answer, json_endpoint, read_fields, text_of
from nora.http.operations import Operation
from nora.http.router import Endpoint

if TYPE_CHECKING:
    from blacksheep import Response

    from nora.api.call import Call
    from nora.http.requested_jobs import Asked, RequestedJobs


class FoundPart(TypedDict):
    """How much of one kind there is."""

    kind: str
    """`unused` (nobody used it of upstreams), `unneeded` (blobs that nothing needs), `strays` (objects that
    no row names), `doomed` (collected, and about to be removed), `removed`, `kept` (for a catalog that was
    put aside), or `rule 1` and so on."""
    count: int
    bytes: int


class FoundExample(TypedDict):
    """One of it."""

    kind: str
    name: str
    """A digest, a path, a version or a tag."""
    bytes: int | None
    """null: that is not known."""
    repository: str
    package: str


class AskedJob(TypedDict):
    """The last time that a job was asked for."""

    name: str
    state: Literal["", "waiting", "running", "done", "failed"]
    """Empty: it was not asked for yet."""
    by: str
    asked_at: float | None
    """Seconds since the epoch, as the next."""
    ended_at: float | None
    phase: str
    """What is being done."""
    done: int
    """How much of that."""
    of: int
    """Of how much; 0: that is not known."""
    problem: str
    """Why it failed."""
    parts: list[FoundPart]
    """What was found, or done."""
    examples: list[FoundExample]
    """The first of it."""


class AskedJobs(TypedDict):
    """All that may be asked for."""

    jobs: list[AskedJob]


class ToAsk(TypedDict):
    """What shall be done."""

    job: str
    """By its name: `plan-collection`, `collect`; with rules also `plan-retention`, `apply-retention`."""


class JobApi:
    """The endpoints."""

    def __init__(self, jobs: RequestedJobs) -> None:
        self._jobs = jobs

    def endpoints(self) -> Iterator[Endpoint[Call]]:
        """For administrators."""
        path = "/api/v1/admin/jobs"
        yield json_endpoint("GET HEAD", path, "admin", AskedJobs, self._list)
        yield json_endpoint("GET HEAD", f"{path}/{{job}}", "admin", AskedJob, self._read, errors=(404,))
        told = Operation(body=ToAsk, answer=AskedJob, status=202, errors=(404, 409))
        yield Endpoint("POST", path, "admin", self._ask, told=told)

    async def _list(self, call: Call) -> AskedJobs:
        """List the jobs that may be asked for, and how far each is."""
        return {"jobs": [_shown(name, await self._jobs.read(name)) for name in self._jobs.names]}

    async def _read(self, call: Call) -> AskedJob:
        """Tell how far a job is, and what came of it."""
        name = call.value("job")
        return _shown(name, await self._jobs.read(name))

    async def _ask(self, call: Call) -> Response:
        """Ask for a job: a plan changes nothing, the others remove what it tells."""
        name = text_of(await read_fields(call.request, ToAsk), "job")
        call.audit("admin", name)
        asked = await self._jobs.ask(name, call.principal.name)
        return json_answer(_shown(name, asked), 202)


def _shown(name: str, asked: Asked | None) -> AskedJob:
    outcome = asked.outcome if asked else None
    return {
        "name": name,
        "state": asked.state if asked else "",
        "by": asked.by if asked else "",
        "asked_at": asked.asked_at if asked else None,
        "ended_at": asked.ended_at if asked else None,
        "phase": asked.phase if asked else "",
        "done": asked.done if asked else 0,
        "of": asked.of if asked else 0,
        "problem": asked.problem if asked else "",
        "parts": [
            {"kind": one.kind, "count": one.count, "bytes": one.bytes}
            for one in (outcome.parts if outcome else ())
        ],
        "examples": [
            {
                "kind": one.kind,
                "name": one.name,
                "bytes": one.bytes,
                "repository": one.repository,
                "package": one.package,
            }
            for one in (outcome.examples if outcome else ())
        ],
    }
