"""Workload identity: the signed tokens that CI systems give to their jobs (OpenID Connect, RFC 7519)."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256

from nora.auth.jwks import KeySet
from nora.auth.oidc_rules import Claims, matching_rule, scopes_of
from nora.auth.signed_tokens import check_token, parse_token, time_of
from nora.catalog.base import Catalog
from nora.config import OidcSettings
from nora.config.identity import OidcProvider
from nora.errors import Denied, Unauthenticated
from nora.model import Principal
from nora.outbound import Outbound

LONGEST_NAME = 255


class OidcVerifier:
    """Makes principals of tokens. One per worker."""

    def __init__(
        self,
        settings: OidcSettings,
        outbound: Outbound,
        catalog: Catalog,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbound = outbound
        self._catalog = catalog
        self._leeway = settings.leeway_secs
        self._now = now
        self._providers = {
            one.issuer: (one, KeySet(one, outbound, settings.jwks_cache_secs, monotonic))
            for one in settings.active
        }
        self.audience = _common_audience(settings.active)
        """What to ask a token for when it is to be taken here."""

    def prepare(self) -> None:
        """Load what the first token needs before anybody waits for it: the event loop would stand still."""
        from joserfc import jwk, jws  # noqa: F401

        self._outbound.prepare()

    async def verify(self, token: str, *, exchange: bool = False) -> Principal:
        """Who a token says it is. Its name is `<provider>:<sub>`, made fit for logs.

        `exchange`: something is given for it, which happens once; from then on it is good for nothing.
        Raises Unauthenticated for a token that is not good, Denied for a good one that no rule is for,
        UpstreamUnavailable when the issuer cannot be asked for its keys.
        """
        _, claims = parse_token(token)
        provider, keys = self._provider_of(claims)
        await check_token(token, provider, keys, now=self._now(), leeway=self._leeway)
        name = f"{provider.name}:{printable(str(claims['sub']))}"
        rule = matching_rule(provider, claims)
        if rule is None:
            raise Denied(f"no rule of {provider.name} gives {name} a role here")
        await self._check_use(token, claims, exchange)
        return Principal(name, "oidc", rule.role, scopes_of(provider, rule), f"oidc:{provider.name}")

    async def _check_use(self, token: str, claims: Claims, exchange: bool) -> None:
        """Raises Unauthenticated for a token that was exchanged before, by whichever process."""
        hashed, now = _identity_of(token, claims), self._now()
        if exchange:
            ends_at = time_of(claims, "exp") or now
            is_first = await self._catalog.spend(hashed, ends_at + self._leeway, now)
        else:
            is_first = not await self._catalog.is_spent(hashed)
        if not is_first:
            raise Unauthenticated("the token has been exchanged, which is done once; ask for a new one")

    def _provider_of(self, claims: Claims) -> tuple[OidcProvider, KeySet]:
        issuer = claims.get("iss")
        known = self._providers.get(issuer) if isinstance(issuer, str) else None
        if known is None:
            raise Unauthenticated("the token is of an issuer that is not known here")
        return known


def _identity_of(token: str, claims: Claims) -> str:
    """What tells a token from all others: its `jti` (RFC 7519, 4.1.7), else what is signed. Of its signature
    anybody can make another one, if it is by ECDSA."""
    jti = claims.get("jti")
    own = f"jti\0{jti}" if isinstance(jti, str) and jti else token.rpartition(".")[0]
    return sha256(f"{claims['iss']}\0{own}".encode("utf-8", "surrogatepass")).hexdigest()


def printable(text: str) -> str:
    """A text of others for a line of a log: no control characters, not too long."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text[:LONGEST_NAME])


def _common_audience(providers: tuple[OidcProvider, ...]) -> str:
    """The first audience that every provider takes, else the first of all."""
    audiences = [one for provider in providers for one in provider.audience]
    common = [one for one in audiences if all(one in provider.audience for provider in providers)]
    return next(iter(common or audiences), "")
