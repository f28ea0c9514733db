"""What a registry has acknowledged, and the check that it still has it.

A tag that several clients move may, after a crash, have any value that no later acknowledged move has
replaced: the ledger keeps when each move began and ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.wire import Line, Wire
from tests.support.oci import DOCKER_IMAGE, DOCKER_LIST, IMAGE, INDEX

ACCEPT = {"accept": f"{IMAGE}, {INDEX}, {DOCKER_IMAGE}, {DOCKER_LIST}"}
AT_ONCE = 16


@dataclass(slots=True)
class Move:
    """One attempt to set a tag (`digest`) or to delete it (None)."""

    digest: str | None
    began: int
    ended: int | None = None
    """When it was acknowledged; None: it never was, and may still have happened."""


@dataclass(slots=True)
class Ledger:
    """The acknowledged pushes: names are (repository, digest or tag)."""

    blobs: set[tuple[str, str]] = field(default_factory=set)
    manifests: set[tuple[str, str]] = field(default_factory=set)
    moves: dict[tuple[str, str], list[Move]] = field(default_factory=dict)
    clock: int = 0

    @property
    def count(self) -> int:
        """How many blobs and manifests have been acknowledged."""
        return len(self.blobs) + len(self.manifests)

    def begin(self, repository: str, tag: str, digest: str | None) -> Move:
        self.clock += 1
        move = Move(digest, self.clock)
        self.moves.setdefault((repository, tag), []).append(move)
        return move

    def end(self, move: Move) -> None:
        self.clock += 1
        move.ended = self.clock

    def allowed(self, repository: str, tag: str) -> set[str | None]:
        """The values that a tag may have; None stands for no such tag."""
        moves = self.moves[repository, tag]
        replaced = max((move.began for move in moves if move.ended is not None), default=0)
        values = {move.digest for move in moves if move.ended is None or move.ended >= replaced}
        return values if replaced else values | {None}


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(slots=True)
class Audit:
    """Fetches what the ledger names and collects what is wrong; `problems` is empty when nothing is."""

    wire: Wire
    ledger: Ledger
    problems: list[str] = field(default_factory=list)

    async def run(self) -> list[str]:
        """Everything acknowledged is there and right, and every tag of every repository can be pulled."""
        ledger = self.ledger
        repositories = sorted({name for name, _ in ledger.blobs | ledger.manifests | set(ledger.moves)})
        checks = [
            *((self._content, name, "blobs", digest) for name, digest in sorted(ledger.blobs)),
            *((self._content, name, "manifests", digest) for name, digest in sorted(ledger.manifests)),
            *((self._tag, name, tag) for name, tag in sorted(ledger.moves)),
            *((self._listing, name) for name in repositories),
        ]
        remaining = iter(checks)

        async def work() -> None:
            line = Line(self.wire)
            try:
                for check, *names in remaining:
                    await check(line, *names)
            finally:
                line.close()

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())
        return self.problems

    async def _content(self, line: Line, repository: str, kind: str, digest: str) -> None:
        answer = await line.call("GET", f"/v2/{repository}/{kind}/{digest}", ACCEPT)
        if answer.status != 200 or sha256(answer.body) != digest:
            self.problems.append(f"{kind} {repository}@{digest}: {answer}")

    async def _tag(self, line: Line, repository: str, tag: str) -> None:
        answer = await line.call("GET", f"/v2/{repository}/manifests/{tag}", ACCEPT)
        value = None if answer.status == 404 else sha256(answer.body)
        allowed = self.ledger.allowed(repository, tag)
        if answer.status not in (200, 404) or value not in allowed:
            self.problems.append(f"tag {repository}:{tag} is {value}, not of {allowed}: {answer}")

    async def _listing(self, line: Line, repository: str) -> None:
        """Each tag that is listed leads to a manifest, and that to its content; known tags are listed."""
        answer = await line.call("GET", f"/v2/{repository}/tags/list?n=10000")
        if answer.status == 404 and not any(name == repository for name, _ in self.ledger.manifests):
            return  # no push of a manifest was acknowledged there
        if answer.status != 200:
            self.problems.append(f"tags of {repository}: {answer}")
            return
        listed = set(json.loads(answer.body)["tags"])
        for name, tag in self.ledger.moves:
            if name == repository and tag not in listed and None not in self.ledger.allowed(name, tag):
                self.problems.append(f"tag {repository}:{tag} is not listed")
        seen: set[str] = set()
        for tag in sorted(listed):
            await self._pull(line, repository, tag, seen)

    async def _pull(self, line: Line, repository: str, reference: str, seen: set[str]) -> None:
        answer = await line.call("GET", f"/v2/{repository}/manifests/{reference}", ACCEPT)
        if answer.status != 200:
            self.problems.append(f"listed {repository}:{reference}: {answer}")
            return
        document = json.loads(answer.body)
        for child in document.get("manifests", ()):
            if child["digest"] not in seen:
                seen.add(child["digest"])
                await self._pull(line, repository, child["digest"], seen)
        for part in [*document.get("layers", ()), *filter(None, [document.get("config")])]:
            known = (repository, part["digest"]) in self.ledger.blobs  # fetched whole, in another check
            if part["digest"] in seen or known:
                continue
            seen.add(part["digest"])
            head = await line.call("HEAD", f"/v2/{repository}/blobs/{part['digest']}")
            if head.status != 200 or head.headers.get("content-length") != str(part["size"]):
                self.problems.append(f"part {part['digest']} of {repository}:{reference}: {head.status}")


_DIGEST = re.compile(r"[0-9a-f]{64}")


def partial_files(folder: Path, verified: set[Path]) -> list[str]:
    """Stored objects whose bytes are not those that their name says; `verified` are not read again.

    A draft is none: it lies beside them, and gets its final name when it is whole.
    """
    wrong = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".draft" or path in verified or not path.is_file():
            continue
        if named := _DIGEST.search(path.name):
            if hashlib.sha256(path.read_bytes()).hexdigest() != named[0]:
                wrong.append(str(path))
            verified.add(path)
    return wrong
