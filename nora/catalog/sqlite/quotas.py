"""Quotas: what a change may add to a repository."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from nora.catalog.quotas import Usage
from nora.catalog.sqlite import quota_queries
from nora.catalog.sqlite.executor import Executor
from nora.errors import QuotaExceeded
from nora.model import Quota

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nora.catalog.sqlite.engine import Connection


class Quotas(Executor):
    """The methods of nora.catalog.quotas.Quotas."""

    async def list_usage(self) -> Mapping[int, Usage]:
        rows = self._rows(quota_queries.LIST_QUOTAS, ())
        return {
            id_: Usage(Quota(most_bytes, most_versions), size, versions)
            for id_, most_bytes, most_versions, size, versions in rows
        }


# -- inside of a transaction -------------------------------------------------------------------------------


@contextmanager
def within_quota(db: Connection, repository_id: int) -> Iterator[None]:
    """What is done in it leaves a repository within its quota, or no fuller than it was. Raises
    QuotaExceeded; the change is then rolled back."""
    before = db.execute(quota_queries.FIND_QUOTA, (repository_id,)).fetchone()
    yield
    if before is not None:
        after = db.execute(quota_queries.FIND_QUOTA, (repository_id,)).fetchone()
        for had, has, most, what in (
            (before[0], after[0], after[2], "bytes"),
            (before[1], after[1], after[3], "versions"),
        ):
            if most is not None and has > most and has > had:
                raise _exceeded(db, repository_id, f"it would hold {has} {what} of {most} (quota_{what})")


def check_not_full(db: Connection, repository_id: int) -> None:
    """Before something comes in that is not known yet. Raises QuotaExceeded where nothing can."""
    row = db.execute(quota_queries.FIND_QUOTA, (repository_id,)).fetchone()
    if row is not None and row[2] is not None and row[0] >= row[2]:
        raise _exceeded(db, repository_id, f"it holds {row[0]} bytes of {row[2]} (quota_bytes)")


def set_quota(db: Connection, repository_id: int, quota: Quota | None) -> None:
    """Say how much a repository may hold. What it holds is counted when that is said first."""
    is_counted = db.execute(quota_queries.FIND_QUOTA, (repository_id,)).fetchone() is not None
    if quota is None:
        if is_counted:
            db.execute(quota_queries.DELETE_QUOTA, (repository_id,))
            db.execute(quota_queries.DELETE_HELD, (repository_id,))
        return
    if not is_counted:
        db.execute(quota_queries.INSERT_QUOTA, (repository_id,))
        db.execute(quota_queries.FILL_HELD, (repository_id,))
        db.execute(quota_queries.FILL_HELD_BY_FILES, (repository_id,))
        db.execute(quota_queries.FILL_VERSIONS, (repository_id,))
    db.execute(quota_queries.UPDATE_QUOTA, (quota.bytes, quota.versions, repository_id))


def _exceeded(db: Connection, repository_id: int, why: str) -> QuotaExceeded:
    name = db.execute(quota_queries.NAME_OF, (repository_id,)).fetchone()[0]
    return QuotaExceeded(f"the repository {name} is full: {why}; remove what nobody needs, or ask for more")
