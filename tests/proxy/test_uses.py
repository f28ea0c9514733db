"""Uses of what is cached: gathered without a write, recorded in batches, in bounded memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from nora.blobs.layout import Layout
from nora.errors import StorageBusy
from nora.proxy import uses
from nora.proxy.uses import Uses
from tests.proxy.engine import Clock
from tests.support.in_process import application
from tests.support.oci_upstream import OCIUpstream
from tests.support.pypi_index import PyPIIndex
from tests.support.upstream import Upstream
from tests.support.wheels import Release

pytestmark = pytest.mark.anyio


class Catalog:
    """Takes down what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[int, float]] = []
        self.error: Exception | None = None

    async def note_file_uses(self, noted: Mapping[int, float]) -> None:
        if self.error is not None:
            raise self.error
        self.told.append(dict(noted))


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


def seen(catalog: Catalog, clock: Clock, spacing: float = 60.0) -> Uses:
    return Uses(cast("Any", catalog), clock, spacing)


async def test_a_use_is_recorded_later_and_once_in_a_time(catalog: Catalog) -> None:
    clock = Clock(1000.0)
    found = seen(catalog, clock)
    for _ in range(3):
        found.note(1)
        clock.now += 1
    assert catalog.told == []
    await found.flush()
    found.note(1)
    await found.flush()
    assert catalog.told == [{1: 1000.0}]
    clock.now += 60
    found.note(1)
    await found.flush()
    assert catalog.told == [{1: 1000.0}, {1: 1063.0}]


async def test_uses_are_recorded_in_batches(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uses, "BATCH", 2)
    found = seen(catalog, Clock(5.0))
    for number in range(5):
        found.note(number)
    await found.flush()
    assert catalog.told == [{0: 5.0, 1: 5.0}, {2: 5.0, 3: 5.0}, {4: 5.0}]


async def test_only_so_many_uses_wait(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uses, "MOST_WAITING", 2)
    monkeypatch.setattr(uses, "MOST_KNOWN", 3)
    found = seen(catalog, Clock(5.0))
    for number in range(4):
        found.note(number)
    await found.flush()
    for number in range(4):
        found.note(number)
    await found.flush()
    assert [sorted(one) for one in catalog.told] == [[0, 1], [2, 3]], "what was lost is noted at the next use"


async def test_what_could_not_be_recorded_is_noted_at_the_next_use(catalog: Catalog) -> None:
    found = seen(catalog, Clock(5.0))
    found.note(1)
    catalog.error = StorageBusy("too many changes wait")
    with pytest.raises(StorageBusy):
        await found.flush()
    catalog.error = None
    found.note(1)
    await found.flush()
    assert catalog.told == [{1: 5.0}]


def last_uses(folder: Path) -> dict[str, float]:
    """When each file was last used."""
    with closing(sqlite3.connect(Layout(folder / "storage").catalog)) as db:
        return dict(db.execute("SELECT path, coalesce(last_used_at, 0.0) FROM file"))


async def test_the_use_of_a_file_is_recorded_at_a_stop(tmp_path: Path, upstream: Upstream) -> None:
    index, wheel = PyPIIndex(), Release(project="demo").wheel()
    index.add(wheel)
    index.mount(upstream)
    names = [f"demo/{wheel.filename}{end}" for end in ("", ".metadata")]
    told = []
    for _ in range(2):
        async with application(tmp_path, NORA_PYPI_PROXY=f"{upstream.url}/simple") as http:
            for name in names:
                assert (await http.get(f"/simple/{name}")).status_code == 200
        told.append(last_uses(tmp_path))
    for name in names:
        assert 0.0 < told[0][name] < told[1][name]


async def test_the_use_of_a_manifest_is_recorded(tmp_path: Path, upstream: Upstream) -> None:
    registry = OCIUpstream()
    registry.mount(upstream)
    name = f"team/app/manifests/{registry.image('team/app').digest}"
    told = []
    for _ in range(2):
        async with application(tmp_path, NORA_DOCKER_UPSTREAMS=upstream.url) as http:
            assert (await http.get(f"/v2/{name}")).status_code == 200
        told.append(last_uses(tmp_path)[name])
    assert 0.0 < told[0] < told[1]
