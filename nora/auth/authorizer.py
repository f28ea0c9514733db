"""Who is asking, once per request, and whether they may. Nothing is looked for before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nora.errors import Denied, Unauthenticated
from nora.http.context import RequestContext
from nora.model import ANONYMOUS, Action, Principal, Repository

if TYPE_CHECKING:
    from nora.auth.access import Access
    from nora.auth.authenticator import Authenticator


class Authorizer:
    """Lets requests through to the endpoints."""

    def __init__(self, authenticator: Authenticator, access: Access) -> None:
        self._authenticator = authenticator
        self._access = access
        self._public: dict[int, bool] = {}

    async def authorize(self, context: RequestContext) -> Principal:
        """Who is asking, if they may do the action of the request with its package; the same whether that
        exists or not.

        Without a package: with the repository as a whole. Credentials that mean nothing here do not matter
        where none are needed: clients send those of one registry to its mirrors.
        Raises Unauthenticated, Denied.
        """
        action, repository, package = context.action, context.repository, context.package
        assert action is not None  # else nobody asks
        principal = ANONYMOUS
        try:
            public = self._access.decide(ANONYMOUS, action, repository, package)
            principal = await self._authenticator.identify(context.request, allow_foreign=public)
            if not (public and principal is ANONYMOUS):  # else it is decided
                self._access.require(principal, action, repository, package)
        except (Unauthenticated, Denied) as error:
            raise self.refusal(error, context, principal) from None
        return principal

    def refusal(
        self, error: Unauthenticated | Denied, context: RequestContext, principal: Principal
    ) -> Unauthenticated | Denied:
        """What is said to who may not: a format may add how to ask again. `principal` is as far as known."""
        return error

    def require(self, principal: Principal, action: Action, repository: Repository, package: str) -> None:
        """Once more, when the body has said which package it is. Raises Unauthenticated, Denied."""
        self._access.require(principal, action, repository, package)

    def may_read(self, principal: Principal, repository: Repository, package: str) -> bool:
        """Whether one more package may be read, or be in a listing."""
        return self._access.decide(principal, "read", repository, package)

    def is_public(self, repository: Repository) -> bool:
        """Whether anybody may read all of a repository, so that shared caches may keep its answers."""
        known = self._public.get(repository.id)
        if known is None:
            known = self._public[repository.id] = self._access.readable_by_all(repository)
        return known
