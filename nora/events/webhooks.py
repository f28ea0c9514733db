"""Webhooks: which events each is told, and in which words."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Final

import orjson

from nora.catalog.events import Event
from nora.catalog.webhooks import NewDelivery
from nora.events.feed import EventShown, render_event
from nora.patterns import path_matcher

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nora.config import Webhook

SCHEMA: Final = 1
"""Of the body. It grows when a field changes its meaning or goes; new fields may come at any time."""
TEST: Final = "test"
"""The kind of what an administrator sends to see whether it arrives."""


def wants(webhook: Webhook, event: Event, repositories: Iterable[str]) -> bool:
    """Whether a webhook is told of an event, which is read through these repositories."""
    if not webhook.enabled or event.kind not in webhook.kinds:
        return False
    places = (*repositories, event.repository.partition(" ")[0])
    name = event.package or event.path
    return _fits(webhook.repositories, places) and _fits(webhook.names, (name,))


def _fits(patterns: Iterable[str], texts: Iterable[str]) -> bool:
    found = [*texts]
    return any(path_matcher(pattern).fullmatch(text) for pattern in patterns for text in found)


def delivery_of(webhook: Webhook, event: Event, registry: str | None) -> NewDelivery:
    """What a webhook is told of an event. `registry` is the public URL, if it is known."""
    return _delivery(webhook, event.kind, event.id, render_event(event), registry)


def test_delivery(webhook: Webhook, user: str, registry: str | None) -> NewDelivery:
    """What a webhook is told for a test."""
    event = render_event(Event(id=0, at=time.time(), kind=TEST, user=user))
    return _delivery(webhook, TEST, 0, event, registry)


def _delivery(
    webhook: Webhook, kind: str, event_id: int, event: EventShown, registry: str | None
) -> NewDelivery:
    body = {"schema": SCHEMA, "webhook": webhook.name, "registry": registry, "event": event}
    return NewDelivery(str(uuid.uuid4()), kind, event_id, orjson.dumps(body))
