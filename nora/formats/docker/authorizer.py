"""The rules of `/v2/` beside those of all formats: challenges, sessions, and who may have listings."""

from __future__ import annotations

from typing import Any, cast

from blacksheep import Request

from nora.auth.authorizer import Authorizer as Base
from nora.auth.credentials import Bearer, find_header, parse_credentials
from nora.errors import Denied, Unauthenticated
from nora.formats.base import Services
from nora.formats.docker.challenge import Challenges
from nora.formats.docker.names import Images
from nora.formats.docker.resource import Resource
from nora.formats.docker.scopes import CATALOG, needed_scope
from nora.http.context import RequestContext
from nora.model import Principal


class Authorizer(Base):
    """Lets requests through to the endpoints, or says how to ask again."""

    def __init__(self, services: Services, images: Images) -> None:
        super().__init__(services.authenticator, services.access)
        self._sessions = services.authenticator.sessions
        self._enabled = services.config.auth.enabled
        self._images = images
        self._any_public = any(map(self.is_public, images.repositories))
        self._challenges = Challenges(services.config)

    async def authorize(self, context: RequestContext) -> Principal:
        """As in all formats. That a name is a repository's own is only for those to know who may read there:
        then raises InvalidName."""
        principal = await super().authorize(context)
        assert isinstance(context, Resource)
        context.image.check()
        return principal

    def refusal(
        self, error: Unauthenticated | Denied, context: RequestContext, principal: Principal
    ) -> Unauthenticated | Denied:
        """With a challenge. A session that asked for too little may ask again, if that will help (RFC 6750,
        3.1): clients follow such a challenge at a 401 only."""
        assert isinstance(context, Resource)
        action, image, request = context.action, context.image, context.request
        assert action is not None  # else nobody asks
        needed = needed_scope(image.full_name, action)
        if isinstance(error, Unauthenticated):
            return self._unauthenticated(str(error), request, needed)
        if principal.method != "session":
            return error
        challenge = self._challenges.render(request, needed, "insufficient_scope")
        holder = self.holder(request, principal)
        if self._access.decide(holder, action, image.repository, image.package):
            return Unauthenticated("the session was not made for this", (challenge,))
        return Denied(str(error), (challenge,))

    async def authorize_listing(self, request: Request) -> Principal:
        """Who is asking for the names of all images: nobody unknown, unless all may be read by anybody."""
        principal = await self._known(request, CATALOG)
        if principal.is_anonymous and not all(map(self.is_public, self._images.repositories)):
            raise self._unauthenticated("authentication is required", request, CATALOG)
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

    def holder(self, request: Request, principal: Principal) -> Principal:
        """Who asks with all their rights: for a session, who it was made for."""
        if principal.method != "session":
            return principal
        found = find_header(cast("dict[str, Any]", request.scope)["headers"])
        credentials = parse_credentials(found) if found else None
        session = self._sessions.read(credentials.token) if isinstance(credentials, Bearer) else None
        return session.holder if session is not None else principal

    async def _known(self, request: Request, scope: str) -> Principal:
        try:
            return await self._authenticator.identify(request)
        except Unauthenticated as error:
            raise self._unauthenticated(str(error), request, scope) from None

    def _unauthenticated(self, message: str, request: Request, scope: str) -> Unauthenticated:
        return Unauthenticated(message, (self._challenges.render(request, scope),))
