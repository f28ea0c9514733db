"""What others feel while a large project page that changes all the time is fetched, parsed and made anew."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benches.registries import generators, measure, rivals, seed, upstreams
from benches.registries.gates import REFRESHES, Check
from benches.registries.generators import LoadFailed
from benches.registries.packages import PAGE_HEADERS
from benches.registries.rivals import Running
from benches.registries.wire import Wire, WireError
from tests.support.answers import Answer, Asked, document
from tests.support.pypi_index import JSON
from tests.support.upstream_process import UpstreamProcess, upstream_process

PATH = f"/simple/{upstreams.MANY}/"


@dataclass(frozen=True, slots=True)
class Amounts:
    """Bytes of the page; how many rounds of how many seconds, before and during refreshes."""

    page: int = 20_000_000
    rounds: int = 5
    seconds: float = 5.0


SETTLE_SECONDS = 3.0
"""After those who ask are gone, the last refresh goes on; what comes next is measured without it."""

SMOKE = Amounts(page=2_000_000, rounds=1, seconds=2)


@dataclass(slots=True)
class Changing:
    """A handler of the upstream: another answer each time."""

    answers: tuple[Answer, ...]
    turn: int = 0

    def __call__(self, asked: Asked) -> Answer:
        """The next one."""
        self.turn += 1
        return self.answers[self.turn % len(self.answers)]


def run(place: Path, *, smoke: bool) -> list[Check]:
    """The p99 of one client that gets a manifest 200 times a second, beside what it was before (ratio)."""
    amounts = SMOKE if smoke else Amounts()
    with upstream_process() as upstream:
        folders = (f"{upstream.url}/{name}" for name in "ab")
        pages = tuple(document(upstreams.page_of(amounts.page, one), JSON) for one in folders)
        upstream.serve(PATH, Changing(pages))
        settings = {"NORA_PYPI_PROXY": f"{upstream.url}/simple", "NORA_PYPI_METADATA_TTL": "0"}
        with rivals.nora(settings=settings).running(place / "store") as server:
            return [REFRESHES.check(_slower(server, upstream, amounts))]


def _slower(server: Running, upstream: UpstreamProcess, amounts: Amounts) -> float:
    image = seed.app(0)
    before, during = [], []
    with Wire(server.address, timeout=300) as wire:
        for content in (image.config, *image.layers):
            seed.push_blob(wire, seed.APPS, content)
        seed.put_manifest(wire, seed.APPS, "v0", image)

        def get() -> None:
            answer = wire.ask("GET", f"/v2/{seed.APPS}/manifests/v0", seed.ACCEPT).expect(200)
            if answer.body != image.manifest.data:
                raise WireError("wrong bytes")

        wire.ask("GET", PATH, PAGE_HEADERS, keep=False).expect(200)  # what it starts is started
        upstream.clear()
        for _ in range(amounts.rounds):
            before.append(measure.paced_p99(get, amounts.seconds))
            with _refreshing(server):
                during.append(measure.paced_p99(get, amounts.seconds))
    if upstream.count("GET", PATH) < amounts.rounds:
        raise LoadFailed(f"a page was refreshed {upstream.count('GET', PATH)} times only")
    return measure.paired(during, before)


@contextmanager
def _refreshing(server: Running) -> Iterator[None]:
    """One client that asks for the page again and again: who asks while nobody does has it refreshed.

    Not as often as it can: while somebody asks, the copy that is there is sent, and quickly.
    """
    headers = [part for line in PAGE_HEADERS.splitlines() for part in ("-H", line)]
    argv = [generators.tool("curl"), "-s", "--rate", "10/s", *headers, f"{server.url}{PATH}?[1-100000]"]
    client = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        client.kill()
        client.wait()
        time.sleep(SETTLE_SECONDS)
