"""Upstreams that end in the middle, that lie and that send something else: nobody gets a wrong file in full,
and nothing of it is kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping

import httpx
import pytest

from tests.faults.downloads import Download, download, eventually
from tests.faults.in_flight import clean
from tests.faults.things import KINDS, MIB, Thing, asking, wheel
from tests.faults.wire import Wire
from tests.support.answers import Answer, Repeated
from tests.support.server import Server, running
from tests.support.upstream_process import UpstreamProcess, upstream_process
from tests.support.waiting import until

pytestmark = pytest.mark.slow
SIZE = 2 * MIB
WORKERS = [
    pytest.param(1, id="1-worker", marks=pytest.mark.full),
    pytest.param(4, id="4-workers"),
]
HALF = SIZE // 2 + 4321

Answers = Callable[[Thing], list[Answer]]


@pytest.fixture(scope="module")
def up() -> Iterator[UpstreamProcess]:
    with upstream_process() as found:
        yield found


@pytest.fixture(scope="module", params=WORKERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, up: UpstreamProcess
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("bodies")
    env = asking(up.url, NORA_CB_ENABLED="false", NORA_PROXY_ABSENT_TTL="0")
    with running(folder, workers=request.param, env=env) as found:
        yield found


@pytest.fixture
def wire(server: Server) -> Wire:
    return Wire(server.host, server.port)


def failures(server: Server) -> float:
    """What the metrics count of files that did not come in as they should."""
    page = httpx.get(f"{server.url}/metrics", trust_env=False).text
    found = re.findall(r"^(nora_[a-z_]+_total)\{([^}]*)\} (\S+)$", page, re.MULTILINE)
    return sum(
        float(value)
        for name, labels, value in found
        if name == "nora_upstream_broken_files_total"
        or (name == "nora_cache_requests_total" and 'result="mismatch"' in labels)
        or (name == "nora_upstream_requests_total" and 'outcome="failed"' in labels)
    )


async def crowd(wire: Wire, thing: Thing, count: int = 8) -> list[Download]:
    """Clients at once: each has the file, or knows that it has not."""
    await thing.announce(wire)
    found = await asyncio.gather(*(Download(wire, thing).run() for _ in range(count)))
    assert [str(one) for one in found if not one.is_honest] == []
    assert all(one.received < thing.size or one.is_whole for one in found)
    return found


async def recovers(server: Server, wire: Wire, up: UpstreamProcess, thing: Thing) -> None:
    """Nothing was kept of what was wrong; the next try has the file, and the one after it is a hit."""
    await clean(server)
    up.clear()
    await download(wire, thing)
    assert up.count("GET", thing.source) == 1, "nothing was cached"
    await download(wire, thing)
    assert up.count("GET", thing.source) == 1
    await clean(server)


RESUMED: Mapping[str, Answers] = {
    "cut": lambda thing: [thing.answer(cut=HALF)],
    "reset": lambda thing: [thing.answer(cut=HALF, reset=True)],
    "cut-at-once": lambda thing: [thing.answer(cut=0)],
    "cut-chunked": lambda thing: [thing.answer(cut=HALF, framing="chunked")],
    "cut-twice": lambda thing: [thing.answer(cut=HALF), thing.answer(cut=100_000)],
}


def sent(up: UpstreamProcess, thing: Thing) -> int:
    return sum(one.sent for one in up.requests("GET", thing.source))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", RESUMED)
def test_what_is_cut_off_is_resumed(
    server: Server, up: UpstreamProcess, wire: Wire, kind: str, fault: str
) -> None:
    """No client notices."""
    thing = KINDS[kind](f"resumed-{fault}", SIZE)
    thing.publish(up)
    faults = RESUMED[fault](thing)
    up.once(thing.source, *faults)

    async def run() -> None:
        found = await crowd(wire, thing)
        assert [str(one) for one in found if not one.is_whole] == []
        asked = [one.headers.get("range") for one in up.requests("GET", thing.source)]
        assert len(asked) == 1 + len(faults), asked
        assert asked[0] is None
        if not faults[0].reset:  # which takes what was on its way
            assert asked[1] == (f"bytes={HALF}-" if faults[0].cut else None)
            # The upstream counts behind what it has sent.
            await until(lambda: sent(up, thing) >= thing.size, "all bytes counted")
            assert sent(up, thing) == thing.size, "no byte is asked for twice"
        await clean(server)

    asyncio.run(run())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_cut_off_begins_anew_where_the_upstream_has_no_ranges(
    server: Server, up: UpstreamProcess, wire: Wire, kind: str
) -> None:
    """Who has read of the first answer is cut: what comes now may be another file."""
    thing = KINDS[kind]("no-ranges", SIZE)
    thing.publish(up)
    up.serve(thing.source, thing.answer(ranges=False))
    up.once(thing.source, thing.answer(ranges=False, cut=HALF))

    async def run() -> None:
        found = await crowd(wire, thing)
        assert all(one.is_right for one in found)
        await eventually(wire, thing)
        assert up.count("GET", thing.source) == 2
        await clean(server)

    asyncio.run(run())


def other(thing: Thing, size: int) -> Answer:
    """The right bytes up to where it ends early, or some more."""
    return thing.answer(body=Repeated(thing.body.block, size))


WRONG: Mapping[str, Callable[[Thing], Answer]] = {
    "other-bytes": lambda thing: thing.wrong(),
    "other-bytes-chunked": lambda thing: thing.wrong(framing="chunked"),
    "other-bytes-until-close": lambda thing: thing.wrong(framing="close"),
    "ends-early": lambda thing: thing.answer(cut=HALF, framing="close"),
    "always-cut": lambda thing: thing.answer(cut=HALF, ranges=False),
    "always-reset": lambda thing: thing.answer(cut=HALF, ranges=False, reset=True),
    "announces-more": lambda thing: thing.answer(length=thing.size + 1000),
    "announces-less": lambda thing: thing.answer(length=thing.size - 1000),
    "is-longer": lambda thing: other(thing, thing.size + 1000),
    "is-longer-chunked": lambda thing: other(thing, thing.size + 1000).but(framing="chunked"),
    "is-shorter": lambda thing: other(thing, thing.size - 1000),
    "is-shorter-chunked": lambda thing: other(thing, thing.size - 1000).but(framing="chunked"),
    "is-a-page": lambda thing: Answer(body=b"<html>Log in</html>", headers={"content-type": "text/html"}),
    "is-empty": lambda thing: thing.answer(body=b""),
    "is-no-http": lambda thing: Answer(raw=b"220 ftp.example.com ready\r\n"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_is_never_whole_and_never_kept(
    server: Server, up: UpstreamProcess, wire: Wire, kind: str, fault: str
) -> None:
    thing = KINDS[kind](f"wrong-{fault}", SIZE)
    thing.publish(up)
    up.serve(thing.source, WRONG[fault](thing))

    async def run() -> None:
        before = failures(server)
        # One client: another one that comes when this has failed begins anew.
        (found,) = await crowd(wire, thing, 1)
        assert not found.is_whole, found
        assert found.received <= thing.size + 1000 - 64 * 1024, "the end is withheld"
        assert found.status in (200, 502, 503), found
        if found.status != 200:
            assert thing.body.block[:16] not in found.error
        await clean(server)  # it is tried more than once
        assert failures(server) > before
        thing.publish(up)
        await recovers(server, wire, up, thing)

    asyncio.run(run())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [100, 50_000])
def test_what_is_small_and_wrong_is_an_error(
    server: Server, up: UpstreamProcess, wire: Wire, kind: str, size: int
) -> None:
    """Not a byte of it is served: there is a status for it."""
    thing = KINDS[kind](f"small-{size}", size)
    thing.publish(up)
    up.once(thing.source, thing.wrong())

    async def run() -> None:
        (found,) = await crowd(wire, thing, 1)
        assert found.status == 502, found
        assert not found.is_cut
        await recovers(server, wire, up, thing)

    asyncio.run(run())


@pytest.mark.parametrize("kind", KINDS)
def test_other_bytes_where_it_is_resumed(server: Server, up: UpstreamProcess, wire: Wire, kind: str) -> None:
    """The halves do not fit: it begins anew, whoever has read of them is cut, and the file is right."""
    thing = KINDS[kind]("halves", SIZE)
    thing.publish(up)
    up.once(thing.source, thing.answer(cut=HALF), thing.wrong())

    async def run() -> None:
        found = await crowd(wire, thing)
        assert not any(one.is_whole and not one.is_right for one in found)
        await eventually(wire, thing)
        asked = [one.headers.get("range") for one in up.requests("GET", thing.source)]
        assert asked == [None, f"bytes={HALF}-", None]
        await clean(server)

    asyncio.run(run())


@pytest.mark.parametrize("says_hash", [True, False], ids=["hash", "no-hash"])
def test_a_file_of_unknown_size(server: Server, up: UpstreamProcess, wire: Wire, says_hash: bool) -> None:
    """Nobody says how long it is: what is cut off is not taken for its end."""
    thing = wheel(f"unknown-{says_hash}".lower(), SIZE, says_size=False, says_hash=says_hash)
    thing.publish(up)
    up.serve(thing.source, thing.answer(framing="chunked"))
    up.once(thing.source, thing.answer(framing="chunked", cut=HALF, ranges=False))

    async def run() -> None:
        found = await crowd(wire, thing)
        assert all(one.is_right for one in found)
        await eventually(wire, thing)
        await clean(server)

    asyncio.run(run())
