"""Webhooks, for administrators: how each is, what it was told, a test, one more try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nora.events.administration import read_before
from nora.ui.forms import read_own_form

if TYPE_CHECKING:
    from blacksheep import Response

    from nora.auth.access import Access
    from nora.auth.browser import BrowserSessions
    from nora.events.administration import WebhookAdministration
    from nora.ui.visit import Visit

PAGE: Final = 50


class WebhookPages:
    """The page and its forms."""

    def __init__(self, webhooks: WebhookAdministration, access: Access, sessions: BrowserSessions) -> None:
        self._webhooks = webhooks
        self._access = access
        self._sessions = sessions

    async def page(self, visit: Visit) -> Response:
        """The answer. Raises NotFound, Denied, Unauthenticated, BadRequest."""
        self._access.require(visit.principal, "admin", None, None)
        shown = await self._webhooks.all()
        chosen = visit.text("webhook") or (shown[0].webhook.name if shown else "")
        before = read_before(visit)
        deliveries = await self._webhooks.deliveries(chosen, before, PAGE) if chosen else []
        return visit.page(
            "webhooks.html",
            webhooks=shown,
            chosen=chosen,
            deliveries=deliveries,
            before=before,
            next_before=deliveries[-1].id if len(deliveries) == PAGE else None,
        )

    async def test(self, visit: Visit) -> Response:
        """Send something to see whether it arrives."""
        self._access.require(visit.principal, "admin", None, None)
        name = (await read_own_form(visit, self._sessions)).text("webhook")
        visit.audit("admin", f"test the webhook {name}")
        await self._webhooks.test(name, visit.principal.name)
        return visit.redirect("webhooks", webhook=name)

    async def retry(self, visit: Visit) -> Response:
        """Try a delivery again."""
        self._access.require(visit.principal, "admin", None, None)
        uid = (await read_own_form(visit, self._sessions)).text("delivery")
        visit.audit("admin", f"try the delivery {uid} again")
        return visit.redirect("webhooks", webhook=(await self._webhooks.retry(uid)).webhook)
