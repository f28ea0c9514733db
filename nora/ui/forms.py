"""What a visitor sends with a form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nora.http.body import read_body
from nora.http.context import Parameters, parse_parameters

if TYPE_CHECKING:
    from nora.auth.browser import BrowserSessions
    from nora.ui.visit import Visit

LARGEST: Final = 16 * 1024
"""Bytes of a form without files."""
LONGEST_FIELD: Final = 4096
KEY: Final = "key"
"""The field with the key of the session, which forms that change something have."""


class Form:
    """The fields of a form."""

    def __init__(self, fields: Parameters) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """A field, cut where it is longer than any that is meant; empty where there is none."""
        return next(iter(self._fields.get(name, ())), "")[:LONGEST_FIELD]


async def read_form(visit: Visit) -> Form:
    """A form of anybody. Raises BadRequest, TooLarge."""
    return Form(parse_parameters(await read_body(visit.request, LARGEST)))


async def read_own_form(visit: Visit, sessions: BrowserSessions) -> Form:
    """A form that changes something: of a page of this session. Raises Denied, BadRequest, TooLarge."""
    form = await read_form(visit)
    sessions.check_form(visit.request, form.text(KEY))
    return form
