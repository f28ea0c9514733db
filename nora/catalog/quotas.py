"""Quotas: how much a hosted repository may hold, and how much it does.

Only what has a quota is counted, by the changes themselves: no change looks at all that there is. One that
makes a repository hold more than its quota raises QuotaExceeded, and nothing is written. Where it is above it
already, since that was made smaller, what makes it no more may still be done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from nora.model import Quota


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of its quota a repository uses."""

    quota: Quota
    bytes: int
    """Of what is stored once, however often it is held; what no version needs (yet) as well, until it is
    collected."""
    versions: int
    """And files that belong to no package."""


class Quotas(Protocol):
    """See nora.catalog.base for what holds for all methods. Quotas are said by `sync_repositories`."""

    async def list_usage(self) -> Mapping[int, Usage]:
        """Of the repositories that have a quota, by id."""
        ...
