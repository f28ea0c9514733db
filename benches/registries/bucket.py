"""Blobs in a bucket: pushed and pulled through NORA, beside boto3 with the same S3 server."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benches.registries import measure, rivals, seed
from benches.registries.gates import BUCKET, Check
from benches.registries.measure import Watch
from benches.registries.rivals import Running
from benches.registries.seed import MIB
from benches.registries.wire import LAST_CHUNK, Wire, framed
from tests.support.buckets import ACCESS_KEY, SECRET_KEY, S3Server
from tests.support.s3_server import make_bucket, s3_server

NAME = "bench/bucket"
PUSHERS = 4
SETTLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Amounts:
    """How large a blob is (bytes), and how many pairs are measured by turns."""

    size: int = 100 * MIB
    pairs: int = 7


SMOKE = Amounts(size=20 * MIB, pairs=1)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """Ratios of rates, in pairs by turns, and what an upload takes of memory (MiB)."""
    amounts = SMOKE if smoke else Amounts()
    with s3_server(place / "s3") as server:
        for name in ("nora", "direct"):
            make_bucket(server, name)
        through = rivals.nora(settings={**rivals.OFFLINE, **server.environment("nora")})
        redirecting = {**rivals.OFFLINE, **server.environment("nora"), "NORA_STORAGE_S3_REDIRECT": "true"}
        with through.running(place / "nora") as nora:
            pushed = _pushes(nora, _Direct(server), amounts)
            pulled = _pulls(nora, _Direct(server), amounts)
            memory = _memory(nora, amounts)
        with rivals.nora(settings=redirecting).running(place / "nora") as nora:
            redirected = _pulls(nora, _Direct(server), amounts)
    ratios = {**pushed, "pull": pulled, "redirect": redirected}
    return [*(BUCKET[what].check(ratio) for what, ratio in ratios.items()), memory]


class _Direct:
    """Whoever uses the S3 server without NORA, with the client's own defaults."""

    def __init__(self, server: S3Server) -> None:
        import boto3

        self._client: Any = boto3.client(
            "s3",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    def put(self, key: str, data: bytes) -> None:
        self._client.upload_fileobj(io.BytesIO(data), "direct", key)

    def get(self, key: str) -> int:
        """Read it and count the bytes."""
        body = self._client.get_object(Bucket="direct", Key=key)["Body"]
        size = 0
        while piece := body.read(MIB):
            size += len(piece)
        return size


def _pushes(nora: Running, direct: _Direct, amounts: Amounts) -> Mapping[str, float]:
    """Each way of a push: as docker does it, the digest at the end; as containerd and oras do, at first."""
    rates: dict[str, list[float]] = {}
    with Wire(nora.address, timeout=600) as wire:
        for number in range(amounts.pairs + 1):  # the first is a warm-up
            blob = seed.blob(amounts.size, "bucket", number)
            other = seed.blob(amounts.size, "bucket", "named", number)
            frames = [*framed(blob.data), LAST_CHUNK]
            data = bytes(blob.data)
            calls: dict[str, Callable[[], object]] = {
                "push": lambda: seed.push_streamed(wire, NAME, blob.digest, frames),  # noqa: B023
                "direct": lambda: direct.put(f"pushed/{number}", data),  # noqa: B023
                "named-push": lambda: _push_named(wire, other.digest, bytes(other.data)),  # noqa: B023
            }
            for name in list(calls) if number % 2 else reversed(calls):
                seconds = _seconds(calls[name])
                if number or amounts.pairs == 1:
                    rates.setdefault(name, []).append(1 / seconds)
    return {name: measure.paired(rates[name], rates["direct"]) for name in ("push", "named-push")}


def _push_named(wire: Wire, digest: str, data: bytes) -> None:
    upload = wire.ask("POST", f"/v2/{NAME}/blobs/uploads/").expect(202).location
    seed.put_blob(wire, upload, digest, [data])


def _pulls(nora: Running, direct: _Direct, amounts: Amounts) -> float:
    blob = seed.blob(amounts.size, "bucket", 0)
    rates: dict[str, list[float]] = {}
    calls: dict[str, Callable[[], int]] = {
        "nora": lambda: _pull(nora, blob.digest),
        "direct": lambda: direct.get("pushed/0"),
    }
    for number in range(amounts.pairs + 1):
        for name in list(calls) if number % 2 else reversed(calls):
            begun = time.perf_counter()
            if calls[name]() != amounts.size:
                raise rivals.StartFailed("other bytes came than were asked for")
            rates.setdefault(name, []).append(1 / (time.perf_counter() - begun))
    return measure.paired(rates["nora"][1:], rates["direct"][1:])


def _pull(nora: Running, digest: str) -> int:
    """How many bytes came, from here or from where a redirect leads."""
    with Wire(nora.address, timeout=600) as wire:
        answer = wire.ask("GET", f"/v2/{NAME}/blobs/{digest}", keep=False).expect(200, 307)
    if answer.status == 307:
        parts = urlsplit(answer.headers["location"])
        with Wire((str(parts.hostname), int(parts.port or 80)), timeout=600) as wire:
            return wire.ask("GET", f"{parts.path}?{parts.query}", keep=False).expect(200).size
    return answer.size


def _memory(nora: Running, amounts: Amounts) -> Check:
    """What one of some uploads takes that come at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    blobs = [seed.blob(amounts.size, "bucket", "memory", number) for number in range(PUSHERS)]
    frames = [[*framed(blob.data), LAST_CHUNK] for blob in blobs]

    def push(number: int) -> None:
        with Wire(nora.address, timeout=600) as wire:
            seed.push_streamed(wire, NAME, blobs[number].digest, frames[number])

    time.sleep(SETTLE_SECONDS)
    with Watch(nora.process.pid) as watch, ThreadPoolExecutor(PUSHERS) as pushers:
        list(pushers.map(push, range(PUSHERS)))
    size = f"{amounts.size // MIB} MiB"
    return Check(f"growth for each of {PUSHERS} pushes of {size}", watch.growth / PUSHERS / MIB, "MiB", 32)


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
