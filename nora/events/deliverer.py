"""Deliveries: one of all processes tells webhooks what has happened.

    event (a row) → delivery (a row, with the body) → POST, again and again until it is answered with 2xx

Which events were looked at is committed together with the deliveries that came of them, so each becomes one
delivery, whoever is killed. A delivery is tried at least once, and may arrive twice: its answer may be lost.
Webhooks do not wait for each other, and deliveries of one webhook do not wait for one that fails: they begin
in the order of their events, and may arrive in another one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from nora.catalog.events import EventFilter
from nora.catalog.webhooks import Tried
from nora.errors import NoraError, UpstreamFailed
from nora.events.signing import sign
from nora.events.webhooks import delivery_of, wants
from nora.http.tasks import spawn
from nora.outbound import Terms, origin
from nora.outbound.headers import parse_retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nora.catalog.base import Catalog
    from nora.catalog.events import Event
    from nora.catalog.webhooks import Delivery
    from nora.config import Webhook
    from nora.outbound import Outbound

_log = logging.getLogger(__name__)

TURN_SECONDS: Final = 1.0
READ_AT_ONCE: Final = 250
AT_ONCE: Final = 4
"""Deliveries to one webhook."""
DELAYS: Final = (10, 60, 5 * 60, 15 * 60, 3600, 4 * 3600, 12 * 3600)
"""Seconds until the next try, after each that failed: eight tries in seventeen hours."""
LONGEST_DELAY: Final = 24 * 3600
OUTCOMES: Final = ("delivered", "retried", "failed", "lost")
"""What becomes of a try, or of what there is no room for."""
LARGEST_ANSWER: Final = 64 * 1024
GONE: Final = 410
"""By which a receiver says that it wants this no more."""


class Deliverer:
    """What delivers; in the process whose turn it is."""

    def __init__(
        self,
        catalog: Catalog,
        outbound: Outbound,
        webhooks: Sequence[Webhook],
        *,
        registry: str | None,
        repositories_of: Callable[[int | None], Sequence[str]],
        count: Callable[[str, str], None],
        keep: int,
    ) -> None:
        """`repositories_of` says through which repositories a row is read, `count` is told the name of a
        webhook and what became of a try or of a delivery; `keep` is how many are kept that are over."""
        self._catalog = catalog
        self._outbound = outbound
        self._webhooks = webhooks
        self._registry = registry
        self._repositories_of = repositories_of
        self._count = count
        self._keep = keep
        self._seen: dict[str, int] | None = None
        self._sending: dict[str, asyncio.Task[None]] = {}

    async def turn(self) -> None:
        """Look for what is new, and for what is due. Raises StorageFailed."""
        if self._seen is None:
            self._seen = await self._catalog.sync_webhooks([one.name for one in self._webhooks])
        latest = await self._catalog.latest_event() if self._webhooks else 0
        for webhook in self._webhooks:
            while self._seen[webhook.name] < latest:
                await self._look(webhook, self._seen)
            if webhook.name not in self._sending:
                await self._begin(webhook)

    async def _look(self, webhook: Webhook, seen: dict[str, int]) -> None:
        """Make deliveries of the next events."""
        events = await self._catalog.list_events(EventFilter(after=seen[webhook.name]), READ_AT_ONCE)
        wanted = [one for one in events if self._wants(webhook, one)]
        deliveries = [delivery_of(webhook, one, self._registry) for one in wanted]
        last = events[-1].id
        taken = await self._catalog.add_deliveries(webhook.name, last, deliveries)
        seen[webhook.name] = last
        if taken < len(deliveries):
            _log.warning(
                "webhook %s: too many deliveries wait; %d are lost", webhook.name, len(deliveries) - taken
            )
            for _ in deliveries[taken:]:
                self._count(webhook.name, "lost")

    def _wants(self, webhook: Webhook, event: Event) -> bool:
        return wants(webhook, event, self._repositories_of(event.repository_id))

    async def _begin(self, webhook: Webhook) -> None:
        if webhook.enabled and await self._catalog.due_deliveries(webhook.name, time.time(), 1):
            task = spawn(self._drain(webhook), f"webhook {webhook.name}")
            self._sending[webhook.name] = task
            task.add_done_callback(lambda _: self._sending.pop(webhook.name, None))

    async def _drain(self, webhook: Webhook) -> None:
        """Try all that are due, some at a time."""
        while due := await self._catalog.due_deliveries(webhook.name, time.time(), AT_ONCE):
            await asyncio.gather(*(self._try(webhook, one) for one in due))
        await self._catalog.prune_deliveries(webhook.name, self._keep)

    async def _try(self, webhook: Webhook, delivery: Delivery) -> None:
        status, error, wait = await self._post(webhook, delivery)
        now = time.time()
        next_at = None
        if error and status != GONE and delivery.tries < len(DELAYS):
            next_at = now + min(LONGEST_DELAY, max(DELAYS[delivery.tries], wait))
        await self._catalog.note_try(delivery.id, Tried(now, status, error, next_at))
        outcome = "delivered" if not error else "failed" if next_at is None else "retried"
        self._count(webhook.name, outcome)
        if outcome == "failed":
            what = (webhook.name, delivery.uid, delivery.kind, error)
            _log.warning("webhook %s: delivery %s (%s) is given up: %s", *what)

    async def _post(self, webhook: Webhook, delivery: Delivery) -> tuple[int | None, str, int]:
        """The status, what went wrong, and how long the receiver wants to be left alone, in seconds."""
        url, timestamp = webhook.url, str(int(time.time()))
        headers = {
            "content-type": "application/json",
            "x-nora-event": delivery.kind,
            "x-nora-delivery": delivery.uid,
            "x-nora-timestamp": timestamp,
            "x-nora-signature-256": sign(webhook.secret, timestamp, delivery.body),
        }
        terms = Terms(
            connect_seconds=webhook.timeout,
            idle_seconds=webhook.timeout,
            max_bytes=LARGEST_ANSWER,
            given=frozenset({origin(url)}),
        )
        status, wait = None, 0
        try:
            async with (
                asyncio.timeout(webhook.timeout),
                self._outbound.open("POST", url, terms, headers, delivery.body) as answer,
            ):
                status = answer.status
                wait = parse_retry_after(answer.headers.get("retry-after"), time.time()) or 0
        except TimeoutError:  # a body that does not end is no matter: nobody reads it
            if status is None:
                return None, f"no answer within {webhook.timeout} s", 0
        except UpstreamFailed as error:
            return None, str(error), 0
        return status, _verdict(status), wait

    async def close(self) -> None:
        """Stop; what was under way is tried again by whoever is next."""
        tasks = [*self._sending.values()]
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, NoraError):
                _log.warning("webhooks, at the stop: %s", ended)


def _verdict(status: int) -> str:
    """What is wrong with an answer."""
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"answers {status}: redirects are not followed"
    return f"answers {status}"
