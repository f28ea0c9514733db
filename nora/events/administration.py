"""Webhooks, for administrators: how each is, what it was told, a test, and one more try."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from nora.auth.endpoints import ServerEndpoint
from nora.catalog.webhooks import WebhookCounts
from nora.errors import BadRequest, Conflict, NotFound, StorageBusy, quoted
from nora.events.feed import as_time
from nora.events.webhooks import test_delivery
from nora.http.context import RequestContext
from nora.http.fields import json_endpoint, read_fields, read_limit, text_of
from nora.http.operations import Parameter

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.catalog.webhooks import Delivery
    from nora.config import Webhook
    from nora.model import Action

MOST_LISTED = 200
_LIST, _DELIVERIES = "/api/v1/admin/webhooks", "/api/v1/admin/webhooks/deliveries"
_TEST, _RETRY = "/api/v1/admin/webhooks/test", "/api/v1/admin/webhooks/retry"
UNKNOWN = WebhookCounts(0, None, 0)
_QUERY = (
    Parameter("webhook", "The name of a webhook", needed=True),
    Parameter("before", "Older than the last answer, which says this", "integer"),
    Parameter("limit", "How many at most; as many as there may be, if nothing is said", "integer"),
)


class NameOfWebhook(TypedDict):
    """Which webhook is meant."""

    webhook: str


class IdOfDelivery(TypedDict):
    """Which delivery is meant."""

    delivery: str


class WebhookShown(TypedDict):
    """Somebody who is told what happens, and how that goes."""

    name: str
    site: str
    enabled: bool
    kinds: Sequence[str]
    repositories: Sequence[str]
    names: Sequence[str]
    waiting: int
    delivered: str | None
    """When something arrived last."""
    failures_since: int


class WebhooksShown(TypedDict):
    """All webhooks."""

    webhooks: list[WebhookShown]


class DeliveryShown(TypedDict):
    """An event for a webhook, and what became of it."""

    delivery: str
    kind: str
    event: int | None
    state: str
    tries: int
    created: str | None
    tried: str | None
    next_try: str | None
    status: int | None
    error: str | None


class DeliveriesShown(TypedDict):
    """Some deliveries, the newest first."""

    deliveries: list[DeliveryShown]
    before: int | None
    """Where to go on; null: there are no older ones."""


@dataclass(frozen=True, slots=True)
class ShownWebhook:
    """A webhook, and how it is. Its secret and the path of its URL are for nobody."""

    webhook: Webhook
    counts: WebhookCounts


class WebhookAdministration:
    """What administrators see of webhooks, and do with them."""

    def __init__(self, catalog: Catalog, webhooks: Sequence[Webhook], registry: str | None) -> None:
        """`registry` is the public URL, if it is known."""
        self._catalog = catalog
        self._webhooks: Mapping[str, Webhook] = {one.name: one for one in webhooks}
        self._registry = registry

    async def all(self) -> list[ShownWebhook]:
        """All of them, in the order of the configuration."""
        counts = await self._catalog.count_deliveries()
        return [ShownWebhook(one, counts.get(name, UNKNOWN)) for name, one in self._webhooks.items()]

    async def deliveries(self, name: str, before: int, limit: int) -> list[Delivery]:
        """The newest first. Raises NotFound."""
        return await self._catalog.list_deliveries(self._find(name).name, before, limit)

    async def test(self, name: str, user: str) -> str:
        """Send something to see whether it arrives; by which the delivery is known. Raises NotFound, Conflict
        where the webhook is off."""
        webhook = self._find(name)
        if not webhook.enabled:
            raise Conflict(f"the webhook {name} is off: enabled = true switches it on")
        await self._catalog.sync_webhooks([*self._webhooks])  # right after the start nobody may have yet
        delivery = test_delivery(webhook, user, self._registry)
        if not await self._catalog.add_deliveries(name, 0, [delivery]):
            raise StorageBusy(f"too many deliveries of the webhook {name} wait")
        return delivery.uid

    async def retry(self, uid: str) -> Delivery:
        """Let a delivery be tried again, from the beginning. Raises NotFound, also for one that waits."""
        found = await self._catalog.retry_delivery(uid, time.time())
        if found is None:
            raise NotFound(f"there is no delivery {quoted(uid)} that is over")
        return found

    def _find(self, name: str) -> Webhook:
        found = self._webhooks.get(name)
        if found is None:
            raise NotFound(f"there is no webhook {quoted(name)}")
        return found


class WebhookApi:
    """The same over HTTP.

    GET  /api/v1/admin/webhooks                                         how each is
    GET  /api/v1/admin/webhooks/deliveries?webhook=&before=&limit=      what it was told, the newest first
    POST /api/v1/admin/webhooks/test    {webhook}
    POST /api/v1/admin/webhooks/retry   {delivery}
    """

    def __init__(self, webhooks: WebhookAdministration) -> None:
        self._webhooks = webhooks

    def endpoints(self) -> Iterator[ServerEndpoint]:
        """For administrators."""
        admin: Action = "admin"
        yield json_endpoint("GET HEAD", _LIST, admin, WebhooksShown, self._list)
        yield json_endpoint(
            "GET HEAD",
            _DELIVERIES,
            admin,
            DeliveriesShown,
            self._deliveries,
            query=_QUERY,
            errors=(400, 404),
        )
        yield json_endpoint(
            "POST", _TEST, admin, IdOfDelivery, self._test, body=NameOfWebhook, errors=(404, 409)
        )
        yield json_endpoint(
            "POST", _RETRY, admin, NameOfWebhook, self._retry, body=IdOfDelivery, errors=(404,)
        )

    async def _list(self, context: RequestContext) -> WebhooksShown:
        """List the webhooks, and how each is."""
        return {"webhooks": [_shown(one) for one in await self._webhooks.all()]}

    async def _deliveries(self, context: RequestContext) -> DeliveriesShown:
        """List what a webhook was told."""
        name = context.parameter("webhook")
        if not name:
            raise BadRequest("the query lacks webhook")
        limit = read_limit(context, MOST_LISTED)
        found = await self._webhooks.deliveries(name, read_before(context), limit)
        before = found[-1].id if len(found) == limit else None
        return {"deliveries": [_shown_delivery(one) for one in found], "before": before}

    async def _test(self, context: RequestContext) -> IdOfDelivery:
        """Send a webhook something to see whether it arrives."""
        name = text_of(await read_fields(context.request, NameOfWebhook), "webhook")
        context.audit("admin", f"test the webhook {name}")
        return {"delivery": await self._webhooks.test(name, context.principal.name)}

    async def _retry(self, context: RequestContext) -> NameOfWebhook:
        """Try a delivery again."""
        uid = text_of(await read_fields(context.request, IdOfDelivery), "delivery")
        context.audit("admin", f"try the delivery {uid} again")
        return {"webhook": (await self._webhooks.retry(uid)).webhook}


def read_before(context: RequestContext) -> int:
    """Where a list of deliveries goes on. Raises BadRequest."""
    text = context.parameter("before") or "0"
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    raise BadRequest("before is what the last answer had as before")


def _shown(one: ShownWebhook) -> WebhookShown:
    webhook, counts = one.webhook, one.counts
    return {
        "name": webhook.name,
        "site": webhook.site,
        "enabled": webhook.enabled,
        "kinds": webhook.kinds,
        "repositories": webhook.repositories,
        "names": webhook.names,
        "waiting": counts.waiting,
        "delivered": as_time(counts.delivered_at),
        "failures_since": counts.failures,
    }


def _shown_delivery(one: Delivery) -> DeliveryShown:
    return {
        "delivery": one.uid,
        "kind": one.kind,
        "event": one.event_id or None,
        "state": one.state,
        "tries": one.tries,
        "created": as_time(one.created_at),
        "tried": as_time(one.tried_at),
        "next_try": as_time(one.next_at),
        "status": one.status,
        "error": one.error or None,
    }
