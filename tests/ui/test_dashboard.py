"""The first page over time: charts of what was kept, for who may see the server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from nora.catalog.history import DAY, HOUR
from nora.catalog.sqlite import SQLiteCatalog
from nora.ui.charts import binary_steps, line, stack
from nora.ui.history import RANGES, last_day, traffic_over
from tests.support.access import PASSWORD, USER, write_users
from tests.support.catalogs import prepare_catalog
from tests.support.in_process import application
from tests.support.tables import each
from tests.ui.test_pages import read

pytestmark = pytest.mark.anyio

NOON = 1_800_000_000 // DAY * DAY + 12 * HOUR


@each(
    "largest, steps",
    [
        (0, [0, 1, 2]),
        (1, [0, 1, 2]),
        (3, [0, 1, 2, 3]),
        (4, [0, 1, 2, 3, 4]),
        (5, [0, 2, 4, 6]),
        (1000, [0, 256, 512, 768, 1024]),
        (3 << 30, [0, 1 << 30, 2 << 30, 3 << 30]),
    ],
)
def test_an_axis_has_three_to_five_labels(largest: float, steps: list[int]) -> None:
    assert binary_steps(largest) == steps


def test_parts_of_a_bar_stand_on_each_other() -> None:
    chart = stack([(1, 3), (0, 0), (2, 0)])
    assert [[(part.y, part.height) for part in bar] for bar in chart.bars] == [
        [(75, 25), (0, 75)],
        [(100, 0), (100, 0)],
        [(50, 50), (50, 0)],
    ]
    assert list(chart.lines) == [100, 75, 50, 25, 0]


@each(
    "values, pieces",
    [
        ([], []),
        ([None, None], []),
        ([5, 5], ["0,50.0 1,50.0"]),
        ([1, 3, 2], ["0,100.0 1,0.0 2,50.0"]),
        ([None, 1, None, 3], ["1,100.0 1,100.0", "3,0.0 3,0.0"]),
    ],
)
def test_a_line_has_a_gap_where_nothing_is_known(values: list[float | None], pieces: list[str]) -> None:
    assert list(line(values)) == pieces


@pytest.mark.parametrize("name", RANGES)
async def test_a_chart_has_what_was_counted_in_its_range(tmp_path: Path, name: str) -> None:
    prepare_catalog(tmp_path / "catalog")
    catalog, chosen = SQLiteCatalog.open(tmp_path / "catalog"), RANGES[name]
    now = NOON + 5 * 60
    names = ("served a here", "served b upstream", "downloads a", "cache a hit", "cache a miss")
    counts = dict.fromkeys(names, 0)
    for at in (chosen.start(now) - 1, chosen.start(now), now - chosen.step, now):
        counts = {key: value + number for number, (key, value) in enumerate(counts.items(), 1)}
        await catalog.record_history("x", counts, {"stored": at}, at)
    found = await traffic_over(catalog, chosen, now)
    filled = [one for one in found.slots if one.downloads]
    assert [(one.here, one.upstream, one.downloads, one.asked, one.spared) for one in filled] == [
        (1, 2, 3, 9, 4)
    ] * 3
    assert len(found.slots) == found.bars.width == chosen.slots
    assert 3 <= len([one for one in found.labels if one]) <= 5
    assert len(found.slots) % chosen.labelled == 0
    await catalog.close()


async def test_what_is_not_noted_stays_as_it_was(tmp_path: Path) -> None:
    prepare_catalog(tmp_path / "catalog")
    catalog = SQLiteCatalog.open(tmp_path / "catalog")
    for hours, stored in ((20, 1), (10, 3), (3, 2)):
        await catalog.record_history("x", {}, {"stored": stored}, NOON - hours * HOUR)
    lines = await last_day(catalog, NOON)
    points = [point.split(",")[1] for point in lines["stored"][0].split(" ")]
    assert points == ["100.0"] * 10 + ["0.0"] * 7 + ["50.0"] * 4
    assert lines["hits"] == ()
    await catalog.close()


async def record(folder: Path) -> None:
    """Traffic of the last days in the catalog of an application."""
    catalog = SQLiteCatalog.open(folder / "storage" / "catalog.sqlite3")
    begun = int(time.time()) - 30 * HOUR
    counts = dict.fromkeys(("served raw here", "served pypi upstream", "downloads raw"), 0)
    for number in range(30):
        counts = {name: value + (number % 7) * 50_000 for name, value in counts.items()}
        levels = {"stored": number, "artifacts": 5}
        await catalog.record_history("x", counts, levels, begun + number * HOUR)
    await catalog.close()


async def test_the_traffic_of_a_range_is_drawn_and_told_in_numbers(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        await http.put("/raw/a.txt", content=b"a")
        nothing = await read(http, "/ui/")
        assert "Nothing was sent to clients in this time." in nothing.text
        await record(tmp_path)
        for name, bars in (("day", 15), ("week", 5), ("month", 2), ("year", 1)):
            page = await read(http, f"/ui/?range={name}&client=pip")
            drawn = [said for tag, said in page.elements if tag == "rect" and said["class"] == "part1"]
            assert len({said["x"] for said in drawn}) >= bars, name
            assert "The same in numbers" in page.text
            assert f"?range={name}&client=pip#traffic" in " ".join(page.values("href")).replace("./", "")
            assert not page.values("style")
        assert (await read(http, "/ui/?range=<b>")).text.count("Nothing was sent") == 0


async def test_the_api_tells_the_same_in_numbers(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        await record(tmp_path)
        for name, chosen in RANGES.items():
            answer = await http.get(f"/api/v1/history?range={name}")
            told = answer.json()
            assert (answer.status_code, told["range"], told["slot_seconds"]) == (200, name, chosen.step)
            slots = told["slots"]
            assert 0 < len(slots) <= chosen.slots
            assert slots[-1]["at"] <= time.time() < slots[-1]["at"] + chosen.step + 1
            assert sum(one["served_here_bytes"] for one in slots) > 0
            assert slots[-1].keys() > {"served_upstream_bytes", "downloads"}
            assert slots[-1]["hit_rate"] is None
            if name in ("day", "week"):  # the server itself notes, too, how much there is
                assert [one for one in slots if one["artifacts"] == 5 and one["stored_bytes"]]
        assert (await http.get("/api/v1/history")).json()["range"] == "day"
        assert (await http.get("/api/v1/history?range=decade")).status_code == 400


async def test_traffic_is_for_who_may_see_the_server(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users", **{USER: PASSWORD})
    said: dict[str, Any] = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(users),
        "NORA_AUTH_PUBLIC_WEB_UI": "true",
    }
    async with application(tmp_path, NORA_PROXY_MODE="offline", **said) as http:
        answer = await http.put("/raw/a.txt", content=b"a", auth=httpx.BasicAuth(USER, PASSWORD))
        assert answer.status_code == 201
        await record(tmp_path)
        page = await read(http, "/ui/?range=week")
    for word in ("Traffic", "Hit rate", "Served", "Artifacts"):
        assert word not in page.text, word
