"""The gate of `/v2/`: who is asking, once per request, and whether they may. Nothing is found before it."""

from __future__ import annotations

from typing import Any, cast

from blacksheep import Request

from nora.auth.credentials import Bearer, find_header, parse_credentials
from nora.errors import Denied, Unauthenticated
from nora.formats.base import Services
from nora.formats.docker.challenge import Challenges
from nora.formats.docker.names import Image, Images
from nora.formats.docker.scopes import CATALOG, needed_scope
from nora.model import ANONYMOUS, Action, Principal, Repository


class Authorizer:
    """Lets requests through to the endpoints, or says how to ask again."""

    def __init__(self, services: Services, images: Images) -> None:
        self._authenticator = services.authenticator
        self._sessions = services.authenticator.sessions
        self._access = services.access
        self._enabled = services.config.auth.enabled
        self._images = images
        self._any_public = any(map(self.is_public, images.repositories))
        self._challenges = Challenges(services.config)

    async def authorize(self, request: Request, action: Action, image: Image) -> Principal:
        """Who is asking, if they may do `action` with the image; the same whether it exists or not.

        Credentials that are not known here do not matter where none are needed: docker sends those of
        another registry to a mirror. Raises Unauthenticated or Denied, with a challenge.
        """
        repository, package = image.repository, image.package
        public = self._any_public and self._access.decide(ANONYMOUS, action, repository, package)
        principal = ANONYMOUS
        try:
            principal = await self._authenticator.identify(request, allow_foreign=public)
            self._access.require(principal, action, repository, package)
        except Unauthenticated as error:
            raise self._unauthenticated(error, request, needed_scope(image.full_name, action)) from None
        except Denied as error:
            raise self._refusal(error, request, principal, action, image) from None
        return principal

    async def authorize_listing(self, request: Request) -> Principal:
        """Who is asking for the names of all images: nobody unknown, unless all may be read by anybody."""
        principal = await self._known(request, CATALOG)
        if principal.is_anonymous and not all(map(self.is_public, self._images.repositories)):
            raise self._unauthenticated(Unauthenticated("authentication is required"), request, CATALOG)
        return principal

    async def authorize_ping(self, request: Request) -> tuple[bytes, bytes] | None:
        """Let in who is known, and a challenge for the answer to who is not.

        Docker reads challenges only from a 401, and an anonymous session lets it pull what is public. Only
        where that cannot be offered, and something is public, the answer is 200 with a challenge, which
        skopeo and podman follow. Raises Unauthenticated.
        """
        principal = await self._known(request, "")
        if not (self._enabled and principal.is_anonymous):
            return None
        challenge = self._challenges.render(request)
        if challenge.startswith("Bearer") or not self._any_public:
            raise Unauthenticated("authentication is required", (challenge,))
        return b"www-authenticate", challenge.encode()

    def is_public(self, repository: Repository) -> bool:
        """Whether anybody may read all of a repository."""
        return self._access.readable_by_all(repository)

    def may_read(self, principal: Principal, repository: Repository, package: str) -> bool:
        """Whether one more package may be read, beside the one that the request is about."""
        return self._access.decide(principal, "read", repository, package)

    async def _known(self, request: Request, scope: str) -> Principal:
        try:
            return await self._authenticator.identify(request)
        except Unauthenticated as error:
            raise self._unauthenticated(error, request, scope) from None

    def _unauthenticated(self, error: Unauthenticated, request: Request, scope: str) -> Unauthenticated:
        return Unauthenticated(str(error), (self._challenges.render(request, scope),))

    def _refusal(
        self, error: Denied, request: Request, principal: Principal, action: Action, image: Image
    ) -> Denied | Unauthenticated:
        """A session that asked for too little may ask again, if that will help (RFC 6750, 3.1).

        Clients follow such a challenge at a 401 only.
        """
        if principal.method != "session":
            return error
        needed = needed_scope(image.full_name, action)
        challenge = self._challenges.render(request, needed, "insufficient_scope")
        holder = self.holder(request, principal)
        if self._access.decide(holder, action, image.repository, image.package):
            return Unauthenticated("the session was not made for this", (challenge,))
        return Denied(str(error), (challenge,))

    def holder(self, request: Request, principal: Principal) -> Principal:
        """Who asks with all their rights: for a session, who it was made for."""
        if principal.method != "session":
            return principal
        found = find_header(cast("dict[str, Any]", request.scope)["headers"])
        credentials = parse_credentials(found) if found else None
        session = self._sessions.read(credentials.token) if isinstance(credentials, Bearer) else None
        return session.holder if session is not None else principal
