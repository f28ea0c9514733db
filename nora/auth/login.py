"""Login by an OpenID Connect issuer: authorization code (OpenID Connect Core, 3.1) with PKCE (RFC 7636).

    begin    a browser is led to the issuer, and keeps a cookie that only says which login it has begun
    finish   the issuer leads it back with a code, for which it tells this server who that is

State, nonce and the verifier of PKCE are made of a random seed in the cookie and a key that all processes
share: any worker can finish what another one has begun, and the cookie tells none of them. A login can be
finished once, by the browser that began it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
import time
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote_plus, urlencode, urlsplit

from nora.auth.discovery import Issuer, Metadata
from nora.auth.jwks import REFETCH_SECONDS, KeySet
from nora.auth.login_rights import MOST_GROUPS, LoginRights
from nora.auth.oidc_rules import Claims
from nora.auth.signed_tokens import MAX_TOKEN, check_token
from nora.auth.tokens import parse_user
from nora.catalog.base import Catalog
from nora.config.identity import OidcProvider, OidcSettings
from nora.config.kinds import DAY
from nora.config.login import LoginSettings, redirect_uri
from nora.errors import BadRequest, Denied, Unauthenticated, UpstreamFailed
from nora.model import Principal
from nora.outbound import Outbound

if TYPE_CHECKING:
    from nora.auth.htpasswd import Htpasswd
    from nora.config import Config

_log = logging.getLogger(__name__)

SECRET: Final = "login-key"  # noqa: S105 - the name of it
"""The name of the key among the secrets of the catalog."""
COOKIE: Final = "nora_login_"
"""What the names of the cookies begin with: a browser may have begun several logins."""
LIFETIME_SECONDS: Final = 600
"""How long somebody may take to log in at the issuer."""
LONGEST_GOAL: Final = 1024
LONGEST_CODE: Final = 4096
_STATE_CHARACTERS: Final = 43
_error_code = re.compile(r"[a-z0-9_]{1,64}").fullmatch

Problem = Literal["begun", "denied", "failed", "unreachable", "groups", "name", "account"]
"""What was wrong: no login of this browser; the issuer does not let them in; its answer cannot be used; it
cannot be asked; no group gives a right; no name that can be one here; the name of a user of the file."""


class LoginRefused(Denied):
    """A login that came to nothing. The message is for the log."""

    def __init__(self, problem: Problem, message: str) -> None:
        super().__init__(message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Begun:
    """Where to lead a browser, and what it keeps."""

    url: str
    cookie: str
    value: str


class Login:
    """The login by one issuer. One per worker."""

    def __init__(
        self,
        settings: LoginSettings,
        oidc: OidcSettings,
        public_url: str,
        outbound: Outbound,
        catalog: Catalog,
        key: bytes,
        accounts: Callable[[], Container[str]],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`key` is a secret of the catalog; `accounts` tells the users of the htpasswd file."""
        issuer, client = settings.issuer, settings.client_id
        assert issuer is not None
        assert client is not None
        self._settings = settings
        self._client = client
        self._catalog = catalog
        self._key = key
        self._accounts = accounts
        self._rights = LoginRights(settings)
        self._clock = clock
        self._monotonic = monotonic
        self._leeway = oidc.leeway_secs
        self._cache_seconds = oidc.jwks_cache_secs
        self._redirect_uri = redirect_uri(public_url)
        self._host = urlsplit(issuer).netloc
        self._issuer = Issuer(self._host, issuer, outbound)
        self._provider = OidcProvider(
            name=self._host,
            issuer=issuer,
            audience=(client,),
            role_rules=(),
            algorithms=settings.algorithms,
            max_token_lifetime_secs=DAY,
        )
        self._keys = KeySet(self._provider, outbound, oidc.jwks_cache_secs, monotonic)
        self._known: Metadata | None = None
        self._ask_at = float("-inf")
        """When the issuer is to be asked again what it says of itself, by `monotonic`."""
        self._failure: UpstreamFailed | None = None
        self._turn = asyncio.Lock()
        self.path = urlsplit(public_url).path + "/ui"
        """Of the cookies, as browsers see it."""
        self.is_tls = public_url.startswith("https:")
        self.label = settings.label
        self.session_seconds = settings.session_ttl

    @property
    def host(self) -> str:
        """As people know the issuer."""
        return self._host

    async def begin(self, goal: str) -> Begun:
        """A login that is to end at the page `goal`. Raises LoginRefused."""
        metadata = await self._metadata()
        seed = secrets.token_urlsafe(24)
        state = self._made("state", seed)
        challenge = _encode(hashlib.sha256(self._made("verifier", seed).encode()).digest())
        try:
            address = metadata.address("authorization_endpoint")
        except UpstreamFailed as error:
            raise LoginRefused("failed", str(error)) from error
        query = {
            "response_type": "code",
            "client_id": self._client,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": state,
            "nonce": self._made("nonce", seed),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        url = f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"
        return Begun(url, cookie_name(state), self._sign(seed, goal[:LONGEST_GOAL]))

    async def end_address(self) -> str | None:
        """Where somebody ends their session with the issuer as well (OpenID Connect RP-Initiated Logout 1.0,
        2); None where it names no such place, or cannot be asked. The issuer asks them, and keeps them: only
        what was registered there leads back, and whether that is so is not known here."""
        try:
            address = (await self._metadata()).address("end_session_endpoint")
        except (LoginRefused, UpstreamFailed):
            return None
        return f"{address}{'&' if '?' in address else '?'}{urlencode({'client_id': self._client})}"

    async def finish(
        self, answer: Mapping[str, str], cookies: Mapping[str, str]
    ) -> tuple[Principal, str, str]:
        """Who has logged in, the page where that was to end, and the name of the cookie that is of no use any
        more. `answer` is what the issuer says by the address. Raises LoginRefused, StorageFailed."""
        cookie, seed, goal = await self._begun(answer.get("state", ""), cookies)
        if answer.get("iss", self._provider.issuer) != self._provider.issuer:  # RFC 9207, 2.4
            raise LoginRefused("failed", "the answer is of another issuer")
        if (error := answer.get("error")) is not None:
            what: Problem = "denied" if error == "access_denied" else "failed"
            raise LoginRefused(what, f"the issuer answers {_code_of(error)}")
        code = answer.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE:
            raise LoginRefused("failed", "the answer has no code")
        claims = await self._claims(await self._exchange(code, self._made("verifier", seed)))
        if not hmac.compare_digest(str(claims.get("nonce")).encode(), self._made("nonce", seed).encode()):
            raise LoginRefused("failed", "the token is of another login")
        return self._principal(claims), goal, cookie

    async def _begun(self, state: str, cookies: Mapping[str, str]) -> tuple[str, str, str]:
        """The name of the cookie, the seed and the goal of a login of this browser."""
        name = cookie_name(state)
        found = self._read(cookies.get(name, ""))
        if found is None:
            raise LoginRefused("begun", "the browser has begun no such login, or too long ago")
        seed, expires, goal = found
        if not hmac.compare_digest(state.encode("utf-8", "replace"), self._made("state", seed).encode()):
            raise LoginRefused("begun", "the state is not that of the browser")
        hashed = hashlib.sha256(f"login\0{state}".encode()).hexdigest()
        if not await self._catalog.spend(hashed, expires, self._clock()):
            raise LoginRefused("begun", "the login was finished before")
        return name, seed, goal

    async def _metadata(self) -> Metadata:
        """Kept as long as keys are, and longer when the issuer cannot be asked again."""
        async with self._turn:
            if (now := self._monotonic()) >= self._ask_at:
                try:
                    self._known, self._failure = await self._issuer.discover(), None
                    self._ask_at = now + self._cache_seconds
                except UpstreamFailed as error:
                    self._failure, self._ask_at = error, now + REFETCH_SECONDS
                    kept = "; what is known stays in use" if self._known else ""
                    _log.warning("%s does not say how to log in: %s%s", self._host, error, kept)
            if self._known is None:
                raise LoginRefused("unreachable", f"{self._host} cannot be asked: {self._failure}")
            return self._known

    async def _exchange(self, code: str, verifier: str) -> str:
        """The identity token that is given for a code (RFC 6749, 4.1.3)."""
        metadata = await self._metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "client_id": self._client,
            "code_verifier": verifier,
        }
        headers = {}
        try:
            secret = await asyncio.to_thread(self._settings.secret)
        except (OSError, ValueError) as error:
            raise LoginRefused("failed", f"auth.oidc.login.client_secret_file: {error}") from error
        known = metadata.names("token_endpoint_auth_methods_supported")
        if secret is not None and "client_secret_basic" not in known and "client_secret_post" in known:
            form["client_secret"] = secret
        elif secret is not None:  # RFC 6749, 2.3.1
            pair = f"{quote_plus(self._client)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        try:
            body = urlencode(form).encode()
            status, document = await self._issuer.post(metadata, "token_endpoint", body, headers)
        except UpstreamFailed as error:
            raise LoginRefused("unreachable", f"{self._host} gives no token: {error}") from error
        token = document.get("id_token")
        if status != 200 or not isinstance(token, str) or len(token) > MAX_TOKEN:
            said = _code_of(document.get("error"))
            raise LoginRefused("failed", f"{self._host} gives no token, but {status} {said}")
        return token

    async def _claims(self, token: str) -> Claims:
        """What an identity token says (Core, 3.1.3.7)."""
        try:
            claims = await check_token(
                token, self._provider, self._keys, now=self._clock(), leeway=self._leeway
            )
        except Unauthenticated as error:
            raise LoginRefused("failed", str(error)) from error
        except UpstreamFailed as error:
            raise LoginRefused("unreachable", str(error)) from error
        audience = claims.get("aud")
        party = claims.get("azp", None if isinstance(audience, list) and len(audience) > 1 else self._client)
        if party != self._client:
            raise LoginRefused("failed", "the token was made for another client")
        return claims

    def _principal(self, claims: Claims) -> Principal:
        settings = self._settings
        name = claims.get(settings.name_claim)
        if not isinstance(name, str) or not name:
            raise LoginRefused("name", f"the token has no {settings.name_claim}")
        if settings.name_claim == "email" and claims.get("email_verified") is not True:
            raise LoginRefused("name", "the address of the user is not verified")
        try:
            name = parse_user(f"{settings.namespace}/{name}" if settings.namespace else name)
        except BadRequest as error:
            raise LoginRefused("name", str(error)) from error
        if name in self._accounts():
            raise LoginRefused("account", f"{name} is a user of the htpasswd file")
        rights = self._rights.of_groups(_groups(claims, settings.groups_claim))
        if rights is None:
            raise LoginRefused("groups", f"no group of {name} gives a right here")
        return Principal(name, "login", rights.role, rights.scopes, rights.ground)

    # -- the cookie -----------------------------------------------------------------------------------------

    def _made(self, what: str, seed: str) -> str:
        """A value of 43 characters that only this registry can make of a seed."""
        return _encode(hmac.digest(self._key, f"{what}\0{seed}".encode(), "sha256"))

    def _sign(self, seed: str, goal: str) -> str:
        expires = int(self._clock()) + LIFETIME_SECONDS
        text = f"{seed}.{expires}.{_encode(goal.encode())}"
        return f"{text}.{self._made('cookie', text)}"

    def _read(self, value: str) -> tuple[str, float, str] | None:
        """Seed, end and goal of a cookie; None for what is none, or is over."""
        text, _, signature = value.rpartition(".")
        if not value.isascii() or not hmac.compare_digest(signature, self._made("cookie", text)):
            return None
        seed, expires, goal = text.split(".")
        return (seed, float(expires), _decode(goal)) if float(expires) > self._clock() else None


async def build_login(
    config: Config, outbound: Outbound, catalog: Catalog, accounts: Htpasswd
) -> Login | None:
    """As the configuration has it; None: there is no login by an issuer. Raises StorageFailed."""
    public_url = config.server.public_url
    if config.login.issuer is None or public_url is None:
        return None
    key = await catalog.secret(SECRET)

    def users() -> Container[str]:
        return accounts.accounts if accounts.is_there else ()

    return Login(config.login, config.oidc, public_url, outbound, catalog, key, users)


def cookie_name(state: str) -> str:
    """Of the cookie of a login."""
    known = len(state) == _STATE_CHARACTERS and state.isascii()
    return COOKIE + (state[:12] if known else "")


def _groups(claims: Claims, path: str) -> frozenset[str]:
    """The groups that a claim says: that of this name, else inside others."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
    entries = found if isinstance(found, list) else [found]
    return frozenset(one for one in entries[:MOST_GROUPS] if isinstance(one, str))


def _code_of(error: object) -> str:
    """An error of OAuth for the log: its code, and nothing that somebody else may have written."""
    return error if isinstance(error, str) and _error_code(error) else "an error"


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> str:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (NotBase64, ValueError):  # nothing that was signed here
        return ""
