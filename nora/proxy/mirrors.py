"""A source with mirrors: addresses that serve the same content, of which any may answer."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nora.errors import UpstreamFailed, UpstreamUnavailable
from nora.outbound import Headers, Method, Reply, Stream
from nora.proxy.base import Upstream

if TYPE_CHECKING:
    from nora.catalog.records import Cached

_log = logging.getLogger(__name__)


class MirroredUpstream:
    """The addresses of one source, asked in order until one does not fail (nora.proxy.base.Upstream).

    That the first says that something is absent is an answer: the others are not asked.
    """

    def __init__(self, addresses: Sequence[Upstream], hurried: Sequence[Upstream]) -> None:
        """The first is the source's own; what is asked is named by URLs of that one. `hurried` are the same,
        to be asked while others are left."""
        self._addresses = addresses
        self._hurried = hurried
        self.url = addresses[0].url

    async def ask(
        self, method: Method, url: str, headers: Headers | None = None, *, max_bytes: int, body: bytes = b""
    ) -> Reply | None:
        """See nora.proxy.base.Upstream."""
        failures = _Failures()
        for one, address in self._where(url):
            try:
                found = await one.ask(method, address, headers, max_bytes=max_bytes, body=body)
            except UpstreamFailed as error:
                failures.add(one, error)
            else:
                failures.tell(one)
                return found
        raise failures.first

    @asynccontextmanager
    async def stream(
        self, url: str, headers: Headers | None = None, *, max_bytes: int
    ) -> AsyncIterator[Stream | None]:
        """See nora.proxy.base.Upstream. What is cut off in the middle fails: who goes on asks anew."""
        async with AsyncExitStack() as stack:
            failures = _Failures()
            for one, address in self._where(url):
                opened = one.stream(address, headers, max_bytes=max_bytes)
                try:
                    answer = await stack.enter_async_context(opened)
                except UpstreamFailed as error:
                    failures.add(one, error)
                    continue
                failures.tell(one)
                yield answer
                return
            raise failures.first

    def naming(self, document: Cached) -> Upstream:
        """See nora.proxy.base.Upstream."""
        return MirroredUpstream(
            [one.naming(document) for one in self._addresses],
            [one.naming(document) for one in self._hurried],
        )

    def _where(self, url: str) -> list[tuple[Upstream, str]]:
        """Whom to ask for what a URL names, and where it is there: whose URL it is, then the others. A page
        that a mirror gave has links to that mirror."""
        below = (n for n, one in enumerate(self._addresses) if is_below(url, one.url))
        beside = (n for n, one in enumerate(self._addresses) if rebased(url, one.url, one.url) is not None)
        owner = next(chain(below, beside), None)
        if owner is None:
            return [(self._addresses[0], url)]
        found = [(owner, url)]
        for number, other in enumerate(self._addresses):
            address = rebased(url, self._addresses[owner].url, other.url)
            if number != owner and address is not None:
                found.append((number, address))
        *before, (last, address) = found
        return [*((self._hurried[n], there) for n, there in before), (self._addresses[last], address)]


class _Failures:
    """The addresses that did not answer one request."""

    def __init__(self) -> None:
        self._failed: list[tuple[Upstream, UpstreamFailed]] = []

    def add(self, address: Upstream, error: UpstreamFailed) -> None:
        self._failed.append((address, error))

    def tell(self, answering: Upstream) -> None:
        """Nobody else hears of those before the one that answers."""
        for address, error in self._failed:
            _log.warning("%s: %s; %s answers instead", address.url, error, answering.url)

    @property
    def first(self) -> UpstreamFailed:
        """Of the address that should have answered; the log says what the others did. Any may answer whoever
        comes back: the shortest wait is what is told."""
        for address, error in self._failed[1:]:
            _log.debug("%s: %s", address.url, error)
        found = self._failed[0][1]
        if isinstance(found, UpstreamUnavailable):
            waits = [error.retry_after for _, error in self._failed if isinstance(error, UpstreamUnavailable)]
            found.retry_after = min(waits)
        return found


def is_below(url: str, base: str) -> bool:
    """Whether a URL is an address or below it."""
    return url == base or url.startswith(f"{base}/")


def rebased(url: str, base: str, other: str) -> str | None:
    """Where what a URL of one address names is at another one; None for a URL of neither.

    What is below the base is below the other; what is beside it on the same host (files, where the base is
    that of an index) is beside the other.
    """
    if is_below(url, base):
        return other + url[len(base) :]
    ours, theirs = urlsplit(base), urlsplit(other)
    root = f"{ours.scheme}://{ours.netloc}/"
    if not url.startswith(root):
        return None
    above, there = ours.path.rpartition("/")[0], theirs.path.rpartition("/")[0]
    rest = url[len(root) - 1 :]
    if above and rest.startswith(f"{above}/"):
        rest = there + rest[len(above) :]
    elif not above:
        rest = there + rest
    return f"{theirs.scheme}://{theirs.netloc}{rest}"
