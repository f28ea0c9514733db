"""A running NORA, asked as its clients ask it: with patience, and every byte compared."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import IO, Final, TypeVar
from urllib.parse import urljoin, urlsplit

from nora.errors import Denied, DigestMismatch, NoraError, NotFound, UpstreamFailed, quoted
from nora.formats.mirroring import LARGEST_DOCUMENT, Document, Hashes, Unusable
from nora.outbound import Outbound, Stream, Terms, origin

T = TypeVar("T")

LARGEST_FILE: Final = 64 * 2**30
LARGEST_PROBLEM: Final = 16 * 1024
"""Of an answer that says what is wrong, so much is read."""
ATTEMPTS: Final = 4
"""NORA itself has tried before it says that an upstream is away."""
ATTEMPTS_AT_LIMITS: Final = 20
"""Of those who ask too often: side by side they wait for each other."""
ATTEMPTS_AFTER_CUTS: Final = 3
"""Each costs the bytes up to the cut; NORA cuts what is not what its upstream says, every time."""
LONGEST_WAIT: Final = 60.0
"""Between two attempts, in seconds, whatever an answer says."""
IDLE_SECONDS: Final = 120.0
"""NORA itself says after a few seconds that an upstream is slow; a large file may take longer to begin."""
_AGAIN: Final = frozenset({408, 429, 502, 503, 504})
"""Answers after which the same may well be answered otherwise: a limit, an upstream that is slow or away."""


class _TryAgain(NoraError):
    """No answer yet; `after` is in seconds, None where nothing is said."""

    def __init__(self, message: str, after: float | None = None, most: int = ATTEMPTS) -> None:
        super().__init__(message)
        self.after = after
        self.most = most


class NoraRegistry:
    """See nora.formats.mirroring.Registry."""

    def __init__(
        self,
        outbound: Outbound,
        url: str,
        mounts: tuple[str, ...],
        headers: Mapping[str, str],
        *,
        prefix: str = "",
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """At a URL without the path of a format; `mounts` are those of the format, `prefix` is in front of
        them for a named repository."""
        self._outbound = outbound
        self._url = url.rstrip("/")
        self._base = self._url + prefix
        self._places = tuple(prefix + mount for mount in mounts)
        self._headers = dict(headers)
        self._sleep = sleep
        self.received = 0
        """Bytes of files so far."""

    async def check(self) -> None:
        """That there is a NORA at all. Raises UpstreamFailed, Unusable."""
        async with self._outbound.open(
            "GET", f"{self._url}/health", self._terms(LARGEST_PROBLEM), {}
        ) as answer:
            if answer.status != 200:
                raise Unusable(f"{self._url}/health answers {answer.status}: is a NORA there?")

    async def document(self, path: str, accept: str = "*/*", max_bytes: int = LARGEST_DOCUMENT) -> Document:
        """See Registry."""

        async def read(answer: Stream) -> Document:
            reply = await answer.reply()
            return Document(reply.url, reply.headers, reply.body)

        headers = {"accept": accept, "accept-encoding": "gzip"}
        return await self._asked(path, headers, max_bytes, read)

    async def file(self, path: str, hashes: Hashes, take: Collection[str] = ()) -> Mapping[str, str]:
        """See Registry."""

        async def compare(answer: Stream) -> Mapping[str, str]:
            taken = {name: hashlib.new(name, usedforsecurity=False) for name in {*hashes, *take}}
            async for piece in answer:
                self.received += len(piece)
                for one in taken.values():
                    one.update(piece)
            found = {name: digest.hexdigest() for name, digest in taken.items()}
            for name, wanted in hashes.items():
                if found[name] not in wanted:
                    said = quoted(" or ".join(sorted(wanted)))
                    raise DigestMismatch(f"its {name} is {found[name]}, and should be {said}")
            return found

        return await self._asked(path, {"accept-encoding": "identity"}, LARGEST_FILE, compare)

    async def save(self, path: str, into: IO[bytes], largest: int) -> None:
        """See Registry."""

        async def write(answer: Stream) -> None:
            into.seek(0)
            into.truncate()
            async for piece in answer:
                self.received += len(piece)
                await asyncio.to_thread(into.write, piece)
            into.flush()

        await self._asked(path, {"accept-encoding": "identity"}, largest, write)

    def path_of(self, url: str, document: Document) -> str:
        """See Registry. A document names this NORA by the address that its clients have (`public_url`),
        which may be another one than is asked here: what comes from the mount on is the same."""
        target = urlsplit(urljoin(document.url, url))
        start = urlsplit(self._url).path
        if target.path.startswith(start):
            path = target.path[len(start) :]
            if path.startswith(self._places):
                return self._without_prefix(path)
        at = max(target.path.find(place) for place in self._places)
        if at < 0:
            raise Unusable(f"{document.url} names {quoted(url)}, which is not in this registry")
        return self._without_prefix(target.path[at:])

    def _without_prefix(self, path: str) -> str:
        return path.removeprefix(self._base.removeprefix(self._url))

    async def _asked(
        self,
        path: str,
        headers: Mapping[str, str],
        max_bytes: int,
        read: Callable[[Stream], Awaitable[T]],
    ) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._ask_once(path, headers, max_bytes, read)
            except _TryAgain as error:
                if attempt >= error.most:
                    raise Unusable(f"{error} ({attempt} attempts)") from None
                after = 2.0 ** (attempt - 1) if error.after is None else error.after
                await self._sleep(min(after, LONGEST_WAIT))
        raise AssertionError

    async def _ask_once(
        self,
        path: str,
        headers: Mapping[str, str],
        max_bytes: int,
        read: Callable[[Stream], Awaitable[T]],
    ) -> T:
        terms = self._terms(max_bytes)
        try:
            async with self._outbound.open(
                "GET", self._base + path, terms, {**self._headers, **headers}
            ) as answer:
                if answer.status != 200:
                    raise await _refusal(answer)
                return await read(answer)
        except UpstreamFailed as error:
            if error.transient or error.is_unreachable:
                most = ATTEMPTS if error.is_unreachable else ATTEMPTS_AFTER_CUTS
                raise _TryAgain(str(error), most=most) from None
            raise

    def _terms(self, max_bytes: int) -> Terms:
        # Where it leads, to its bucket for instance, is the word of the operator's own server.
        return Terms(
            idle_seconds=IDLE_SECONDS,
            max_bytes=max_bytes,
            given=frozenset({origin(self._url)}),
            private=("*",),
        )


async def _refusal(answer: Stream) -> NoraError:
    """What an answer that is no success says."""
    told = bytearray()
    async for piece in answer:
        told += piece[: LARGEST_PROBLEM - len(told)]
        if len(told) == LARGEST_PROBLEM:
            break
    words = " ".join(bytes(told).decode("utf-8", "replace").split())
    words = "".join(one if one.isprintable() else "?" for one in words)
    problem = f"{answer.status}: {quoted(words)}" if words else str(answer.status)
    if answer.status in _AGAIN:
        after = answer.headers.get("retry-after", "")
        most = ATTEMPTS_AT_LIMITS if answer.status == 429 else ATTEMPTS
        return _TryAgain(problem, float(after) if after.isascii() and after.isdigit() else None, most)
    if answer.status in (401, 403):
        return Denied(problem)
    return NotFound(problem) if answer.status in (404, 410) else Unusable(problem)
