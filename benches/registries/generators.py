"""The load generators: wrk for GET, ab for HEAD, and our own clients where neither can do it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benches.registries import measure
from benches.registries.rivals import StartFailed
from benches.registries.wire import Address

GRACE_SECONDS = 60.0
AB_LIMIT = 1_000_000


class LoadFailed(Exception):
    """A load met an error, an unexpected status or a wrong length: it has no number."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a generator did: operations and body bytes, latency in µs, its own CPU time in seconds."""

    operations: int
    seconds: float
    body_bytes: int
    p50_us: float
    p99_us: float
    generator_cpu: float
    generator_threads: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """GETs of these paths by turns, each of which must answer 200 with ``length`` bytes.

    ``verify`` checks each answer by itself. Without it (large bodies, which wrk would have to gather)
    only the status of each and the sum of all bytes are checked.
    """

    paths: Sequence[str]
    length: int
    headers: str = ""
    connections: int = 16
    verify: bool = True


# wrk hands over each answer only when `response` is defined, and then it gathers the whole body.
WRK_SCRIPT = """
local paths = {%(paths)s}
local expected = %(length)d
local requests, threads = {}, {}
local turn = 0
bad = 0
function setup(thread)
  thread:set("start", #threads * math.floor(#paths / 2))
  table.insert(threads, thread)
end
function init(args)
  for i, path in ipairs(paths) do requests[i] = wrk.format("GET", path, {%(headers)s}) end
  turn = start
end
function request()
  turn = turn %% #requests + 1
  return requests[turn]
end
%(check)s
function done(summary, latency)
  local wrong = 0
  for _, thread in ipairs(threads) do wrong = wrong + thread:get("bad") end
  local e = summary.errors
  io.stderr:write(string.format(
    '{"requests":%%d,"microseconds":%%d,"bytes":%%d,"errors":%%d,"wrong":%%d,"p50":%%d,"p99":%%d}',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    wrong, latency:percentile(50), latency:percentile(99)))
end
"""
WRK_CHECK = """
function response(status, headers, body)
  if status ~= 200 or #body ~= expected then bad = bad + 1 end
end
"""


def wrk_script(fetch: Fetch) -> str:
    """The Lua script that sends the requests, counts wrong answers and prints one line of JSON."""
    fields = (line.partition(": ") for line in fetch.headers.splitlines())
    return WRK_SCRIPT % {
        "paths": ",".join(f'"{path}"' for path in fetch.paths),
        "length": fetch.length,
        "headers": ",".join(f'["{name}"]="{value}"' for name, _, value in fields),
        "check": WRK_CHECK if fetch.verify else "",
    }


def wrk(url: str, fetch: Fetch, seconds: float) -> Load:
    """Run wrk with one thread, or two where one would be the limit. Raises LoadFailed."""
    threads = 1 if fetch.verify else 2
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(wrk_script(fetch))
        script.flush()
        argv = [
            *(tool("wrk"), f"-t{threads}", f"-c{fetch.connections}", f"-d{max(1, round(seconds))}s"),
            *("--timeout", "30s", "-s", script.name, url),
        ]
        _, report, cpu = _run(argv, seconds)
    told = orjson.loads(report[report.rindex(b"{") :])
    if told["errors"] or told["wrong"] or not told["requests"]:
        raise LoadFailed(f"wrk: {told}")
    body_bytes = told["requests"] * fetch.length
    # Each connection may have one answer under way at the end.
    allowed = fetch.connections * (fetch.length + 4096)
    if not 0 <= told["bytes"] - body_bytes <= told["requests"] * 4096 + allowed:
        raise LoadFailed(f"wrk received {told['bytes']} bytes for {told['requests']} of {fetch.length}")
    seconds = told["microseconds"] / 1e6
    return Load(told["requests"], seconds, body_bytes, told["p50"], told["p99"], cpu, threads)


