"""Webhooks and their deliveries."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from nora.catalog.sqlite import webhook_queries
from nora.catalog.sqlite.executor import Executor
from nora.catalog.webhooks import MOST_WAITING, Delivery, DeliveryState, WebhookCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nora.catalog.sqlite.engine import Connection
    from nora.catalog.webhooks import NewDelivery, Tried

LAST_ID: Final = 2**63 - 1
LONGEST_ERROR: Final = 300


class Webhooks(Executor):
    """The methods of nora.catalog.webhooks.Webhooks."""

    async def sync_webhooks(self, names: Sequence[str]) -> dict[str, int]:
        known = dict(self._rows(webhook_queries.LIST_WEBHOOKS, ()))
        if known.keys() != {*names}:
            await self._write(lambda db: sync_webhooks(db, names), durable=False)
            known = dict(self._rows(webhook_queries.LIST_WEBHOOKS, ()))
        return known

    async def add_deliveries(self, webhook: str, seen: int, deliveries: Sequence[NewDelivery]) -> int:
        return await self._write(lambda db: add_deliveries(db, webhook, seen, deliveries), durable=False)

    async def due_deliveries(self, webhook: str, now: float, limit: int) -> list[Delivery]:
        return [Delivery(*row) for row in self._rows(webhook_queries.LIST_DUE, (webhook, now, limit))]

    async def note_try(self, delivery_id: int, tried: Tried) -> None:
        state: DeliveryState = "failed" if tried.error else "delivered"
        if tried.next_at is not None:
            state = "waiting"
        error = tried.error.encode("utf-8", "replace").decode()[:LONGEST_ERROR]
        values = (state, tried.at, tried.status, error, tried.next_at, delivery_id)
        await self._write(lambda db: db.execute(webhook_queries.NOTE_TRY, values).rowcount, durable=False)

    async def retry_delivery(self, uid: str, now: float) -> Delivery | None:
        found = self._rows(webhook_queries.FIND_DELIVERY, (uid,))
        if not found:
            return None
        delivery = Delivery(*found[0])
        values = (now, delivery.id)
        changed = await self._write(
            lambda db: db.execute(webhook_queries.RETRY_DELIVERY, values).rowcount, durable=False
        )
        return delivery if changed else None

    async def list_deliveries(self, webhook: str, before: int, limit: int) -> list[Delivery]:
        values = (webhook, before or LAST_ID, limit)
        return [Delivery(*row) for row in self._rows(webhook_queries.LIST_DELIVERIES, values)]

    async def count_deliveries(self) -> dict[str, WebhookCounts]:
        found: dict[str, WebhookCounts] = {}
        for name, waiting, delivered_at in self._rows(webhook_queries.COUNT_DELIVERIES, ()):
            [(failures,)] = self._rows(webhook_queries.COUNT_FAILURES, (name, delivered_at or 0.0))
            found[name] = WebhookCounts(waiting, delivered_at, failures)
        return found

    async def prune_deliveries(self, webhook: str, keep: int) -> int:
        old = self._rows(webhook_queries.LIST_OLD_DELIVERIES, (webhook, keep))
        if not old:
            return 0
        return await self._write(
            lambda db: db.executemany(webhook_queries.DELETE_DELIVERY, old).rowcount, durable=False
        )


# -- inside of a transaction -------------------------------------------------------------------------------


def sync_webhooks(db: Connection, names: Sequence[str]) -> None:
    """See nora.catalog.webhooks.Webhooks.sync_webhooks; deliveries go by cascade."""
    for name, _ in db.execute(webhook_queries.LIST_WEBHOOKS).fetchall():
        if name not in names:
            db.execute(webhook_queries.DELETE_WEBHOOK, (name,))
    db.executemany(webhook_queries.INSERT_WEBHOOK, [(name,) for name in names])


def add_deliveries(db: Connection, webhook: str, seen: int, deliveries: Sequence[NewDelivery]) -> int:
    """See nora.catalog.webhooks.Webhooks.add_deliveries."""
    if not db.execute(webhook_queries.SET_SEEN, (seen, webhook)).rowcount or not deliveries:
        return 0
    waiting: int = db.execute(webhook_queries.COUNT_WAITING, (webhook,)).fetchone()[0]
    taken = deliveries[: max(0, MOST_WAITING - waiting)]
    now = time.time()
    db.executemany(
        webhook_queries.INSERT_DELIVERY,
        [(one.uid, webhook, one.kind, one.event_id, one.body, now, now) for one in taken],
    )
    return len(taken)
