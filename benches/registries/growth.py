"""How far NORA grows while a huge project page and a huge file pass through the proxy."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import orjson

from benches.registries import rivals, seed, upstreams
from benches.registries.gates import Check
from benches.registries.measure import Watch
from benches.registries.packages import FILE_HEADERS, PAGE_HEADERS
from benches.registries.rivals import Running
from benches.registries.seed import MIB
from benches.registries.wire import Wire, WireError
from tests.support.answers import Answer, Repeated, document
from tests.support.pypi_index import JSON
from tests.support.upstream_process import UpstreamProcess, upstream_process

SETTLE_SECONDS = 3.0
BOUND_MIB = 128
FILE = f"{upstreams.HEAVY}-1.0-py3-none-any.whl"


@dataclass(frozen=True, slots=True)
class Amounts:
    """Bytes of the page and of the file."""

    page: int = 20_000_000
    file: int = 5 * 1024 * MIB


SMOKE = Amounts(page=2_000_000, file=64 * MIB)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """Growth while each comes in and is read again (MiB)."""
    amounts = SMOKE if smoke else Amounts()
    with upstream_process() as upstream:
        nora = rivals.nora(settings={"NORA_PYPI_PROXY": f"{upstream.url}/simple"})
        page = upstreams.page_of(amounts.page, f"{upstream.url}/files")
        upstream.serve(f"/simple/{upstreams.MANY}/", document(page, JSON))
        with nora.running(place / "page") as server:
            page_growth = _page(server, page)
        digest = _serve_file(upstream, amounts.file)
        with nora.running(place / "file") as server:
            file_growth = _file(server, digest)
    return [
        Check(
            f"growth under a project page of {len(page) / 1e6:.0f} MB", page_growth / MIB, "MiB", BOUND_MIB
        ),
        Check(
            f"growth under a file of {amounts.file // MIB} MiB through the proxy",
            file_growth / MIB,
            "MiB",
            BOUND_MIB,
        ),
    ]


def _page(server: Running, page: bytes) -> int:
    """Cold, and then as each kind of client wants it, in bytes."""
    count = len(orjson.loads(page)["files"])
    path = f"/simple/{upstreams.MANY}/"
    time.sleep(SETTLE_SECONDS)
    with Wire(server.address, timeout=300) as wire, Watch(server.process.pid) as watch:
        for headers in (PAGE_HEADERS, PAGE_HEADERS, "Accept: text/html\r\n", f"Accept: {JSON}\r\n"):
            answer = wire.ask("GET", path, headers, keep=False).expect(200)
    if answer.size < count * 300:
        raise WireError(f"{path}: {answer.size} bytes for {count} files")
    return watch.growth


def _serve_file(upstream: UpstreamProcess, size: int) -> str:
    """A project with one huge file; its digest."""
    body = Repeated(bytes(seed.blob(8 * MIB, "huge").data), size)
    digest = body.sha256()
    listed = {"filename": FILE, "url": f"/files/{FILE}", "hashes": {"sha256": digest}, "size": size}
    page = {"meta": {"api-version": "1.1"}, "name": upstreams.HEAVY, "versions": ["1.0"], "files": [listed]}
    upstream.serve(f"/simple/{upstreams.HEAVY}/", document(orjson.dumps(page), JSON))
    upstream.serve(f"/files/{FILE}", Answer(body=body, headers={"etag": f'"{digest[:32]}"'}))
    return digest


def _file(server: Running, digest: str) -> int:
    """Cold and warm, in bytes."""
    base = f"/simple/{upstreams.HEAVY}/"
    with Wire(server.address, timeout=300) as wire:
        wire.ask("GET", base, PAGE_HEADERS).expect(200)
        time.sleep(SETTLE_SECONDS)
        with Watch(server.process.pid) as watch:
            for _ in range(2):
                answer = wire.ask("GET", base + FILE, FILE_HEADERS, keep=False, digest=True).expect(200)
                found = answer.sha256 or hashlib.sha256(answer.body).hexdigest()
                if found != digest:
                    raise WireError("the huge file came with other bytes")
    return watch.growth
