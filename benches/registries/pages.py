"""What the web pages cost: the dashboard's CPU, and how soon a browser shows something."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benches.registries import seed
from benches.registries.gates import Check
from benches.registries.generators import LoadFailed
from benches.registries.measure import Watch
from benches.registries.rivals import NORA, Running
from benches.registries.seed import Sizes
from benches.registries.wire import Wire

CHROMIUM = "/usr/bin/chromium"
PAGES = {"dashboard": "/ui/", "format": "/ui/formats/docker", "search": "/ui/search?q=app"}
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint').map(one => one.startTime)"
STORE = Sizes(rounds=1, seconds=1, warmup=0, images=50, tags=1_000, small_blobs=10, large_blobs=1, jobs=1)


@dataclass(frozen=True, slots=True)
class Amounts:
    """How often the dashboard is rendered, and each page loaded by a browser without a cache."""

    renders: int = 300
    loads: int = 9


SMOKE = Amounts(renders=50, loads=3)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """CPU of a dashboard (ms), and the median time to the first contentful paint of each page (ms)."""
    amounts = SMOKE if smoke else Amounts()
    with NORA.running(place) as server:
        seed.fill(server.address, STORE)
        cpu = _dashboard(server, amounts.renders)
        painted = {name: statistics.median(_paints(server, path, amounts)) for name, path in PAGES.items()}
    return [
        Check("CPU of the dashboard", cpu * 1000, "ms", 10),
        *(
            Check(f"first contentful paint of the page: {name}", value, "ms", 300)
            for name, value in painted.items()
        ),
    ]


def _dashboard(server: Running, renders: int) -> float:
    """Seconds of CPU for each."""
    with Wire(server.address, headers="Accept: text/html\r\n") as wire:
        wire.ask("GET", PAGES["dashboard"]).expect(200)  # templates are loaded by the first
        with Watch(server.process.pid) as watch:
            for _ in range(renders):
                wire.ask("GET", PAGES["dashboard"]).expect(200)
    return watch.cpu / renders


def _paints(server: Running, path: str, amounts: Amounts) -> Iterator[float]:
    from playwright.sync_api import Error, sync_playwright

    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for number in range(amounts.loads + 1):
                page = browser.new_context().new_page()  # with nothing of the others
                page.goto(f"{server.url}{path}", wait_until="load")
                while not (painted := page.evaluate(FIRST_PAINT)):
                    page.wait_for_timeout(10)
                if number:  # the first one starts processes of the browser
                    yield painted[0]
                page.context.close()
            browser.close()
    except Error as error:
        raise LoadFailed(f"the browser: {error.message[:300]}") from error
