"""One client process that guesses passwords: so many a second, whether they are answered or not.

It says that it is ready, reads an order (one line of JSON), begins, and answers one line when the last guess
has been answered: how many answers there were of each status, and how many guesses had none.
"""

from __future__ import annotations

import asyncio
import base64
import sys
from collections import Counter

import orjson

ANSWER_SECONDS = 30.0
"""A guess may wait for its turn, but not for ever."""
FAILED = "failed"


def guess(number: int, path: str) -> bytes:
    """A request with a wrong password. Each names another user: no name is locked, none is made to wait, so
    that nothing but the limits of addresses and the queue keeps it from costing a whole check."""
    secret = base64.b64encode(f"user{number}:wrong{number}".encode()).decode()
    lines = (f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Basic {secret}", "Connection: close")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def source(number: int, addresses: int) -> str:
    """The loopback address that a guess comes from, by turns. None is 127.0.0.1: that one is a trusted proxy
    by default, and the address of the others whose requests are timed."""
    return f"127.0.1.{1 + number % addresses}"


async def storm(port: int, path: str, rate: float, addresses: int, seconds: float) -> Counter[str]:
    """Guess for so many seconds, then wait for the answers."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    guesses = []
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(start + number / rate - loop.time())
            one = _send(port, guess(number, path), source(number, addresses))
            guesses.append(group.create_task(one))
    return Counter(one.result() for one in guesses)


async def _send(port: int, request: bytes, address: str) -> str:
    """The status of the answer."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
            try:
                writer.write(request)
                answer = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return FAILED
    return answer[9:12].decode("latin-1") or FAILED


def main() -> None:
    """Serve one order on standard input and output."""
    sys.stdout.buffer.write(b"ready\n")
    sys.stdout.buffer.flush()
    order = orjson.loads(sys.stdin.buffer.readline())
    sys.stdout.buffer.write(orjson.dumps(asyncio.run(storm(**order))) + b"\n")


if __name__ == "__main__":
    main()
