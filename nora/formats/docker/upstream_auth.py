"""How NORA says to an upstream registry who it is: challenges are read, tokens asked for once and kept.

Registries answer 401 with a challenge that names a token service (distribution's token specification); a
token is good for one image and for some minutes. Where there is none, they ask for a password (`Basic`).
"""

from __future__ import annotations

import asyncio
import re
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

import orjson

from nora.config import Config, Upstream
from nora.errors import UpstreamFailed, UpstreamRefused, quoted
from nora.outbound import Headers, Method, Outbound, Reply, Terms, origin
from nora.patterns import text_matcher
from nora.proxy.upstream_auth import static_headers

MAX_CHALLENGE = 4096
"""Characters of one header that are looked at."""
MAX_TOKENS = 1000
MAX_TOKEN = 16 * 1024
DEFAULT_SECONDS = 60
"""How long a token is good for that does not say so (distribution's token specification)."""
_SPARE = 0.9
"""The part of its life in which a token is used: clocks differ, and requests take time."""
YOUNG_SECONDS = 1.0
"""A token that is younger is not asked for again: many requests may have been refused at once."""

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SCHEME = re.compile(rf"({_WORD})(?=[ \t,]|\Z)")
_PARAMETER = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))(?=[ \t]*(?:,|\Z))')
_TOKEN68 = re.compile(r"[ \t]+[A-Za-z0-9\-._~+/]+=*[ \t]*(?=,|\Z)")
_BETWEEN = re.compile(r"[ \t,]*")
_TEXT = re.compile(r"[!-~]+")
_IMAGE = re.compile(r"/v2/(.+)/(?:manifests|blobs|tags|referrers)/[^/]+\Z")


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a `WWW-Authenticate` (RFC 9110, 11.6.1)."""

    scheme: str
    """In lower case."""
    parameters: Mapping[str, str]
    """Names in lower case; of a name that comes twice the first value."""


def parse_challenges(text: str) -> list[Challenge]:
    """The challenges of a header, or of several joined by commas. What does not follow the grammar is
    passed over."""
    text = text[:MAX_CHALLENGE]
    found: list[tuple[str, dict[str, str]]] = []
    at = 0
    while (at := _end(_BETWEEN, text, at)) < len(text):
        if (parameter := _PARAMETER.match(text, at)) is not None:
            name, quoted, plain = parameter.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            if found:
                found[-1][1].setdefault(name.lower(), value)
            at = parameter.end()
        elif (scheme := _SCHEME.match(text, at)) is not None:
            found.append((scheme[1].lower(), {}))
            at = _end(_TOKEN68, text, scheme.end())
        else:
            comma = text.find(",", at)
            at = len(text) if comma < 0 else comma
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()


@dataclass(frozen=True, slots=True)
class UpstreamToken:
    """What a token service gave."""

    text: str
    obtained: float
    until: float
    """Monotonic seconds, as `obtained`."""


@dataclass(frozen=True, slots=True)
class UpstreamTokenService:
    """Who gives tokens for an upstream."""

    realm: str
    name: str
    """Its `service`; empty where it has none."""
    is_inside: bool = False
    """Whether it may be in a private network, as the upstream is."""

    def url(self, scope: str) -> str:
        """Where a token for this scope is asked for."""
        pairs = [pair for pair in (("service", self.name), ("scope", scope)) if pair[1]]
        return f"{self.realm}{'&' if '?' in self.realm else '?'}{urlencode(pairs)}"


Get = Callable[[str, Terms, Headers], Awaitable[Reply]]
"""`Outbound.get`."""


class RegistryAuthorization:
    """The credentials for one upstream (nora.proxy.base.Authorization)."""

    def __init__(
        self, setting: Upstream, get: Get, *, timeout_seconds: float = 60.0, private: tuple[str, ...] = ()
    ) -> None:
        """`private`: token services beside the upstream itself that may be anywhere."""
        self._url = setting.url
        self._origin = origin(setting.url)
        self._basic = _basic(setting.auth)
        self._token_hosts = setting.token_hosts
        self._token_of_setting = static_headers(setting) if setting.token is not None else None
        self._get = get
        self._terms = Terms(
            total_seconds=timeout_seconds,
            max_bytes=4 * MAX_TOKEN,
            given=frozenset({self._origin}),
            private=private,
        )
        self._asks_password = False
        self._service: UpstreamTokenService | None = None
        self._scopes: dict[str, str] = {}
        """What the upstream calls a scope, where it is not as the specification has it."""
        self._tokens: dict[str, UpstreamToken] = {}
        self._asking: dict[str, asyncio.Task[UpstreamToken]] = {}

    @property
    def is_known(self) -> bool:
        """Whether the upstream knows who NORA is, and says by tokens what it may see. What it refuses then is
        one image - or there is none: registries say the same of both, so as not to tell which there are."""
        return self._service is not None

    async def headers(self, method: Method, url: str) -> Headers:
        """What a request carries: a token if the upstream gives any, a password if it has asked for one.

        Raises UpstreamFailed when there should be a token and none can be had.
        """
        if origin(url) != self._origin:
            return {}
        if self._token_of_setting is not None:
            return self._token_of_setting
        if self._service is not None:
            token = await self._token(self._service, _scope_of(url))
            return {"authorization": f"Bearer {token.text}"}
        return self._password() if self._asks_password else {}

    async def challenged(
        self, method: Method, url: str, challenges: Sequence[str], *, is_inside: bool = False
    ) -> bool:
        """Learn from a 401 how to ask; whether to ask once more. Raises UpstreamFailed."""
        if origin(url) != self._origin or self._token_of_setting is not None:
            return False
        found = [challenge for text in challenges for challenge in parse_challenges(text)]
        for challenge in found:
            if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                return await self._renew(_scope_of(url), challenge, is_inside)
        if any(challenge.scheme == "basic" for challenge in found) and self._basic:
            again = not self._asks_password
            self._asks_password = True
            return again
        return False

    async def _renew(self, scope: str, challenge: Challenge, is_inside: bool) -> bool:
        parameters = challenge.parameters
        self._service = service = UpstreamTokenService(
            self._checked(parameters["realm"]), parameters.get("service", ""), is_inside
        )
        if (named := parameters.get("scope", scope)) != self._scopes.get(scope, scope):
            self._rename(scope, named)
        held = self._tokens.get(scope)
        if held is not None and time.monotonic() - held.obtained >= YOUNG_SECONDS:
            del self._tokens[scope]
        await self._token(service, scope)
        return True

    def _rename(self, scope: str, named: str) -> None:
        """Ask for a scope by another name from now on: a token of the old one is refused however young it
        is, and so will be the one that is being asked for."""
        self._scopes.pop(scope, None)
        _make_room(self._scopes)
        self._scopes[scope] = named
        self._tokens.pop(scope, None)
        self._asking.pop(scope, None)

    def _checked(self, realm: str) -> str:
        """A realm that credentials may be sent to. Raises UpstreamFailed."""
        try:
            parts = urlsplit(realm)
            secure = parts.scheme == "https" or origin(realm) == self._origin
            usable = secure and bool(parts.hostname) and "@" not in parts.netloc and realm.isprintable()
        except ValueError:
            usable = False
        if not usable or " " in realm:
            raise UpstreamFailed(f"{self._host} names a token service that is not asked: expected https")
        host = (parts.hostname or "").lower()
        if self._basic and not self._may_have_credentials(host):
            raise UpstreamFailed(
                f"the token service of {self._host} is {quoted(host)}, another site, which does not get its"
                f' credentials: if it may have them, say token_hosts = ["{quoted(host)}"] at the upstream'
            )
        return realm.partition("#")[0]

    def _may_have_credentials(self, host: str) -> bool:
        """Whether a token service is on the site of the upstream, or one that the operator has named."""
        return is_same_site(self._host.lower(), host) or any(
            text_matcher(pattern).fullmatch(host) for pattern in self._token_hosts
        )

    def _password(self) -> Headers:
        return {"authorization": self._basic} if self._basic else {}

    @property
    def _host(self) -> str:
        return urlsplit(self._url).hostname or "the upstream"

    async def _token(self, service: UpstreamTokenService, scope: str) -> UpstreamToken:
        """A token that is good now: asked for once, however many wait, whoever of them leaves."""
        held = self._tokens.get(scope)
        if held is not None and time.monotonic() < held.until:
            return held
        task = self._asking.get(scope)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(service, scope))
            self._asking[scope] = task
            task.add_done_callback(lambda done: self._asked(scope, done))
        return await asyncio.shield(task)

    def _asked(self, scope: str, task: asyncio.Task[UpstreamToken]) -> None:
        current = self._asking.get(scope) is task
        if current:
            del self._asking[scope]
        if task.cancelled() or task.exception() is not None:
            return  # whoever waits is told; when nobody does, nobody needs it
        if current:
            self._tokens.pop(scope, None)
            _make_room(self._tokens)
            self._tokens[scope] = task.result()

    async def _ask(self, service: UpstreamTokenService, scope: str) -> UpstreamToken:
        url = service.url(self._scopes.get(scope, scope))
        terms = replace(self._terms, inside=service.is_inside)
        reply = await self._get(url, terms, self._password())
        if reply.status == 401 and self._basic:
            raise UpstreamFailed(f"the token service of {self._host} does not take the credentials")
        if reply.status in (401, 403):
            raise UpstreamRefused(f"{self._host} gives no token for {quoted(scope or 'this')}")
        if reply.status != 200:
            raise UpstreamFailed(f"the token service of {self._host} answers {reply.status}")
        try:
            return parse_token(reply.body, time.monotonic())
        except ValueError as error:
            raise UpstreamFailed(f"the token service of {self._host} gives no usable token") from error


def registry_authorization(
    config: Config, format_name: str, setting: Upstream, outbound: Outbound
) -> RegistryAuthorization:
    """The credentials for an upstream as the configuration has it."""
    timeouts = config.timeouts_of(format_name)
    return RegistryAuthorization(
        setting,
        outbound.get,
        timeout_seconds=timeouts.total if setting.timeout is None else setting.timeout,
        private=config.proxy.allow_private if setting.allow_private is None else setting.allow_private,
    )


def is_same_site(host: str, other: str) -> bool:
    """Whether a host is another one, below it, or in the domain that it is in: for `registry.example.com`
    all of `example.com`, for `example.com` what is below that. Addresses are in no domain."""
    if host == other:
        return True
    if _is_address(host) or _is_address(other):
        return False
    domain = host.partition(".")[2]
    return other.endswith(f".{host}") or ("." in domain and (other == domain or other.endswith(f".{domain}")))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _make_room(kept: dict[str, T]) -> None:
    """For one more: the oldest go."""
    while len(kept) >= MAX_TOKENS:
        del kept[next(iter(kept))]


def parse_token(body: bytes, now: float) -> UpstreamToken:
    """The answer of a token service, obtained at `now`. Raises ValueError."""
    answer = orjson.loads(body)
    if not isinstance(answer, dict):
        raise ValueError("expected an object")
    text = answer.get("token") or answer.get("access_token")
    if not (isinstance(text, str) and _TEXT.fullmatch(text) and len(text) <= MAX_TOKEN):
        raise ValueError("expected a token")
    seconds = answer.get("expires_in")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds <= 0:
        seconds = DEFAULT_SECONDS
    return UpstreamToken(text, now, now + seconds * _SPARE)


def _scope_of(url: str) -> str:
    """What is asked for to read what a URL names; the whole registry's URLs have none."""
    match = _IMAGE.search(urlsplit(url).path)
    return "" if match is None else f"repository:{match[1]}:pull"


def _basic(credentials: str | None) -> str:
    return f"Basic {b64encode(credentials.encode()).decode()}" if credentials else ""
