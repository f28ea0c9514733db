"""Deliveries: which event a webhook is to be told, how often that was tried, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol

DeliveryState = Literal["waiting", "delivered", "failed"]
"""`waiting`: for its first try, or the next one; `failed`: it is not tried any more."""

MOST_WAITING: Final = 10_000
"""Deliveries of one webhook. What is more is not delivered, and counted."""


class Delivery(NamedTuple):
    """One event for one webhook."""

    id: int
    uid: str
    """By which the receiver knows it again: the same at each try."""
    webhook: str
    kind: str
    event_id: int
    """0 where it is a test."""
    body: bytes
    state: DeliveryState
    tries: int
    created_at: float
    next_at: float | None
    """When it is tried; None: it is not any more."""
    tried_at: float | None
    status: int | None
    """Of the last answer; None where there was none."""
    error: str
    """Of the last try; empty for one that succeeded."""


class NewDelivery(NamedTuple):
    """One to make."""

    uid: str
    kind: str
    event_id: int
    body: bytes


class Tried(NamedTuple):
    """What came of a try."""

    at: float
    status: int | None
    error: str
    next_at: float | None
    """When it is tried again; None: it succeeded, if there is no error, or is given up."""


class WebhookCounts(NamedTuple):
    """How a webhook is."""

    waiting: int
    delivered_at: float | None
    """When it was last told something; as far as deliveries are kept."""
    failures: int
    """Tries since then that did not succeed, of those deliveries."""


class Webhooks(Protocol):
    """The rows of webhooks. See nora.catalog.base for what holds for all methods; what is written survives a
    killed process, and what a power loss takes back is done again."""

    async def sync_webhooks(self, names: Sequence[str]) -> dict[str, int]:
        """Know these webhooks, and no others: up to which event each has been looked at. For a new one that
        is the latest; of one that is gone nothing stays."""
        ...

    async def add_deliveries(self, webhook: str, seen: int, deliveries: Sequence[NewDelivery]) -> int:
        """Say up to which event a webhook has been looked at, with what it is to be told of those; 0 leaves
        that. How many there was room for."""
        ...

    async def due_deliveries(self, webhook: str, now: float, limit: int) -> list[Delivery]:
        """Those whose time has come, the oldest first."""
        ...

    async def note_try(self, delivery_id: int, tried: Tried) -> None:
        """Note what came of a try."""
        ...

    async def retry_delivery(self, uid: str, now: float) -> Delivery | None:
        """Let one be tried from the beginning again, now; as it was before. None: there is none, or it
        waits."""
        ...

    async def list_deliveries(self, webhook: str, before: int, limit: int) -> list[Delivery]:
        """The newest first, with ids below `before` where that is not 0."""
        ...

    async def count_deliveries(self) -> Mapping[str, WebhookCounts]:
        """How each webhook is."""
        ...

    async def prune_deliveries(self, webhook: str, keep: int) -> int:
        """Remove all that do not wait, but the last `keep`; how many."""
        ...
