"""A request for the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nora.http.context import RequestContext

if TYPE_CHECKING:
    from blacksheep import Request

    from nora.http.paths import Target
    from nora.model import Action


class Call(RequestContext):
    """A request whose path fits a pattern of `nora.http.paths`."""

    __slots__ = ("target",)

    def __init__(self, request: Request, action: Action | None, target: Target) -> None:
        super().__init__(request, action)
        self.target = target

    def value(self, name: str) -> str:
        """A part of the path."""
        return self.target.get(name)
