"""Workload identity: the signed tokens that CI systems give to their jobs (OpenID Connect, RFC 7519).

Nothing in a token is believed before its signature is checked, but for the issuer, which says whose keys to
check it with, and the header, which chooses among the keys and algorithms that the configuration allows.
"""

from __future__ import annotations

import time
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import orjson

from nora.auth.jwks import KeySet
from nora.auth.oidc_rules import Claims, matching_rule, scopes_of
from nora.catalog.base import Catalog
from nora.config import OidcSettings
from nora.config.identity import OidcProvider
from nora.errors import Denied, Unauthenticated
from nora.model import Principal
from nora.outbound import Outbound

MAX_TOKEN = 16 * 1024
"""Characters; GitHub's tokens have some 2,000."""
LONGEST_NAME = 255
_DEEPEST_HEADER = 4096


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
        header, claims = parse_token(token)
        provider, keys = self._provider_of(claims)
        algorithm, kid = _check_header(header, provider)
        key = await keys.find(kid, algorithm)
        if key is None:
            raise Unauthenticated(f"the token is signed with a key that {provider.name} does not have")
        _check_signature(token, key, algorithm)
        self._check_claims(claims, provider)
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
            ends_at = _time(claims, "exp") or now
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

    def _check_claims(self, claims: Claims, provider: OidcProvider) -> None:
        """RFC 7519, 4.1. Raises Unauthenticated."""
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if not any(one in provider.audience for one in audiences if isinstance(one, str)):
            raise Unauthenticated(
                f"the token is for another audience; ask {provider.name} for one of: "
                f"{', '.join(provider.audience)}"
            )
        now, issued, expires = self._now(), _time(claims, "iat"), _time(claims, "exp")
        if issued is None or expires is None:
            raise Unauthenticated("the token does not say when it was issued and when it expires")
        if expires <= now - self._leeway:
            raise Unauthenticated("the token has expired")
        begins = _time(claims, "nbf") if "nbf" in claims else issued
        if begins is None or max(begins, issued) > now + self._leeway:
            raise Unauthenticated("the token is not valid yet")
        if not 0 <= expires - issued <= provider.max_token_lifetime_secs:
            raise Unauthenticated(
                f"the token is valid for longer than the {provider.max_token_lifetime_secs} s that "
                f"{provider.name} is allowed"
            )
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise Unauthenticated("the token has no subject")


def parse_token(token: str) -> tuple[Mapping[str, Any], Claims]:
    """Header and claims of a token in compact form (RFC 7515, 7.1), not yet to be believed.

    Raises Unauthenticated, and nothing else.
    """
    if len(token) > MAX_TOKEN:
        raise Unauthenticated(f"the token is longer than {MAX_TOKEN} characters")
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise Unauthenticated("the token is not a JSON Web Token")
    return _decode(parts[0]), _decode(parts[1])


def _decode(part: str) -> Mapping[str, Any]:
    try:
        found = orjson.loads(b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True))
    except (NotBase64, ValueError):
        found = None
    if not isinstance(found, dict):
        raise Unauthenticated("the token is not a JSON Web Token")
    return found


def _check_header(header: Mapping[str, Any], provider: OidcProvider) -> tuple[str, str | None]:
    """The algorithm and the name of the key. Raises Unauthenticated.

    A key that a token brings along proves nothing, and an extension that must be understood is not.
    """
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in provider.algorithms:
        raise Unauthenticated(
            f"the token is not signed with one of the algorithms of {provider.name}: "
            f"{', '.join(provider.algorithms)}"
        )
    if not isinstance(kid, str | None):
        raise Unauthenticated("the token does not name its key by a text")
    if {"crit", "b64", "jwk"} & header.keys() or any(isinstance(one, dict) for one in header.values()):
        raise Unauthenticated("the header of the token asks for what is not done here")
    return algorithm, kid


def _check_signature(token: str, key: Any, algorithm: str) -> None:
    """RFC 7515, 5.2. Raises Unauthenticated."""
    from joserfc.errors import JoseError
    from joserfc.jws import JWSRegistry, deserialize_compact

    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = _DEEPEST_HEADER
    try:
        deserialize_compact(token, key, registry=registry)
    except (JoseError, ValueError, RecursionError):
        raise Unauthenticated("the signature of the token is wrong") from None


def _identity_of(token: str, claims: Claims) -> str:
    """What tells a token from all others: its `jti` (RFC 7519, 4.1.7), else what is signed. Of its signature
    anybody can make another one, if it is by ECDSA."""
    jti = claims.get("jti")
    own = f"jti\0{jti}" if isinstance(jti, str) and jti else token.rpartition(".")[0]
    return sha256(f"{claims['iss']}\0{own}".encode("utf-8", "surrogatepass")).hexdigest()


def _time(claims: Claims, name: str) -> float | None:
    """Seconds since the epoch (NumericDate)."""
    value = claims.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def printable(text: str) -> str:
    """A text of others for a line of a log: no control characters, not too long."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text[:LONGEST_NAME])


def _common_audience(providers: tuple[OidcProvider, ...]) -> str:
    """The first audience that every provider takes, else the first of all."""
    audiences = [one for provider in providers for one in provider.audience]
    common = [one for one in audiences if all(one in provider.audience for provider in providers)]
    return next(iter(common or audiences), "")
