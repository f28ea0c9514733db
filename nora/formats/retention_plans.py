"""What rules would remove now, for who looks before they do: `GET /api/v1/admin/retention`, and a page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypedDict

from nora.formats.retention import Totals
from nora.formats.retention_shown import (
    RemovalShown,
    TotalsShown,
    removal_shown,
    rules_shown,
    totals_shown,
)
from nora.http.fields import json_endpoint

if TYPE_CHECKING:
    from nora.auth.endpoints import ServerEndpoint
    from nora.formats.retention import Retention
    from nora.http.context import RequestContext

MOST_SHOWN: Final = 200
LONGEST_SECONDS: Final = 5.0
FRESH_SECONDS: Final = 10.0
PATIENCE: Final = 20
"""A plan is good for so many times what it took: the machine has other things to do."""


@dataclass(slots=True)
class Plan:
    """What would go."""

    as_of: float
    """Seconds since the epoch."""
    is_complete: bool = True
    """Whether all packages were looked at in the time that there is for it."""
    totals: Totals = field(default_factory=Totals)
    removals: list[RemovalShown] = field(default_factory=list)
    """The first of it."""


class Plans:
    """Makes it when it is asked for. One per worker."""

    def __init__(self, retention: Retention) -> None:
        self.retention = retention
        self._turn = asyncio.Lock()
        self._known: Plan | None = None
        self._good_until = float("-inf")

    async def read(self) -> Plan:
        """As it is, or was a moment ago. Raises StorageFailed."""
        async with self._turn:
            began = time.monotonic()
            if self._known is None or began >= self._good_until:
                self._known = await self._make()
                ended = time.monotonic()
                self._good_until = ended + max(FRESH_SECONDS, PATIENCE * (ended - began))
            return self._known

    async def _make(self) -> Plan:
        plan = Plan(time.time())
        try:
            async with asyncio.timeout(LONGEST_SECONDS), aclosing(self.retention.plan()) as found:
                async for planned in found:
                    plan.totals.add(planned.removals)
                    for one in planned.removals[: MOST_SHOWN - len(plan.removals)]:
                        plan.removals.append(removal_shown(planned.place, planned.package, one))
        except TimeoutError:
            plan.is_complete = False
        return plan


class PlanShown(TypedDict):
    """What would go by the rules, if they were applied now."""

    as_of: float
    """Seconds since the epoch."""
    complete: bool
    """False: there was no time to look at all packages, and more would go."""
    enabled: bool
    """Whether the rules are applied from time to time."""
    rules: list[dict[str, Any]]
    """As the configuration has them."""
    totals: TotalsShown
    removals: list[RemovalShown]
    """The first of it, in the order in which it goes."""


class RetentionApi:
    """The endpoint."""

    def __init__(self, plans: Plans) -> None:
        self._plans = plans

    def endpoints(self) -> Iterator[ServerEndpoint]:
        """For administrators."""
        yield json_endpoint("GET HEAD", "/api/v1/admin/retention", "admin", PlanShown, self._read)

    async def _read(self, context: RequestContext) -> PlanShown:
        """Tell what would go by the rules of retention, before anything goes."""
        plan = await self._plans.read()
        return {
            "as_of": plan.as_of,
            "complete": plan.is_complete,
            "enabled": self._plans.retention.is_enabled,
            "rules": rules_shown(self._plans.retention.rules),
            "totals": totals_shown(plan.totals),
            "removals": plan.removals,
        }
