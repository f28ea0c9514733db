"""All of this room, as a worker has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from nora.auth.endpoints import ServerEndpoint
from nora.events.administration import WebhookAdministration, WebhookApi
from nora.events.api import EventApi
from nora.events.deliverer import OUTCOMES, TURN_SECONDS, Deliverer
from nora.events.feed import Feed

if TYPE_CHECKING:
    from nora.auth.access import Access
    from nora.auth.authenticator import Authenticator
    from nora.catalog.base import Catalog
    from nora.config import Config
    from nora.http.tasks import Exclusive
    from nora.model import Repository
    from nora.observability.metrics import Metrics
    from nora.outbound import Outbound

PRUNE_SECONDS: Final = 300.0


class EventService:
    """The feed, the webhooks, and what is done again and again for both."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        repositories: Mapping[str, Repository],
        access: Access,
        outbound: Outbound,
        metrics: Metrics,
    ) -> None:
        self._catalog = catalog
        self._settings = settings = config.events
        registry = config.server.public_url

        counters = {  # from the start, so that what never happened is 0
            (one.name, outcome): metrics.counter(
                "nora_webhook_deliveries", ("webhook", one.name), ("outcome", outcome)
            )
            for one in settings.webhooks
            for outcome in OUTCOMES
        }

        self.feed = Feed(catalog, repositories, access)
        self.webhooks = WebhookAdministration(catalog, settings.webhooks, registry)
        self.deliverer = Deliverer(
            catalog,
            outbound,
            settings.webhooks,
            registry=registry,
            repositories_of=self.feed.repositories_of,
            count=lambda webhook, outcome: counters[webhook, outcome].add(),
            keep=settings.deliveries,
        )

    def endpoints(self, authenticator: Authenticator) -> Iterator[ServerEndpoint]:
        """Over HTTP."""
        yield from EventApi(authenticator, self.feed).endpoints()
        yield from WebhookApi(self.webhooks).endpoints()

    def jobs(self, one: Exclusive) -> Iterator[asyncio.Task[None]]:
        """What one of all processes does."""
        yield one.every(PRUNE_SECONDS, self.prune, "prune-events")
        yield one.every(TURN_SECONDS, self.deliverer.turn, "webhooks")

    async def prune(self) -> None:
        """Let go of old events, some at a time: others wait for each."""
        keep = self._settings.keep
        while await self._catalog.prune_events(keep, keep // 10, time.time() - self._settings.max_age):
            pass
