"""Collections that are killed, and that run beside pushes (spec lines 32 and 33)."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nora.blobs.base import Expect
from nora.blobs.layout import SHARDS, Layout
from nora.blobs.local import LocalBlobStore
from nora.catalog.sqlite import SQLiteCatalog
from tests.contracts.catalog import HOSTED, layer, release, with_blob
from tests.faults.collecting import MOMENTS
from tests.faults.ledger import sha256
from tests.faults.wire import Answer, Wire
from tests.support.catalogs import prepare_catalog
from tests.support.oci import CONFIG, IMAGE, LAYER, describe, render
from tests.support.server import Server, running

pytestmark = pytest.mark.slow


# -- killed ------------------------------------------------------------------------------------------------


async def fill(folder: Path) -> set[str]:
    """A store with garbage of every kind in it; the digests that are needed."""
    layout = Layout(folder)
    layout.create()
    prepare_catalog(layout.catalog)
    catalog = SQLiteCatalog.open(layout.catalog)
    with closing(LocalBlobStore(layout, reserve_bytes=0, durable="none")) as store:
        hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
        kept = set()
        for number in range(20):
            for content in (f"layer {number}", f"loose {number}"):
                async with store.ingest(content.encode(), Expect()) as new:
                    new.settle(await catalog.add_blob(new.blob, hosted, "app", 0.0))
            async with store.ingest(f"stray {number}".encode(), Expect()):
                pass
            async with store.ingest(f"manifest {number}".encode(), Expect()) as new:
                made = release(hosted, "app", f"manifest {number}", needs=(layer(f"layer {number}"),))
                new.settle((await catalog.publish(with_blob(made, new.blob), 0.0))[0])
            kept |= {sha256(f"{what} {number}".encode()) for what in ("layer", "manifest")}
    await catalog.close()
    return kept


def rows(folder: Path) -> dict[tuple[str, int], str]:
    """The states of objects that rows name."""
    with closing(sqlite3.connect(Layout(folder).catalog)) as db:
        found = db.execute("SELECT digest, generation, state FROM blob").fetchall()
    return {(digest, generation): state for digest, generation, state in found}


def objects(folder: Path) -> set[tuple[str, int]]:
    layout = Layout(folder)
    return {(str(one.digest), one.generation) for shard in SHARDS for one in layout.list_objects(shard)}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_collection_may_be_killed_at_any_moment(tmp_path: Path, moment: str) -> None:
    kept = asyncio.run(fill(tmp_path))
    time.sleep(1.1)  # a stray is older than the delay that it is given

    def collect(moment: str) -> int:
        command = [sys.executable, "-m", "tests.faults.collecting", str(tmp_path), moment]
        return subprocess.run(command, check=False).returncode

    assert collect(moment) == (0 if moment == "done" else -9)
    known = rows(tmp_path)
    live = {name for name, state in known.items() if state == "live"}
    assert live <= objects(tmp_path), "no row that is found leads to nothing"
    assert kept <= {digest for digest, _ in live}
    assert collect("done") == 0
    assert {digest for digest, _ in objects(tmp_path)} == kept
    assert objects(tmp_path) == rows(tmp_path).keys()


# -- beside pushes -----------------------------------------------------------------------------------------

WORKERS = 4
CLIENTS = 12
LAYERS = [
    random.Random(number).randbytes(size) for number, size in enumerate([10, 3000, 70_000, 200_000] * 3)
]
CONFIG_BYTES = b"{}"
ENV = {
    "NORA_GC_ENABLED": "true",
    "NORA_GC_INTERVAL": "1",
    "NORA_GC_GRACE": "0",
    "NORA_GC_LEASE": "0",
    "NORA_GC_UNLINK_DELAY": "2",
}
"""No lease at all: what is not in a manifest is garbage as soon as it is there."""


@dataclass
class Race:
    """Clients that push images of layers which they share, while these are collected all the time."""

    wire: Wire
    until: float
    pushed: int = 0
    refused: int = 0
    skipped: int = 0
    mounted: int = 0
    problems: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def client(self, number: int) -> None:
        dice = random.Random(number)
        while time.monotonic() < self.until:
            name, other = dice.sample(["race/a", "race/b", "race/c"], 2)
            chosen = dice.sample(LAYERS, 3)
            manifest = self._manifest(chosen)
            answer = await self._push(dice, name, other, chosen, manifest)
            if answer.status != 201:
                self.refused += 1
                if answer.code not in {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"}:
                    self.problems.append(f"push: {answer}")
                continue
            self.pushed += 1
            await asyncio.sleep(dice.random() * 3)
            await self._pull(name, manifest)
            if dice.random() < 0.8:
                path = f"/v2/{name}/manifests/{sha256(manifest)}"
                if (gone := await self.wire.call("DELETE", path)).status != 202:
                    self.problems.append(f"delete: {gone}")

    def _manifest(self, layers: list[bytes]) -> bytes:
        document = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": describe(CONFIG_BYTES, CONFIG),
            "layers": [describe(one, LAYER) for one in layers],
            "annotations": {"number": str(next(self.numbers))},
        }
        return render(document)

    async def _push(
        self, dice: random.Random, name: str, other: str, layers: list[bytes], manifest: bytes
    ) -> Answer:
        for content in (CONFIG_BYTES, *layers):
            digest = sha256(content)
            path = f"/v2/{name}/blobs/{digest}"
            if dice.random() < 0.7 and (await self.wire.call("HEAD", path)).status == 200:
                self.skipped += 1
                continue
            if dice.random() < 0.5:
                path = f"/v2/{name}/blobs/uploads/?mount={digest}&from={other}"
                answer = await self.wire.call("POST", path)
                if answer.status == 201:
                    self.mounted += 1
                    continue
                location = answer.headers["location"]
                joint = "&" if "?" in location else "?"
                answer = await self.wire.call("PUT", f"{location}{joint}digest={digest}", content)
            else:
                answer = await self.wire.call("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", content)
            if answer.status != 201:
                self.problems.append(f"upload: {answer}")
        path = f"/v2/{name}/manifests/{sha256(manifest)}"
        return await self.wire.call("PUT", path, manifest, {"content-type": IMAGE})

    async def _pull(self, name: str, manifest: bytes) -> None:
        answer = await self.wire.call("GET", f"/v2/{name}/manifests/{sha256(manifest)}")
        if (answer.status, answer.body) != (200, manifest):
            self.problems.append(f"manifest: {answer}")
        document = json.loads(manifest)
        for one in (document["config"], *document["layers"]):
            answer = await self.wire.call("GET", f"/v2/{name}/blobs/{one['digest']}")
            if answer.status != 200 or sha256(answer.body) != one["digest"]:
                self.problems.append(f"blob: {answer.status} {len(answer.body)} of {one['size']}")


async def command_again_and_again(server: Server, until: float) -> None:
    """Another process that collects, beside the server's own job."""
    while time.monotonic() < until:
        command = [sys.executable, "-m", "nora", "gc", "--apply"]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=server.data, env=server.environment(), stdout=subprocess.DEVNULL
        )
        assert await process.wait() == 0


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.full)])
def test_pushes_beside_collections_lose_nothing(tmp_path: Path, seconds: int) -> None:
    with running(tmp_path, workers=WORKERS, env=ENV) as server:

        async def run() -> Race:
            race = Race(Wire(server.host, server.port), time.monotonic() + seconds)
            clients = [race.client(number) for number in range(CLIENTS)]
            await asyncio.gather(command_again_and_again(server, race.until), *clients)
            return race

        race = asyncio.run(run())
        assert not race.problems, race.problems[:5]
        assert race.pushed > seconds
        assert race.skipped
        assert race.mounted
        with closing(sqlite3.connect(Layout(server.storage).catalog)) as db:
            (given,) = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'blob'").fetchone()
            (left,) = db.execute("SELECT count(*) FROM blob").fetchone()
        assert given > left, "something was collected meanwhile"
