"""How long a garbage collection takes beside a server that is read from, and what the readers notice.

    python -m benches.micro.collection [blobs]

Half of the blobs are layers of images, the other half is needed by nothing. A client asks for a manifest
again and again: before, while `nora gc --apply` looks and collects, and while the server removes the objects.
Exits 1 when all of it takes `GATE_SECONDS` for 100,000 blobs, or p99 becomes `GATE_FACTOR` times what it was.
"""

from __future__ import annotations

import asyncio
import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from nora.blobs.base import Expect
from nora.blobs.layout import Layout
from nora.blobs.local import LocalBlobStore
from nora.catalog.records import NewFile, Reference, Release, TagWrite
from nora.catalog.sqlite import SQLiteCatalog
from nora.config import repository_specs
from nora.formats import load_config
from nora.model import Digest
from tests.support.server import Server, running

GATE_SECONDS = 60.0
GATE_FACTOR = 2.0
LAYERS = 50
"""Of an image."""
AT_ONCE = 256
ENV = {"NORA_GC_GRACE": "0", "NORA_GC_LEASE": "0", "NORA_GC_UNLINK_DELAY": "1"}


class Reader(threading.Thread):
    """Asks for a manifest again and again, and notes how long each took."""

    def __init__(self, server: Server, path: str) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection(server.host, server.port)
        self._path = path
        self._seconds: list[float] = []
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            began = time.perf_counter()
            self._connection.request("GET", self._path, headers={"accept": "*/*", "x-anew": "1"})
            answer = self._connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            self._seconds.append(time.perf_counter() - began)
            time.sleep(0.001)

    def end(self) -> None:
        """Ask no more."""
        self._ended.set()
        self.join()

    def take(self) -> list[float]:
        """How long those took that came since the last call."""
        taken, self._seconds = self._seconds, []
        return taken


async def fill(server: Server, count: int) -> None:
    """Half of the blobs needed, half not."""
    config = load_config(server.environment(), server.data)
    layout = Layout(config.storage.path)
    catalog = SQLiteCatalog.open(layout.catalog)
    store = LocalBlobStore(layout, reserve_bytes=0, durable="none", rows=catalog)
    hosted = (await catalog.sync_repositories(repository_specs(config)))["docker-hosted"].id

    async def layer(number: int) -> Digest:
        async with store.ingest(b"%d" % number * 100, Expect()) as new:
            new.settle(await catalog.add_blob(new.blob, hosted, f"app/{number // LAYERS % 500}", 0.0))
            return new.blob.digest

    async def image(number: int) -> None:
        layers = [await layer(number * LAYERS + one) for one in range(LAYERS)]
        async with store.ingest(b'{"image":%d}' % number, Expect()) as new:
            digest = new.blob.digest
            path = f"app/{number % 500}/manifests/{digest}"
            release = Release(
                repository_id=hosted,
                package=f"app/{number % 500}",
                version=digest,
                files=(NewFile(path=path, media_type="application/json", blob=new.blob),),
                references=tuple(Reference(one, "layer", required=True) for one in layers),
                tags=(TagWrite(f"t{number}"),),
            )
            new.settle((await catalog.publish(release, 0.0))[0])

    await _all(partial(image, number) for number in range(count // 2 // LAYERS))
    await _all(partial(layer, number) for number in range(count // 2, count))
    await catalog.close()
    store.close()


async def _all(works: Iterable[Callable[[], Awaitable[object]]]) -> None:
    waiting = iter(works)
    while batch := [*islice(waiting, AT_ONCE)]:
        await asyncio.gather(*(work() for work in batch))


def p99(seconds: list[float]) -> float:
    """In milliseconds."""
    return sorted(seconds)[int(len(seconds) * 0.99)] * 1000


def objects(server: Server) -> int:
    """How many there are on the disk."""
    layout = Layout(server.storage)
    return sum(len(layout.list_objects(f"{number:02x}")) for number in range(256))


def main() -> int:
    """Measure."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with TemporaryDirectory() as folder, running(Path(folder), env=ENV) as server:
        began = time.perf_counter()
        asyncio.run(fill(server, count))
        print(f"{objects(server):,} objects made in {time.perf_counter() - began:.1f} s")
        reader = Reader(server, "/v2/app/0/manifests/t0")
        reader.start()
        time.sleep(5)
        before = p99(reader.take())
        began = time.perf_counter()
        command = [sys.executable, "-m", "nora", "gc", "--apply"]
        done = subprocess.run(
            command, env=server.environment(), cwd=server.data, check=True, capture_output=True, text=True
        )
        collecting, during = time.perf_counter() - began, p99(reader.take())
        print(done.stdout.strip().replace("\n", "; "), done.stderr.strip(), sep="; ")
        left = count // 2 + count // 2 // LAYERS
        while objects(server) > left and time.perf_counter() - began < 600:
            time.sleep(2)
        removing, after = time.perf_counter() - began - collecting, p99(reader.take())
        reader.end()
    total = collecting + removing
    print(f"nora gc --apply: {collecting:.1f} s; until the server had removed them: {removing:.1f} s")
    print(f"p99 of a manifest: {before:.2f} ms before, {during:.2f} ms meanwhile, {after:.2f} ms at removal")
    slow = total > GATE_SECONDS * max(1.0, count / 100_000)
    return int(slow or max(during, after) > GATE_FACTOR * before)


if __name__ == "__main__":
    sys.exit(main())
