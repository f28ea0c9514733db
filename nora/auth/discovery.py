"""What an issuer says of itself (OpenID Connect Discovery 1.0), and how it is asked for anything."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from nora.config.kinds import LOOPBACK_HOSTS
from nora.errors import UpstreamFailed, UpstreamTimeout
from nora.outbound import Outbound, Reply, Terms, host_of, origin

DISCOVERY: Final = "/.well-known/openid-configuration"
"""Discovery, 4."""
LARGEST: Final = 512 * 1024
"""Bytes of a document."""
TOTAL_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Metadata:
    """The discovery document of an issuer."""

    name: str
    """As messages name the issuer."""
    issuer: str
    fields: Mapping[str, Any]
    is_inside: bool = False
    """Whether it came from a private network: what it names may be in one as well."""

    def address(self, field: str) -> str:
        """One that it names. Raises UpstreamFailed where there is none, or none that is safe."""
        uri = self.fields.get(field)
        if not isinstance(uri, str) or not _is_secure(uri, self.issuer):
            raise UpstreamFailed(f"the discovery document of {self.name} names no {field} by https")
        return uri

    def names(self, field: str) -> tuple[str, ...]:
        """A list of words; empty where there is none."""
        found = self.fields.get(field)
        return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()


class Issuer:
    """One issuer, as it is asked."""

    def __init__(self, name: str, url: str, outbound: Outbound, also: str | None = None) -> None:
        """`also` is another address that the operator wrote down."""
        self.name = name
        self.url = url
        self._outbound = outbound
        self._terms = Terms(
            connect_seconds=5.0,
            idle_seconds=5.0,
            total_seconds=TOTAL_SECONDS,
            max_bytes=LARGEST,
            given=frozenset(map(origin, (url, also or url))),
        )

    async def discover(self) -> Metadata:
        """Raises UpstreamFailed and its kinds."""
        reply, document = await self._get(self.url.removesuffix("/") + DISCOVERY)
        if document.get("issuer") != self.url:  # Discovery, 4.3
            raise UpstreamFailed(f"the discovery document of {self.name} is of another issuer")
        return Metadata(self.name, self.url, document, reply.is_inside)

    async def get(self, url: str) -> Mapping[str, Any]:
        """A document. Raises UpstreamFailed and its kinds."""
        return (await self._get(url))[1]

    async def _get(self, url: str) -> tuple[Reply, Mapping[str, Any]]:
        reply = await self._outbound.get(url, self._terms, {"accept": "application/json"})
        if reply.status != 200:
            raise UpstreamFailed(f"{host_of(url)} answers {reply.status}")
        return reply, _parse(reply)

    async def post(
        self, metadata: Metadata, field: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, Any]]:
        """The status and the document that an endpoint of its metadata answers to a form. Raises
        UpstreamFailed and its kinds, also for 5xx and for what is not JSON."""
        url = metadata.address(field)
        sent = {
            "accept": "application/json",
            "accept-encoding": "gzip",
            "content-type": "application/x-www-form-urlencoded",
            **headers,
        }
        terms = replace(self._terms, inside=metadata.is_inside)
        try:
            async with (
                asyncio.timeout(TOTAL_SECONDS),
                self._outbound.open("POST", url, terms, sent, body) as answer,
            ):
                reply = await answer.reply()
        except TimeoutError as error:
            raise UpstreamTimeout(f"{host_of(url)} did not answer within {TOTAL_SECONDS:g} s") from error
        if reply.status >= 500:
            raise UpstreamFailed(f"{host_of(url)} answers {reply.status}")
        return reply.status, _parse(reply)


def _parse(reply: Reply) -> Mapping[str, Any]:
    try:
        document = orjson.loads(reply.body)
    except orjson.JSONDecodeError as error:
        raise UpstreamFailed(f"{host_of(reply.url)} answers with what is not JSON") from error
    if not isinstance(document, dict):
        raise UpstreamFailed(f"{host_of(reply.url)} answers with JSON that is no object")
    return document


def _is_secure(uri: str, issuer: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    if parts.scheme == "http":  # an issuer on the loopback, as in tests
        return issuer.startswith("http:") and parts.hostname in LOOPBACK_HOSTS
    return parts.scheme == "https"
