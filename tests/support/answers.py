"""What an upstream of a test answers, and how badly: late, slow, in part, with other bytes than it says.

An `Answer` is a value: it goes through a pipe to an upstream in another process (upstream_process.py).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

PIECE = 1 << 20
NEVER = inf
"""A delay: nothing comes until the connection or the upstream is closed."""


@dataclass(slots=True)
class Asked:
    """A request; header names are in lower case, `target` is as it was on the wire."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    at: float = 0.0
    """time.monotonic() when its head had come."""
    sent: int = 0
    """Bytes of the answer's body that were handed to the connection."""
    status: int = 0
    """What it was answered with; 0 while it was not."""

    @property
    def path(self) -> str:
        """Without its query, percent-encoding kept."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        pairs = (part.partition("=") for part in self.target.partition("?")[2].split("&") if part)
        return {unquote(name): unquote(value.replace("+", " ")) for name, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Repeated:
    """A large body that takes no room: `block` again and again, `size` bytes in all."""

    block: bytes
    size: int

    def sha256(self) -> str:
        found = hashlib.sha256()
        for piece in pieces(self, 0, self.size):
            found.update(piece)
        return found.hexdigest()


Body = bytes | Path | Repeated


def size_of(body: Body) -> int:
    match body:
        case bytes():
            return len(body)
        case Path():
            return body.stat().st_size
        case Repeated():
            return body.size


def pieces(body: Body, start: int, end: int, step: int = PIECE) -> Iterator[memoryview]:
    """The bytes from `start` up to `end`, at most `step` at a time, none of them copied twice."""
    if isinstance(body, Path):
        with body.open("rb") as file:
            file.seek(start)
            while start < end and (read := file.read(min(step, end - start))):
                start += len(read)
                yield memoryview(read)
        return
    block = memoryview(body if isinstance(body, bytes) else body.block)
    while start < end:
        at = start % len(block)
        piece = block[at : at + min(step, end - start)]
        start += len(piece)
        yield piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer and its faults. Offsets count bytes of the body as it is sent, a range's too."""

    status: int = 200
    body: Body = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case. `etag` and `last-modified` are what conditions are compared with."""
    ranges: bool = True
    """Whether Range is honoured, and announced."""
    conditions: bool = True
    """Whether If-None-Match and If-Modified-Since are honoured with 304."""
    framing: Literal["length", "chunked", "close"] = "length"
    length: int | None = None
    """The Content-Length to declare, which may lie."""
    close: bool = False
    """Close the connection afterwards."""
    delay: float = 0.0
    """Seconds until the first byte of the head; NEVER to hang."""
    body_delay: float = 0.0
    """Seconds between the head and the body."""
    rate: float | None = None
    """Bytes of the body a second."""
    cut: int | None = None
    """Close after so many bytes of the body, whatever was promised."""
    reset: bool = False
    """Cut with RST instead of FIN."""
    hold: int | None = None
    """Wait for `gate` after so many bytes of the body."""
    gate: str = ""
    """Wait for `Upstream.open(gate)`: before the head, or where `hold` says."""
    raw: bytes | None = None
    """All bytes of the answer, sent as they are; the connection is closed afterwards."""

    def but(self, **changes: Any) -> Answer:
        """This answer with other fields."""
        return replace(self, **changes)

    def plus(self, **headers: str) -> Answer:
        """This answer with more headers: `x_ratelimit="1"` is `x-ratelimit: 1`."""
        return replace(
            self, headers={**self.headers, **{n.replace("_", "-").lower(): v for n, v in headers.items()}}
        )


def document(
    body: bytes, media_type: str = "application/octet-stream", *, etag: str | None = "", **faults: Any
) -> Answer:
    """A body with its media type and a strong ETag: of its own (the default), as given, or none."""
    headers = {"content-type": media_type}
    if etag is not None:
        headers["etag"] = etag or f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Answer(body=body, headers=headers, **faults)


def redirect(url: str, status: int = 302) -> Answer:
    return Answer(status=status, headers={"location": url})


def absent() -> Answer:
    return Answer(status=404, body=b"not found", headers={"content-type": "text/plain"})


@dataclass(frozen=True, slots=True)
class Paths:
    """A handler: `answers` by path, and each other path as its own text."""

    answers: Mapping[str, Answer] = field(default_factory=dict)

    def __call__(self, asked: Asked) -> Answer:
        return self.answers.get(asked.path) or document(asked.path.encode(), "text/plain")


def is_unchanged(asked: Asked, answer: Answer) -> bool:
    """Whether the condition of a request lets it be answered with 304."""
    if not answer.conditions or answer.status != 200 or asked.method not in ("GET", "HEAD"):
        return False
    wanted = asked.headers.get("if-none-match")
    if wanted is not None:
        etag = answer.headers.get("etag")
        known = [one.strip().removeprefix("W/") for one in wanted.split(",")]
        return etag is not None and (etag.removeprefix("W/") in known or wanted == "*")
    since = asked.headers.get("if-modified-since")
    return since is not None and since == answer.headers.get("last-modified")


def wanted_range(asked: Asked, answer: Answer, size: int) -> tuple[int, int] | None:
    """First and last+1 byte of a single range; (size, size) for an unsatisfiable one; None to send all."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.headers.get("range", ""))
    if found is None or not answer.ranges or answer.status != 200 or asked.method != "GET":
        return None
    condition = asked.headers.get("if-range")
    if condition is not None and condition not in (
        answer.headers.get("etag"),
        answer.headers.get("last-modified"),
    ):
        return None
    first, last = found.groups()
    if first:
        start, end = int(first), min(size, int(last) + 1) if last else size
    elif last:
        start, end = max(0, size - int(last)), size
    else:
        return None
    return (start, end) if start < end else (size, size)
