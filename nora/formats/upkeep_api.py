"""Upkeep for programs: `GET /api/v1/admin/upkeep`, and what is done by rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypedDict

from nora.formats.retention_plans import RetentionApi
from nora.http.fields import json_endpoint

if TYPE_CHECKING:
    from nora.auth.endpoints import ServerEndpoint
    from nora.formats.upkeep import Largest, Stored, Upkeep
    from nora.http.context import RequestContext
    from nora.http.jobs import Job, Run


class StoredShown(TypedDict):
    """What a repository, or all of a format, holds."""

    format: str
    name: str
    kind: str
    """`hosted` or `proxy`; empty for a format."""
    packages: int
    versions: int
    files: int
    """That belong to no package."""
    bytes: int
    quota_bytes: int | None
    """How much it may hold, as the next; null: that is not limited."""
    quota_versions: int | None
    """And files that belong to no package."""


class LargestShown(TypedDict):
    """A package that takes much."""

    format: str
    repository: str
    name: str
    versions: int
    bytes: int


class UnusedShown(LargestShown):
    """A package that nobody has used for long."""

    used_at: float
    """When it was pulled last, or something of it published, in seconds since the epoch."""


class JobShown(TypedDict):
    """Something that is done again and again."""

    name: str
    every_seconds: float
    began_at: float | None
    """When it was done last, in seconds since the epoch, as the next; null: not yet."""
    ended_at: float | None
    problem: str
    """Why it failed; empty: it did not."""
    result: str
    """What came of it, of a job that says so."""


class RunShown(TypedDict):
    """When a command was run last, and what came of it."""

    began_at: float
    """In seconds since the epoch, as the next."""
    ended_at: float
    problem: str
    """What is wrong, or why it failed; empty: nothing."""
    result: str
    succeeded_at: float | None
    """When the last one without a problem began, this one or one before; null: none is known."""


class UpkeepShown(TypedDict):
    """What takes space, what is left, what is done about it."""

    as_of: float
    """When it was counted, in seconds since the epoch."""
    blobs: int
    bytes: int
    formats: list[StoredShown]
    repositories: list[StoredShown]
    largest: list[LargestShown]
    unused: list[UnusedShown]
    """What was unused for longest, this first."""
    free_bytes: int
    disk_bytes: int
    reserve_bytes: int
    catalog_bytes: int
    uploads: int
    """Sessions that are open."""
    doomed: int
    """Blobs that are collected, and whose objects are about to be removed."""
    doomed_bytes: int
    jobs: list[JobShown]
    backup: RunShown | None
    """The last one that was made of this storage; null: none is known."""
    verification: RunShown | None
    """When all that is stored was compared last."""


class UpkeepApi:
    """The endpoints."""

    def __init__(self, upkeep: Upkeep) -> None:
        self._upkeep = upkeep

    def endpoints(self) -> Iterator[ServerEndpoint]:
        """For administrators."""
        yield json_endpoint("GET HEAD", "/api/v1/admin/upkeep", "admin", UpkeepShown, self._read)
        yield from RetentionApi(self._upkeep.plans).endpoints()

    async def _read(self, context: RequestContext) -> UpkeepShown:
        """What takes space, what is left, and what is done about it."""
        state = await self._upkeep.read()
        return {
            "as_of": state.as_of,
            "blobs": state.blobs,
            "bytes": state.bytes,
            "formats": [_stored(one) for one in state.formats],
            "repositories": [_stored(one) for one in state.repositories],
            "largest": [_largest(one) for one in state.largest],
            "unused": [{**_largest(one), "used_at": one.used_at} for one in state.unused],
            "free_bytes": state.free_bytes,
            "disk_bytes": state.disk_bytes,
            "reserve_bytes": state.reserve_bytes,
            "catalog_bytes": state.catalog_bytes,
            "uploads": state.uploads,
            "doomed": state.doomed,
            "doomed_bytes": state.doomed_bytes,
            "jobs": [_job(one) for one in state.jobs],
            "backup": _run(state.backup),
            "verification": _run(state.verification),
        }


def _stored(one: Stored) -> StoredShown:
    held = one.totals
    return {
        "format": one.format,
        "name": one.name,
        "kind": one.kind,
        "packages": held.packages,
        "versions": held.versions,
        "files": held.files,
        "bytes": held.bytes,
        "quota_bytes": one.quota.bytes if one.quota else None,
        "quota_versions": one.quota.versions if one.quota else None,
    }


def _largest(one: Largest) -> LargestShown:
    return {
        "format": one.format,
        "repository": one.repository,
        "name": one.name,
        "versions": one.versions,
        "bytes": one.bytes,
    }


def _run(last: Run | None) -> RunShown | None:
    if last is None:
        return None
    return {
        "began_at": last.began_at,
        "ended_at": last.ended_at,
        "problem": last.problem,
        "result": last.result,
        "succeeded_at": last.succeeded_at,
    }


def _job(one: Job) -> JobShown:
    last = one.last
    return {
        "name": one.name,
        "every_seconds": one.every_seconds,
        "began_at": None if last is None else last.began_at,
        "ended_at": None if last is None else last.ended_at,
        "problem": "" if last is None else last.problem,
        "result": "" if last is None else last.result,
    }
