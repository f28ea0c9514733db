"""The gate of PyPI's interface: who is asking, and whether they may. Nothing is found before it.

Credentials are Basic: an account, or a token under any name (`__token__` by custom); Bearer works too.
"""

from __future__ import annotations

from blacksheep import Request

from nora.formats.base import Services
from nora.model import ANONYMOUS, Action, Principal, Repository


class Authorizer:
    """Lets requests through to the endpoints."""

    def __init__(self, services: Services) -> None:
        self._authenticator = services.authenticator
        self._access = services.access
        self._public: dict[int, bool] = {}

    async def authorize(
        self, request: Request, action: Action, repository: Repository, project: str | None
    ) -> Principal:
        """Who is asking, if they may do `action` with the project; the same whether it exists or not.

        Without a project: if they may do it with some project. Credentials that mean nothing here do not
        matter where none are needed. Raises Unauthenticated, Denied.
        """
        public = self._access.decide(ANONYMOUS, action, repository, project)
        principal = await self._authenticator.identify(request, allow_foreign=public)
        self._access.require(principal, action, repository, project)
        return principal

    def require(self, principal: Principal, action: Action, repository: Repository, project: str) -> None:
        """Once more, when the body has said which project it is. Raises Unauthenticated, Denied."""
        self._access.require(principal, action, repository, project)

    def may_read(self, principal: Principal, repository: Repository, project: str) -> bool:
        """Whether a listing shows a project."""
        return self._access.decide(principal, "read", repository, project)

    def is_public(self, repository: Repository) -> bool:
        """Whether anybody may read all of a repository, so that shared caches may keep its answers."""
        known = self._public.get(repository.id)
        if known is None:
            known = self._public[repository.id] = self._access.readable_by_all(repository)
        return known
