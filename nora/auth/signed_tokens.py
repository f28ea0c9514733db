"""Signed tokens of others (JWT, RFC 7519): what has to be true of one before anything in it is believed.

Nothing in a token is believed before its signature is checked, but for the issuer, which says whose keys to
check it with, and the header, which chooses among the keys and algorithms that the configuration allows.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from typing import Any, Final

import orjson

from nora.auth.jwks import KeySet
from nora.auth.oidc_rules import Claims
from nora.config.identity import OidcProvider
from nora.errors import Unauthenticated

MAX_TOKEN: Final = 16 * 1024
"""Characters; GitHub's tokens have some 2,000."""
_DEEPEST_HEADER: Final = 4096


async def check_token(
    token: str, provider: OidcProvider, keys: KeySet, *, now: float, leeway: float
) -> Claims:
    """The claims of a token of an issuer.

    Raises Unauthenticated for a token that is not good, UpstreamUnavailable when the issuer cannot be asked
    for its keys.
    """
    header, claims = parse_token(token)
    if claims.get("iss") != provider.issuer:
        raise Unauthenticated("the token is of another issuer")
    algorithm, kid = _check_header(header, provider)
    key = await keys.find(kid, algorithm)
    if key is None:
        raise Unauthenticated(f"the token is signed with a key that {provider.name} does not have")
    _check_signature(token, key, algorithm)
    _check_claims(claims, provider, now, leeway)
    return claims


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


def _check_claims(claims: Claims, provider: OidcProvider, now: float, leeway: float) -> None:
    """RFC 7519, 4.1. Raises Unauthenticated."""
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not any(one in provider.audience for one in audiences if isinstance(one, str)):
        raise Unauthenticated(
            f"the token is for another audience; ask {provider.name} for one of: "
            f"{', '.join(provider.audience)}"
        )
    issued, expires = time_of(claims, "iat"), time_of(claims, "exp")
    if issued is None or expires is None:
        raise Unauthenticated("the token does not say when it was issued and when it expires")
    if expires <= now - leeway:
        raise Unauthenticated("the token has expired")
    begins = time_of(claims, "nbf") if "nbf" in claims else issued
    if begins is None or max(begins, issued) > now + leeway:
        raise Unauthenticated("the token is not valid yet")
    if not 0 <= expires - issued <= provider.max_token_lifetime_secs:
        raise Unauthenticated(
            f"the token is valid for longer than the {provider.max_token_lifetime_secs} s that "
            f"{provider.name} is allowed"
        )
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise Unauthenticated("the token has no subject")


def time_of(claims: Claims, name: str) -> float | None:
    """Seconds since the epoch that a claim says (NumericDate)."""
    value = claims.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
