"""Between a client and NORA: what was asked and answered, and answers that get lost on the way back.

relay = Relay(nora.url)
with relay.running() as up:
    twine("upload", "--repository-url", f"{up.url}/legacy/", …)
    assert [one.status for one in up.log.of("POST")] == [200]
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

from tests.support.answers import Answer, Asked
from tests.support.upstream import Upstream, upstream

_OF_THE_HOP = {"connection", "content-length", "transfer-encoding", "date", "keep-alive"}


@dataclass(slots=True)
class Relay:
    """A handler of `Upstream.mount` that asks `url`."""

    url: str
    lost: list[Answer] = field(default_factory=list)
    """What the next POSTs are answered with, after NORA has answered them."""
    kinds: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path and NORA's status, in the order of the answers."""

    def __call__(self, asked: Asked) -> Answer:
        headers = {name: value for name, value in asked.headers.items() if name not in ("host", *_OF_THE_HOP)}
        # A Request of its own: a client would add headers.
        request = httpx.Request(
            asked.method, self.url + asked.target, headers=headers, content=asked.body or None
        )
        with httpx.Client(trust_env=False, timeout=60) as client:
            found = client.send(request, stream=True)
            body = b"".join(found.iter_raw())
        self.kinds.append((asked.method, asked.path, found.status_code))
        if asked.method == "POST" and self.lost:
            return self.lost.pop(0)
        headers = {name: value for name, value in found.headers.items() if name not in _OF_THE_HOP}
        declared = found.headers.get("content-length") if asked.method == "HEAD" else None
        length = None if declared is None else int(declared)
        return Answer(
            status=found.status_code,
            body=body,
            headers=headers,
            length=length,
            ranges=False,
            conditions=False,
        )

    def statuses(self, method: str = "GET") -> list[int]:
        return [status for one, _, status in self.kinds if one == method]

    @contextlib.contextmanager
    def running(self) -> Iterator[Upstream]:
        with upstream() as server:
            server.mount("/", self)
            yield server
