"""A raw file that memory has not: sent and received, cut off in the middle and continued there."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from benches.registries import seed
from benches.registries.gates import Check
from benches.registries.measure import Watch
from benches.registries.rivals import NORA
from benches.registries.seed import MIB
from benches.registries.wire import Address, WireError

PATH = "/raw/bench/large.bin"
SETTLE_SECONDS = 3.0
BOUND_MIB = 64
COMMIT_SECONDS = 120.0
"""What half of the file may take to be durable on a slow disk."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many blocks of how many bytes."""

    blocks: int = 6 * 1024 // 8
    block: int = 8 * MIB


SMOKE = Amounts(blocks=8)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """Growth while it goes up and comes down (MiB)."""
    amounts = SMOKE if smoke else Amounts()
    block = bytes(seed.blob(amounts.block, "large").data)
    digest = hashlib.sha256()
    for _ in range(amounts.blocks):
        digest.update(block)
    with NORA.running(place) as server:
        time.sleep(SETTLE_SECONDS)
        with Watch(server.process.pid) as up:
            _upload(server.address, block, amounts.blocks, digest.hexdigest())
        with Watch(server.process.pid) as down:
            _download(server.address, amounts.blocks * len(block), digest.hexdigest())
    growth = max(down.growth, down.peak_pss - up.idle_pss)
    size = f"{amounts.blocks * len(block) // MIB} MiB"
    return [
        Check(f"growth under an upload of {size}, cut and continued", up.growth / MIB, "MiB", BOUND_MIB),
        Check(f"growth under a download of {size}, cut and continued", growth / MIB, "MiB", BOUND_MIB),
    ]


def _connect(address: Address) -> HTTPConnection:
    return HTTPConnection(*address, timeout=600)


def _answer(connection: HTTPConnection, *statuses: int) -> HTTPResponse:
    answer = connection.getresponse()
    if answer.status not in statuses:
        raise WireError(f"expected {statuses}, got {answer.status}: {answer.read(300)!r}")
    return answer


def _upload(address: Address, block: bytes, blocks: int, digest: str) -> None:
    """Half of the file in a connection that ends; what is missing in another one."""
    size = blocks * len(block)
    first = _connect(address)
    first.request("POST", PATH)
    location = _answer(first, 201).headers["location"]
    session = location[location.index("/raw/") :]
    _send(first, session, block, 0, size, until=size // 2 + 12345)
    first.close()
    offset = _offset_of(address, session)
    if offset >= size:
        raise WireError(f"of a cut upload {offset} of {size} bytes are here")
    second = _connect(address)
    _send(second, session, block, offset, size, until=size)
    answer = _answer(second, 201)
    if answer.headers["etag"] != f'"{digest}"':
        raise WireError("the file has other bytes than were sent")
    second.close()


def _offset_of(address: Address, session: str) -> int:
    """How much of an upload is here, once what came before the cut is durable."""
    deadline = time.monotonic() + COMMIT_SECONDS
    while time.monotonic() < deadline:
        connection = _connect(address)
        connection.request("HEAD", session)
        offset = int(_answer(connection, 204).headers["upload-offset"])
        connection.close()
        if offset:
            return offset
        time.sleep(0.2)
    raise WireError(f"nothing of a cut upload was kept within {COMMIT_SECONDS:g} s")


def _send(connection: HTTPConnection, path: str, block: bytes, start: int, size: int, *, until: int) -> None:
    """Say that all bytes from `start` on come, and send those before `until`."""
    connection.putrequest("PUT", path)
    connection.putheader("Content-Length", str(size - start))
    connection.putheader("Content-Range", f"bytes {start}-{size - 1}/{size}")
    connection.endheaders()
    view = memoryview(block)
    while start < until:
        piece = view[start % len(block) :][: until - start]
        connection.send(piece)
        start += len(piece)


def _download(address: Address, size: int, digest: str) -> None:
    """Half of the file from a connection that ends, the rest as `curl -C -` and `wget -c` ask for it."""
    hasher = hashlib.sha256()
    first = _connect(address)
    first.request("GET", PATH)
    answer = _answer(first, 200)
    received = _receive(answer, hasher, size // 2)
    first.close()
    second = _connect(address)
    second.request("GET", PATH, headers={"Range": f"bytes={received}-", "If-Range": answer.headers["etag"]})
    received += _receive(_answer(second, 206), hasher, size)
    second.close()
    if (received, hasher.hexdigest()) != (size, digest):
        raise WireError(f"{received} of {size} bytes came back, or other ones")


def _receive(answer: HTTPResponse, hasher: hashlib._Hash, most: int) -> int:
    received = 0
    while received < most and (piece := answer.read(min(MIB, most - received))):
        hasher.update(piece)
        received += len(piece)
    return received
