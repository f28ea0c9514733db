"""What an upload in many chunks over several workers costs, beside the same bytes in one PATCH."""

from __future__ import annotations

import hashlib
import os
import statistics
from pathlib import Path

from benches.registries import measure, rivals, seed
from benches.registries.gates import Check
from benches.registries.rivals import Running
from benches.registries.seed import MIB
from benches.registries.wire import Wire

NAME = "bench/chunks"
WORKERS = 4
CHUNK = 4 * MIB
CHUNKS, PAIRS = 256, 3
SMOKE_CHUNKS, SMOKE_PAIRS = 16, 1


def run(place: Path, *, smoke: bool) -> list[Check]:
    """The ratio of server CPU. The digest may be computed twice, never once for each chunk."""
    count, pairs = (SMOKE_CHUNKS, SMOKE_PAIRS) if smoke else (CHUNKS, PAIRS)
    with rivals.nora(str(WORKERS), rivals.CORES).running(place / "store") as server:
        _cpu(server, [CHUNK])  # every worker has imported what it needs
        ratios = []
        for _ in range(pairs):
            whole = _cpu(server, [CHUNK * count])
            parts = _cpu(server, [CHUNK] * count)
            ratios.append(parts / whole if whole else float("nan"))
    name = f"CPU of {count} chunks of 4 MiB over {WORKERS} workers beside one PATCH"
    return [Check(name, statistics.median(ratios), "x", 2.2)]


def _cpu(server: Running, lengths: list[int]) -> float:
    """Server CPU of one upload in PATCHes of these lengths, in seconds.

    Each request opens a connection: which worker accepts it is the kernel's choice, and even over many.
    """
    block, salt = os.urandom(CHUNK - 16), os.urandom(16)
    piece = salt + block
    hasher = hashlib.sha256()
    for _ in range(sum(lengths) // CHUNK):
        hasher.update(piece)
    with Wire(server.address, keep_alive=False, timeout=300) as wire:
        before = measure.cpu_seconds(server.process.pid)
        upload = wire.ask("POST", f"/v2/{NAME}/blobs/uploads/").expect(202).location
        offset = 0
        for length in lengths:
            headers = f"Content-Range: {offset}-{offset + length - 1}\r\n"
            body = [piece] * (length // CHUNK)
            upload = wire.ask("PATCH", upload, headers, body).expect(202).location
            offset += length
        seed.put_blob(wire, upload, f"sha256:{hasher.hexdigest()}")
        return measure.cpu_seconds(server.process.pid) - before
