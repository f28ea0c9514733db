"""Giving a running NORA what the data directory of the one written in Rust has (see nora.formats.legacy).

It is asked to publish everything as clients ask it, so that everything is checked as theirs is. What it has
already is not sent again where that can be told, and changes nothing else: a run that was stopped goes on by
running it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from nora.errors import BadRequest, NoraError, quoted
from nora.formats.base import Format
from nora.formats.legacy import (
    Call,
    Group,
    Left,
    LegacyInvalid,
    LegacyTree,
    Names,
    Patterns,
    Publication,
    Refused,
)
from nora.upkeep.progress import Progress

ATTEMPTS: Final = 8
LONGEST_WAIT: Final = 30.0
"""Seconds between two attempts, whatever an answer says."""
_AGAIN: Final = frozenset({408, 429, 502, 503, 504})
"""Answers after which the same may well be answered otherwise."""
_NO_DATA: Final = frozenset({"tmp", "tokens"})
"""Folders of the directory that are of no format."""
_TOKENS: Final = "tokens"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answers."""

    status: int
    headers: Mapping[str, str]
    """By name, in lower case."""
    body: bytes
    """The beginning of it."""


class Sender(Protocol):
    """A running NORA."""

    async def send(self, call: Call) -> Answer:
        """Raises NoraError where it cannot be asked."""
        ...


@dataclass(slots=True)
class TakenOver:
    """What has come of it. Sizes are in bytes."""

    published: int = 0
    """Publications that were sent, or would be."""
    published_bytes: int = 0
    there: int = 0
    """Those that are there already."""
    refused: list[Refused] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is to be done by people."""


class Takeover:
    """One run over a directory."""

    def __init__(
        self,
        tree: LegacyTree,
        sender: Sender | None,
        progress: Progress,
        *,
        concurrency: int = 4,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        told: Callable[[Publication], None] = lambda _: None,
    ) -> None:
        """Without a sender nothing is sent. `told` hears of everything that is published, or would be."""
        self._tree = tree
        self._sender = sender
        self._progress = progress
        self._concurrency = concurrency
        self._sleep = sleep
        self._told = told
        self.report = TakenOver()
        """How far it is, also of a run that was stopped."""

    async def run(self, formats: Iterable[Format], own: Patterns, skipped: Patterns) -> TakenOver:
        """Once. Raises NoraError when the server cannot be asked, or does not know who asks."""
        legacies = [(one.name, one.legacy) for one in formats if one.legacy is not None]
        known = {folder for _, legacy in legacies for folder in legacy.folders}
        await asyncio.to_thread(lambda: self._tree.pins)  # which are not read: nothing could be compared
        total = await asyncio.to_thread(lambda: sum(map(self._tree.size, known)))
        self._progress.expect(total, "what is there")
        self._look_beside(known, skipped)
        for name, legacy in legacies:
            groups = legacy.read(self._tree, Names(name, own, skipped))
            lock = asyncio.Lock()
            try:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(self._concurrency):
                        tasks.create_task(self._work(groups, lock))
            except* LegacyInvalid as errors:
                self.report.refused.append(Refused(name, str(errors.exceptions[0])))
            except* NoraError as errors:
                raise errors.exceptions[0] from None
        self.report.refused.sort(key=lambda one: one.title)
        return self.report

    def _look_beside(self, known: set[str], skipped: Patterns) -> None:
        """At what no format reads."""
        for name in self._tree.folders():
            if name not in known and name not in _NO_DATA and not name.startswith("."):
                if skipped.have(name, "*"):
                    self.report.left.append(Left(name, "left out by --skip"))
                elif any(files for _, files in self._tree.walk(name)):
                    self.report.refused.append(Refused(name, "there is no such format here"))
        for base in (self._tree.root, self._tree.root.parent):
            if count := len(list((base / _TOKENS).glob("*.json"))):
                self.report.notes.append(
                    f"{count} tokens in {base / _TOKENS} are not taken over: their hashes (argon2id) "
                    "are none that tokens are found by here. `nora token create` makes new ones"
                )

    async def _work(self, groups: Iterator[Group], lock: asyncio.Lock) -> None:
        while True:
            async with lock:
                group = await asyncio.to_thread(next, groups, None)
            if group is None:
                return
            for one in group:
                if isinstance(one, Refused):
                    self.report.refused.append(one)
                elif isinstance(one, Left):
                    self.report.left.append(one)
                else:
                    await self._publish(one)

    async def _publish(self, one: Publication) -> None:
        try:
            if self._sender is not None and await self._is_there(self._sender, one):
                self.report.there += 1
                return
            if self._sender is not None:
                for call in one.calls:
                    await self._do(self._sender, call)
        except _Refusal as refusal:
            self.report.refused.append(Refused(one.title, str(refusal)))
        else:
            self.report.published += 1
            self.report.published_bytes += one.size
            self._told(one)
        finally:
            self._progress.advance(one.size)

    async def _is_there(self, sender: Sender, one: Publication) -> bool:
        """Whether it is published with these bytes. Where more than that is to be done, it is done
        again."""
        if one.there is None or len(one.calls) > 1:
            return False
        path, digest = one.there
        answer = await self._ask(sender, Call("HEAD", path))
        return answer.status == 200 and answer.headers.get("etag") == f'"{digest}"'

    async def _do(self, sender: Sender, call: Call) -> None:
        if call.unless and (await self._ask(sender, Call("HEAD", call.unless))).status == 200:
            return
        answer = await self._ask(sender, call)
        if not 200 <= answer.status < 300:
            words = " ".join(answer.body.decode("utf-8", "replace").split())
            told = "".join(one if one.isprintable() else "?" for one in words)
            if answer.status == 401:
                raise BadRequest(f"the server wants to know who asks (--token-file): 401 {quoted(told)}")
            raise _Refusal(
                f"{answer.status}: {told}" if told else f"{call.method} is answered {answer.status}"
            )

    async def _ask(self, sender: Sender, call: Call) -> Answer:
        for attempt in range(ATTEMPTS):
            answer = await sender.send(call)
            if answer.status not in _AGAIN:
                return answer
            after = answer.headers.get("retry-after", "")
            seconds = float(after) if after.isascii() and after.isdigit() else 2.0**attempt / 4
            await self._sleep(min(seconds, LONGEST_WAIT))
        return answer


class _Refusal(Exception):
    """The server does not take it."""