def ab(url: str, path: str, headers: str, seconds: float, connections: int = 16) -> Load:
    """Run ab with HEAD over kept connections, which wrk cannot do. Raises LoadFailed."""
    with tempfile.TemporaryDirectory(prefix="nora-bench-") as directory:
        table = Path(directory) / "percentiles.csv"
        fields = [part for line in headers.splitlines() for part in ("-H", line)]
        argv = [
            *(tool("ab"), "-q", "-i", "-k", "-c", str(connections), "-t", str(max(1, round(seconds)))),
            *("-n", str(AB_LIMIT), "-e", str(table), *fields, url + path),
        ]
        output, _, cpu = _run(argv, seconds)
        percentiles = parse_ab_percentiles(table.read_text())
    report = parse_ab(output.decode())
    complete = int(report["Complete requests"])
    wrong = [report.get(name, "0") for name in ("Failed requests", "Non-2xx responses", "Write errors")]
    kept = int(report.get("Keep-Alive requests", "0"))
    if any(map(int, wrong)) or not complete or kept < complete * 0.99:
        raise LoadFailed(f"ab: {report}")
    taken = float(report["Time taken for tests"].split()[0])
    return Load(complete, taken, 0, percentiles[50] * 1000, percentiles[99] * 1000, cpu, 1)


def parse_ab(output: str) -> dict[str, str]:
    """The `name: value` lines of ab's report."""
    return dict(re.findall(r"^([A-Z][\w -]+):\s+(\S.*)$", output, re.MULTILINE))


def parse_ab_percentiles(table: str) -> dict[int, float]:
    """ab's `-e` table: percentage to milliseconds."""
    rows = (line.split(",") for line in table.splitlines()[1:])
    return {int(share): float(value) for share, value in rows}


def clients(address: Address, orders: Sequence[dict[str, object]], seconds: float) -> Load:
    """Run one process of `benches.registries.clients` for each order, all beginning together.

    Raises LoadFailed when one of them met an error.
    """
    argv = [sys.executable, "-m", "benches.registries.clients"]
    children = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in orders]
    try:
        for child, order in zip(children, orders, strict=True):
            _tell(child, {**order, "address": address, "seconds": seconds})
        for child in children:
            _hear(child)  # prepared
        for child in children:
            _tell(child, {})
        told = [_hear(child) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                assert pipe is not None
                pipe.close()
    latencies = sorted(latency for report in told for latency in report["latencies"])
    taken = max(report["seconds"] for report in told)
    if not latencies:
        raise LoadFailed("no client finished a single operation")
    return Load(
        len(latencies),
        taken,
        sum(report["bytes"] for report in told),
        measure.percentile(latencies, 0.50),
        measure.percentile(latencies, 0.99),
        sum(report["cpu"] for report in told),
        len(orders),
    )


def _tell(child: subprocess.Popen[bytes], message: dict[str, object]) -> None:
    assert child.stdin is not None
    child.stdin.write(orjson.dumps(message) + b"\n")
    child.stdin.flush()


def _hear(child: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert child.stdout is not None
    line = child.stdout.readline()
    message: dict[str, Any] = orjson.loads(line) if line else {"error": "a client died"}
    if "error" in message:
        raise LoadFailed(str(message["error"]))
    return message


def tool(name: str) -> str:
    """The path of a program. Raises StartFailed when it is not installed."""
    if not (found := shutil.which(name)):
        raise StartFailed(f"{name} is not installed")
    return found


def _run(argv: Sequence[str], seconds: float) -> tuple[bytes, bytes, float]:
    """Run a program; its output, its errors and its CPU time in seconds."""
    before = os.times()
    try:
        done = subprocess.run(argv, capture_output=True, timeout=seconds + GRACE_SECONDS, check=True)
    except subprocess.SubprocessError as error:
        output = getattr(error, "stderr", b"") or getattr(error, "stdout", b"") or b""
        raise LoadFailed(f"{argv[0]}: {error}: {output[-500:].decode(errors='replace')}") from error
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return done.stdout, done.stderr, cpu
