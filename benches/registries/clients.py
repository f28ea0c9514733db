"""One client process: prepares its content, waits for the signal, then pushes, or replays a CI job.

It reads an order (one line of JSON), answers a line when it is prepared, reads a line as the signal to
begin, and answers one line: how long each operation took in µs, bytes moved, CPU time in seconds.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from benches.registries import seed
from benches.registries.seed import LARGE, SMALL, Blob, Image
from benches.registries.wire import LAST_CHUNK, Wire, WireError, framed

# Blobs are hashed before the clock starts: this many for each second of the load.
PREPARED_SMALL = 1500
PREPARED_LARGE = 100
PULLS_OF_FOUR = 3
# Lengths are checked always, digests in some of the pulls: hashing all would make the client the limit.
VERIFY_EVERY = 16

Operation = Callable[[], int]


def unique_blobs(size: int, count: int) -> Iterator[tuple[bytes, bytes, str]]:
    """Blobs as (common head, own tail, digest): hashing the head once makes the large ones cheap."""
    head, salt = os.urandom(size - 32), os.urandom(24)
    common = hashlib.sha256(head)
    for number in range(count):
        tail = salt + number.to_bytes(8)
        hasher = common.copy()
        hasher.update(tail)
        yield head, tail, f"sha256:{hasher.hexdigest()}"


def small_pushes(wire: Wire, seconds: float) -> Iterator[Operation]:
    """POST and PUT of a new 1 KiB blob."""
    ready = list(unique_blobs(SMALL, int(PREPARED_SMALL * seconds)))

    def push(head: bytes, tail: bytes, digest: str) -> int:
        seed.push_blob(wire, "bench/pushes", Blob(head + tail, digest))
        return SMALL

    yield from (functools.partial(push, *item) for item in ready)


def large_pushes(wire: Wire, seconds: float) -> Iterator[Operation]:
    """POST, PATCH as a stream and PUT of a new 16 MiB blob."""
    ready = list(unique_blobs(LARGE, int(PREPARED_LARGE * seconds)))
    frames = framed(ready[0][0])

    def push(tail: bytes, digest: str) -> int:
        body = [*frames, b"%x\r\n%b\r\n" % (len(tail), tail), LAST_CHUNK]
        seed.push_streamed(wire, "bench/pushes", digest, body)
        return LARGE

    yield from (functools.partial(push, tail, digest) for _, tail, digest in ready)


def jobs(wire: Wire, seconds: float, *, number: int, images: int) -> Iterator[Operation]:
    """CI jobs without end: three pull for each that pushes."""
    prepared = [seed.app(index) for index in range(images)]
    caches = [seed.cache(index) for index in range(images)]
    turn = number
    while True:
        index = turn % images
        if turn % (PULLS_OF_FOUR + 1) < PULLS_OF_FOUR:
            verify = turn % VERIFY_EVERY == 0
            yield functools.partial(pull_job, wire, index, prepared[index], caches[index], verify=verify)
        else:
            yield functools.partial(push_job, wire, f"{number}-{turn}", prepared[index])
        turn += 1


def pull_job(wire: Wire, index: int, app: Image, cache: Image, *, verify: bool) -> int:
    """What docker pull asks for, then what BuildKit's cache import asks for."""
    wire.ask("GET", "/v2/").expect(200)
    base = f"/v2/{seed.APPS}"
    head = wire.ask("HEAD", f"{base}/manifests/v{index}", seed.ACCEPT).expect(200)
    if head.headers.get("docker-content-digest") != app.manifest.digest:
        raise WireError(f"HEAD v{index} names another digest")
    moved = _get(wire, f"{base}/manifests/{app.manifest.digest}", app.manifest, seed.ACCEPT, verify)
    for content in (app.config, *app.layers):
        moved += _get(wire, f"{base}/blobs/{content.digest}", content, "", verify)
    wire.ask("HEAD", f"{base}/manifests/cache{index}", seed.ACCEPT).expect(200)
    moved += _get(wire, f"{base}/manifests/{cache.manifest.digest}", cache.manifest, seed.ACCEPT, verify)
    for content in (cache.config, cache.layers[-1]):
        moved += _get(wire, f"{base}/blobs/{content.digest}", content, "", verify)
    return moved


