"""How much memory NORA takes: idle, with many slow readers, and while a huge layer passes through."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benches.registries import measure, seed
from benches.registries.gates import Check
from benches.registries.measure import Watch
from benches.registries.rivals import NORA, Running
from benches.registries.seed import MIB, Blob
from benches.registries.wire import LAST_CHUNK, Address, Wire, WireError, framed

NAME = "bench/memory"
SETTLE_SECONDS = 3.0
PACE_SECONDS = 0.02
PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many slow readers of how large a layer at what pace; how large the huge layer is (bytes)."""

    readers: int = 100
    layer: int = 100 * MIB
    pace: int = 1_000_000
    huge: int = 3 * 1024 * MIB


SMOKE = Amounts(readers=20, layer=4 * MIB, pace=2_000_000, huge=64 * MIB)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """Idle PSS, growth under slow pulls, growth under one huge push and one huge pull (MiB)."""
    amounts = SMOKE if smoke else Amounts()
    with NORA.running(place / "idle") as server:
        time.sleep(SETTLE_SECONDS)
        idle = measure.pss_bytes(server.process.pid)
    with NORA.running(place / "slow") as server:
        slow = _slow_pulls(server, amounts)
    with NORA.running(place / "huge") as server:
        pushed, pulled = _huge(server, amounts.huge)
    size = f"{amounts.huge // MIB} MiB"
    slow_name = f"growth under {amounts.readers} slow pulls of {amounts.layer // MIB} MiB"
    return [
        Check("idle PSS, one worker", idle / MIB, "MiB", 80, aim=64),
        Check(slow_name, slow / MIB, "MiB", 64),
        Check(f"growth under a streamed push of {size}", pushed / MIB, "MiB", 64),
        Check(f"growth under a streamed pull of {size}", pulled / MIB, "MiB", 64),
    ]


def _slow_pulls(server: Running, amounts: Amounts) -> int:
    layer = seed.blob(amounts.layer, "slow")
    with Wire(server.address) as wire:
        seed.push_streamed(wire, NAME, layer.digest, [*framed(layer.data), LAST_CHUNK])
    time.sleep(SETTLE_SECONDS)
    with Watch(server.process.pid) as watch:
        read_slowly(server.address, f"/v2/{NAME}/blobs/{layer.digest}", layer, amounts)
    return watch.growth


@dataclass(slots=True)
class Reader:
    """One slow client: what it has received so far."""

    connection: socket.socket
    head: bytearray = field(default_factory=bytearray)
    received: int = 0
    hasher: hashlib._Hash = field(default_factory=hashlib.sha256)

    def read(self, allowed: int) -> None:
        """Take what is there, up to ``allowed`` body bytes. Raises WireError when it ends early."""
        while allowed > 0:
            try:
                data = self.connection.recv(min(allowed, PIECE))
            except BlockingIOError:
                return
            if not data:
                raise WireError(f"a slow pull ended after {self.received} bytes")
            body = data if self.received else self._body(data)
            self.hasher.update(body)
            self.received += len(body)
            allowed -= len(data)

    def _body(self, data: bytes) -> bytes:
        self.head += data
        head, found, body = bytes(self.head).partition(b"\r\n\r\n")
        if found and b" 200 " not in head.partition(b"\r\n")[0]:
            raise WireError(f"a slow pull was answered {head[:80]!r}")
        return body


def read_slowly(address: Address, path: str, layer: Blob, amounts: Amounts) -> None:
    """Pull one layer with many clients at a fixed pace (bytes a second) each, and check every byte."""
    readers = [Reader(socket.create_connection(address, timeout=30)) for _ in range(amounts.readers)]
    size = len(layer.data)
    try:
        for reader in readers:
            reader.connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            reader.connection.setblocking(False)
        start = time.monotonic()
        for now in _paces(start, 60 + 2 * size / amounts.pace):
            due = min(size, int((now - start) * amounts.pace))
            for reader in readers:
                reader.read(due - reader.received)
            if all(reader.received == size for reader in readers):
                break
        else:
            raise WireError("the slow pulls did not end in time")
    finally:
        for reader in readers:
            reader.connection.close()
    if any(f"sha256:{reader.hasher.hexdigest()}" != layer.digest for reader in readers):
        raise WireError("a slow pull received wrong bytes")


def _paces(start: float, limit: float) -> Iterator[float]:
    while (now := time.monotonic()) < start + limit:
        yield now
        time.sleep(PACE_SECONDS)


def _huge(server: Running, size: int) -> tuple[int, int]:
    """Growth while a layer is pushed as a stream, and while it is pulled, in bytes."""
    block = seed.blob(64 * MIB, "huge").data
    times = size // len(block)
    hasher = hashlib.sha256()
    for _ in range(times):
        hasher.update(block)
    digest = f"sha256:{hasher.hexdigest()}"
    frames = framed(block) * times
    time.sleep(SETTLE_SECONDS)
    with Wire(server.address, timeout=300) as wire:
        with Watch(server.process.pid) as push:
            seed.push_streamed(wire, NAME, digest, [*frames, LAST_CHUNK])
        with Watch(server.process.pid) as pull:
            answer = wire.ask("GET", f"/v2/{NAME}/blobs/{digest}", keep=False, digest=True).expect(200)
    if f"sha256:{answer.sha256}" != digest:
        raise WireError("the huge layer came back with other bytes")
    return push.growth, max(pull.peak_pss - push.idle_pss, pull.growth)
