"""What it costs to know who is asking, and what guessing passwords costs those who know theirs."""

from __future__ import annotations

import base64
import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from benches.registries import generators, measure, seed, storm
from benches.registries.gates import ACCESS_RATES, ACCESS_STORMS, Check
from benches.registries.generators import Fetch, LoadFailed
from benches.registries.measure import Watch
from benches.registries.rivals import CORES, NORA, Command, Running, StartFailed
from benches.registries.wire import Wire, WireError

USER, PASSWORD = "bench", "a password of the bench"
COST = "12"
PUBLIC, PRIVATE = "public/app", "bench/app"
GUESSES_A_SECOND = 50

CONFIG = """\
[auth]
enabled = true
htpasswd_file = "{users}"

[rate_limit]
enabled = {limits}

[repositories.public]
format = "docker"
anonymous_read = true
"""


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many rounds of how many seconds: of each way to say who asks, and before and during guesses.

    All loads of the rates together are shorter than a password is remembered (a minute).
    """

    rate_rounds: int = 5
    rate_seconds: float = 2.0
    storm_rounds: int = 3
    storm_seconds: float = 5.0


SMOKE = Amounts(rate_rounds=1, rate_seconds=1, storm_rounds=1, storm_seconds=1)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """Rates beside the anonymous one, with limits off; p99 beside that before guesses, with the default."""
    amounts = SMOKE if smoke else Amounts()
    with _running(place / "rates", limits="false") as (server, token):
        rates = _rates(server, token, amounts)
    with _running(place / "storm", limits='"auto"') as (server, token):
        slower = {count: _slower(server, token, count, amounts) for count in ACCESS_STORMS}
    return [
        *(
            promise.check(measure.paired(rates[way], rates["anonymous"]))
            for way, promise in ACCESS_RATES.items()
        ),
        *(promise.check(slower[count]) for count, promise in ACCESS_STORMS.items()),
    ]


def basic(user: str, password: str) -> str:
    """The header line of a user with a password."""
    return f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}\r\n"


@contextmanager
def _running(place: Path, *, limits: str) -> Iterator[tuple[Running, str]]:
    """NORA with a user and an image in a public and in a private repository; the header line of a token."""
    place.mkdir()
    config = place / "config.toml"
    config.write_text(CONFIG.format(users=place / "users", limits=limits))
    settings = {"NORA_CONFIG_PATH": str(config), "NORA_STORAGE_PATH": str(place / "store")}
    _nora(settings, "user", "add", USER, "--password-stdin", "--cost", COST, told=PASSWORD)

    def command(directory: Path, port: int) -> Command:
        plain = NORA.command(directory, port)
        return Command(plain.argv, {**plain.env, **settings})

    with dataclasses.replace(NORA, command=command).running(place / "store") as server:
        secret = _nora(settings, "token", "create", "--user", "ci", "--role", "write")
        token = f"Authorization: Bearer {secret}\r\n"
        with Wire(server.address, headers=token) as wire:
            for name in (PUBLIC, PRIVATE):
                image = seed.app(0)
                for content in (image.config, *image.layers):
                    seed.push_blob(wire, name, content)
                seed.put_manifest(wire, name, "v0", image)
        yield server, token


def _nora(settings: Mapping[str, str], *arguments: str, told: str = "") -> str:
    """What a command of NORA prints. Raises StartFailed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("NORA_")}
    argv = [sys.executable, "-m", "nora", *arguments]
    done = subprocess.run(
        argv, input=told, env={**env, **settings}, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise StartFailed(f"nora {' '.join(arguments)}: {done.stderr[-500:]}")
    return done.stdout.strip()


def _rates(server: Running, token: str, amounts: Amounts) -> dict[str, list[float]]:
    """Requests a second of each round, one way after the other, another one first each time."""
    headers = {"anonymous": "", "token": token, "password": basic(USER, PASSWORD)}
    ways = [*headers]
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(amounts.rate_rounds):
        shift = number % len(ways)
        for way in (*ways[shift:], *ways[:shift]):
            rates[way].append(_rate(server, headers[way], amounts.rate_seconds))
    return rates


def _rate(server: Running, headers: str, seconds: float) -> float:
    """Raises LoadFailed when wrk was the limit."""
    path = f"/v2/{PUBLIC}/manifests/v0"
    manifest = seed.app(0).manifest.data
    with Wire(server.address, headers=headers) as wire:
        _get(wire, path)  # the first request with a password pays for it
    with Watch(server.process.pid) as watch:
        load = generators.wrk(server.url, Fetch([path], len(manifest), headers + seed.ACCEPT), seconds)
    generator, used = load.generator_cpu / load.seconds, watch.cpu / load.seconds
    if measure.generator_is_limit(generator, load.generator_threads, used, NORA.cores, CORES):
        raise LoadFailed("wrk was the limit")
    return load.operations / load.seconds


def _get(wire: Wire, path: str) -> None:
    answer = wire.ask("GET", path, seed.ACCEPT).expect(200)
    if answer.body != seed.app(0).manifest.data:
        raise WireError(f"{path}: wrong bytes")


def _slower(server: Running, token: str, addresses: int, amounts: Amounts) -> float:
    """How many times the p99 of a client with a token is what it was, while others guess passwords."""
    before, during = [], []
    for _ in range(amounts.storm_rounds):
        before.append(_p99(server, token, amounts.storm_seconds))
        with _guessing(server, addresses, amounts.storm_seconds):
            during.append(_p99(server, token, amounts.storm_seconds))
    return measure.paired(during, before)


def _p99(server: Running, token: str, seconds: float) -> float:
    """Of one client that asks at a fixed pace, in seconds from when a request is sent."""
    with Wire(server.address, headers=token) as wire:
        return measure.paced_p99(lambda: _get(wire, f"/v2/{PRIVATE}/manifests/v0"), seconds)


@contextmanager
def _guessing(server: Running, addresses: int, seconds: float) -> Iterator[None]:
    """Wrong passwords while the body runs. Raises LoadFailed unless each of them was refused."""
    order = {
        "port": server.address[1],
        "path": f"/v2/{PRIVATE}/manifests/v0",
        "rate": GUESSES_A_SECOND,
        "addresses": addresses,
        "seconds": seconds,
    }
    child = subprocess.Popen(
        [sys.executable, "-m", storm.__name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()  # its start would be felt
        child.stdin.write(orjson.dumps(order) + b"\n")
        child.stdin.flush()
        yield
        told, _ = child.communicate(timeout=seconds + 2 * storm.ANSWER_SECONDS)
    finally:
        child.kill()
        child.communicate()
    if not refused(answers := orjson.loads(told or b"{}"), int(GUESSES_A_SECOND * seconds)):
        raise LoadFailed(f"wrong passwords were answered {answers}")


def refused(answers: Mapping[str, int], guesses: int) -> bool:
    """Whether all guesses were answered 401 or 429, and some of them looked at."""
    return answers.get("401", 0) > 0 and answers.get("401", 0) + answers.get("429", 0) == guesses