def push_job(wire: Wire, key: str, base: Image) -> int:
    """What docker push sends for two new layers on a base, then what BuildKit's cache export sends."""
    wire.ask("GET", "/v2/").expect(200)
    salt = os.urandom(16)
    layers = [Blob.of(salt + layer.data[16:]) for layer in base.layers[1:3]]
    config = Blob.of(salt + base.config.data[16:])
    moved = 0
    for layer in base.layers[3:]:
        wire.ask("HEAD", f"/v2/{seed.APPS}/blobs/{layer.digest}").expect(200)
    for content in (*layers, config):
        wire.ask("HEAD", f"/v2/{seed.APPS}/blobs/{content.digest}").expect(404)
        seed.push_streamed(wire, seed.APPS, content.digest, [*framed(content.data), LAST_CHUNK])
        wire.ask("HEAD", f"/v2/{seed.APPS}/blobs/{content.digest}").expect(200)
        moved += len(content.data)
    pushed = seed.image(config, [*layers, *base.layers[3:]])
    seed.put_manifest(wire, seed.APPS, f"job-{key}", pushed)
    cache_config = Blob.of(os.urandom(seed.CONFIG_SIZE))
    for content in layers:
        wire.ask("HEAD", f"/v2/{seed.APPS}/blobs/{content.digest}").expect(200)
    wire.ask("HEAD", f"/v2/{seed.APPS}/blobs/{cache_config.digest}").expect(404)
    seed.push_blob(wire, seed.APPS, cache_config)
    export = seed.image(cache_config, layers, cache=True, index=salt[0] % 2 == 0)
    seed.put_manifest(wire, seed.APPS, f"cache-{key}", export)
    return moved + seed.CONFIG_SIZE


def _get(wire: Wire, path: str, content: Blob, headers: str, verify: bool) -> int:
    answer = wire.ask("GET", path, headers, keep=False, digest=verify).expect(200)
    if answer.size != len(content.data):
        raise WireError(f"{path}: {answer.size} bytes instead of {len(content.data)}")
    if verify and f"sha256:{answer.sha256}" != content.digest:
        raise WireError(f"{path}: wrong bytes")
    return answer.size


def run(operations: Iterator[Operation], seconds: float) -> dict[str, object]:
    """Do operations until the time is over; one that began is finished and counted."""
    latencies: list[int] = []
    moved = 0
    cpu, start = time.process_time(), time.perf_counter_ns()
    end = start + int(seconds * 1e9)
    begun = start
    for operation in operations:
        moved += operation()
        done = time.perf_counter_ns()
        latencies.append((done - begun) // 1000)
        begun = done
        if done >= end:
            break
    else:
        return {"error": "the prepared content ran out before the time did"}
    taken = (time.perf_counter_ns() - start) / 1e9
    return {
        "latencies": latencies,
        "seconds": taken,
        "bytes": moved,
        "cpu": time.process_time() - cpu,
    }


def main() -> None:
    """Serve one order on standard input and output."""
    order: dict[str, Any] = orjson.loads(sys.stdin.buffer.readline())
    seconds = order["seconds"]
    host, port = order["address"]
    with Wire((host, port), keep_alive=order["kind"] != "jobs") as wire:
        match order["kind"]:
            case "small":
                operations = small_pushes(wire, seconds)
            case "large":
                operations = large_pushes(wire, seconds)
            case _:
                operations = jobs(wire, seconds, number=order["number"], images=order["images"])
        first = next(operations)  # what is prepared is prepared now
        _answer({})
        sys.stdin.buffer.readline()
        try:
            _answer(run(_chain(first, operations), seconds))
        except (OSError, WireError) as error:
            _answer({"error": f"{order['kind']}: {type(error).__name__}: {error}"})


def _chain(first: Operation, rest: Iterator[Operation]) -> Iterator[Operation]:
    yield first
    yield from rest


def _answer(message: dict[str, object]) -> None:
    sys.stdout.buffer.write(orjson.dumps(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
