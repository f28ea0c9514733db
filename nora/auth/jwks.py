"""The public keys of an issuer (JWK Set, RFC 7517): kept, and asked for again in time."""

from __future__ import annotations

import asyncio
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nora.auth.discovery import Issuer
from nora.config.identity import OidcProvider
from nora.errors import UpstreamFailed, UpstreamUnavailable
from nora.outbound import Outbound

if TYPE_CHECKING:
    from joserfc.jwk import Key

_log = logging.getLogger(__name__)

REFETCH_SECONDS = 10.0
"""The least time between two requests to an issuer, whatever tokens ask for."""
MAX_KEYS = 100
SMALLEST_RSA_BITS = 2048  # RFC 7518, 3.3
_FAMILIES = {"RS": "RSA", "PS": "RSA", "ES": "EC"}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key, and what it may be used for."""

    key: Key
    kid: str | None
    kind: str
    """`RSA` or `EC`."""
    algorithm: str | None
    """The only algorithm it is for, when it says one."""

    def serves(self, kid: str | None, algorithm: str) -> bool:
        """Whether a signature of this header may be checked with it."""
        fits = self.kind == _FAMILIES[algorithm[:2]] and self.algorithm in (None, algorithm)
        return fits and (kid is None or self.kid in (None, kid))


class KeySet:
    """The keys of one provider. When they cannot be had anew, those that are known stay in use."""

    def __init__(
        self,
        provider: OidcProvider,
        outbound: Outbound,
        cache_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = provider
        self._issuer = Issuer(provider.name, provider.issuer, outbound, provider.jwks_uri)
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._keys: tuple[SigningKey, ...] = ()
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._failure: UpstreamFailed | None = None
        self._turn = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key for a header; None when the issuer has no such key, which is asked first.

        Without a `kid` it is the only key that fits. Raises UpstreamUnavailable when that cannot be known.
        """
        old = self._clock() - self._fetched_at >= self._cache_seconds
        if old and not (self._keys and self._turn.locked()):  # nobody waits for what may be down
            await self._refresh()
        found = self._pick(kid, algorithm)
        if found is None:  # keys change, and new ones are used at once
            await self._refresh()
            found = self._pick(kid, algorithm)
        if found is None and self._failure is not None:
            raise UpstreamUnavailable(
                f"the keys of {self._provider.name} cannot be had: {self._failure}", round(REFETCH_SECONDS)
            ) from self._failure
        return found

    def _pick(self, kid: str | None, algorithm: str) -> Key | None:
        fitting = [one for one in self._keys if one.serves(kid, algorithm)]
        exact = [one for one in fitting if one.kid == kid] if kid is not None else []
        candidates = exact or fitting
        return candidates[0].key if len(candidates) == 1 else None

    async def _refresh(self) -> None:
        """Ask the issuer, unless that was done a moment ago: who waited for another takes its answer."""
        async with self._turn:
            if self._clock() - self._tried_at < REFETCH_SECONDS:
                return
            before, self._tried_at = self._tried_at, self._clock()
            try:
                self._keys = await self._fetch()
                self._fetched_at = self._clock()
                self._failure = None
            except asyncio.CancelledError:  # the client left; who waits asks instead
                self._tried_at = before
                raise
            except UpstreamFailed as error:
                self._failure = error
                kept = f"; its {len(self._keys)} known keys stay in use" if self._keys else ""
                _log.warning("the keys of %s cannot be had: %s%s", self._provider.name, error, kept)

    async def _fetch(self) -> tuple[SigningKey, ...]:
        from joserfc.errors import SecurityWarning

        uri = self._provider.jwks_uri or (await self._issuer.discover()).address("jwks_uri")
        document = await self._issuer.get(uri)
        listed = document.get("keys")
        if not isinstance(listed, list):
            raise UpstreamFailed(f"the key set of {self._provider.name} has no keys")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # of keys that are not taken
            keys = tuple(filter(None, map(_read_key, listed[:MAX_KEYS])))
        if not keys:
            raise UpstreamFailed(f"the key set of {self._provider.name} has no key that can be used")
        return keys


def _read_key(entry: object) -> SigningKey | None:
    """A key of a set that signatures can be checked with; None for all others (RFC 7517, 5)."""
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, RSAKey

    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    kid, algorithm, operations = entry.get("kid"), entry.get("alg"), entry.get("key_ops", ["verify"])
    if not isinstance(kid, str | None) or not isinstance(algorithm, str | None):
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        key: Key
        if entry.get("kty") == "RSA":
            key = RSAKey.import_key({name: entry[name] for name in ("kty", "n", "e")})
            if key.public_key.key_size < SMALLEST_RSA_BITS:
                return None
        elif entry.get("kty") == "EC":
            key = ECKey.import_key({name: entry[name] for name in ("kty", "crv", "x", "y")})
            key.public_key  # noqa: B018 - reads the point: one that is not on the curve is refused now
        else:
            return None
    except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.debug("a key that cannot be read: %s", type(error).__name__)
        return None
    return SigningKey(key, kid, str(entry["kty"]), algorithm)
