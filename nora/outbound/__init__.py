"""Every HTTP request that NORA makes itself goes through here; the only imports of httpx, on first use.

    reply = await outbound.get("https://issuer.example.com/keys", Terms(max_bytes=65536))
    async with outbound.stream(url, terms) as answer:
        async for piece in answer: ...

The trust store is the system's plus `tls.ca_cert`. An outbound proxy comes from HTTP_PROXY, HTTPS_PROXY,
ALL_PROXY and NO_PROXY. Redirects are followed here, each one checked: never from https to http, and
credentials never to another origin (scheme, host, port).

**Private networks.** What the operator wrote down (`Terms.given`) may be anywhere. Everything else - where a
redirect leads, what a document of an upstream names - must be public, or in a private network where who
names it was reached in one (`Stream.is_inside`, `Terms.inside`); loopback, link-local and metadata addresses
are for what the operator named. A name is resolved once, and the connection is made to the address that was
checked, so that a second resolution cannot answer otherwise. Behind an outbound proxy names are for the proxy
to resolve; only literal addresses are checked here.
"""

from __future__ import annotations

from nora.outbound.answers import Reply, Stream
from nora.outbound.connections import MAX_REDIRECTS, Outbound, trust_store
from nora.outbound.terms import Headers, Method, Terms, host_of, hostname_of, origin

__all__ = [
    "MAX_REDIRECTS",
    "Headers",
    "Method",
    "Outbound",
    "Reply",
    "Stream",
    "Terms",
    "host_of",
    "hostname_of",
    "origin",
    "trust_store",
]
