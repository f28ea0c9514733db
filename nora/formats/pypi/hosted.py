"""A hosted project: how its rows make a page, and what is written in them.

    package document   {"status": …, "reason": …}     PEP 792
    version            state `yanked`; document {"yanked": reason or null}
    file document      {"requires-python": …, "metadata": sha256 of its `.metadata`, "kind": wheel or sdist}

Every wheel and sdist has a second file beside it, its core metadata, at `<path>.metadata`. Only that of a
wheel is offered: an sdist's may change when it is built.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson

from nora.catalog.records import Package, PackageFile, Version
from nora.errors import Conflict, Denied, quoted
from nora.formats import releases
from nora.formats.pypi.index import ListedFile, Project, Status
from nora.formats.pypi.names import ProjectName

YANKED: Final = "yanked"
METADATA: Final = ".metadata"
STATUSES: Final[tuple[Status, ...]] = ("active", "archived", "quarantined", "deprecated")


def path_of(project: str, filename: str) -> str:
    """Where a file is among the files of its repository."""
    return f"{project}/{filename}"


def file_document(kind: Literal["wheel", "sdist"], requires_python: str | None, metadata: str) -> bytes:
    """What is remembered of a file. `metadata` is the sha256 of its core metadata, in hexadecimal."""
    return orjson.dumps({"kind": kind, "requires-python": requires_python, "metadata": metadata})


def status_of(package: Package) -> tuple[Status, str | None]:
    """PEP 792's status of a project, and why."""
    return releases.status_of(package, "active")


def check_open(package: Package) -> None:
    """Raises Denied where a project takes no files (PEP 792)."""
    status, reason = status_of(package)
    if status in ("archived", "quarantined"):
        raise Denied(
            f"{package.name} is {status} and takes no files{f': {quoted(reason)}' if reason else ''}"
        )


def distributions(rows: Sequence[PackageFile]) -> Iterator[tuple[PackageFile, dict[str, Any]]]:
    """The wheels and sdists among the files of a project, and what is remembered of each."""
    for row in rows:
        if not row.path.endswith(METADATA):
            yield row, orjson.loads(row.document)


def project_of(
    name: ProjectName, package: Package, rows: Sequence[PackageFile], versions: Sequence[Version]
) -> Project:
    """The page of a project."""
    status, reason = status_of(package)
    yanked = {one.name: releases.reason_of(one, YANKED) for one in versions}
    start = len(name) + 1
    files = [
        ListedFile(
            filename=row.path[start:],
            hashes={"sha256": row.blob.digest.encoded},
            requires_python=document.get("requires-python"),
            core_metadata={"sha256": document["metadata"]} if document.get("kind") == "wheel" else False,
            yanked=yanked.get(row.version or "", False),
            size=row.blob.size,
            upload_time=iso_time(row.created_at),
        )
        for row, document in distributions(rows)
    ]
    return Project(name, files, [one.name for one in versions], status, reason)


def iso_time(seconds: float) -> str:
    """A time as PEP 700 writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def already_there(filename: str) -> Conflict:
    """The refusal that clients know how to skip: they look for these words."""
    return Conflict(
        f"File already exists ({quoted(filename)!r}, with other bytes): files never change,"
        " upload a new version"
    )


def used_before(filename: str) -> Conflict:
    """The refusal of a name that was deleted."""
    return Conflict(
        f"The file name {quoted(filename)!r} was used before and deleted; a name is never used again"
    )
