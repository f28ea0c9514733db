"""Files on their way: read while they grow, never all of a wrong one, resumed where that is safe."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from nora.catalog.blocks import Block
from nora.catalog.records import Blob, NewBlob
from nora.errors import Blocked, DigestMismatch, NoraError, StorageBusy, StorageFull, UpstreamFailed
from nora.outbound import Headers
from nora.proxy.base import Address
from nora.proxy.fetch_lock import Failure, FetchLock, LeaderState
from nora.proxy.in_flight import WITHHELD_BYTES, InFlightFile
from tests.proxy.engine import Engine, digest_of, engine
from tests.support.answers import Answer, Asked, document
from tests.support.upstream import Upstream, upstream
from tests.support.waiting import until

DATA = os.urandom(3_000_000)
WRONG = os.urandom(3_000_000)

Run = Callable[[Callable[[Engine], Awaitable[None]]], None]


@pytest.fixture
def up() -> Iterator[Upstream]:
    with upstream() as server:
        yield server


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a test with an engine; nothing is left on its way afterwards."""

    def run(body: Callable[[Engine], Awaitable[None]]) -> None:
        async def all_of_it() -> None:
            async with engine(tmp_path / "data") as one:
                async with asyncio.timeout(60):
                    await body(one)
            assert one.leftovers() == []

        asyncio.run(all_of_it())

    return run


async def failure(found: Blob | InFlightFile | None) -> tuple[bytes, NoraError]:
    """What could be read, and why it ended."""
    assert isinstance(found, InFlightFile)
    got = bytearray()
    try:
        async for piece in found.read():
            got += piece
    except NoraError as error:
        return bytes(got), error
    raise AssertionError(f"all {len(got)} bytes could be read")


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("size", [0, 1, WITHHELD_BYTES, WITHHELD_BYTES + 1, 3_000_000])
@pytest.mark.parametrize("known", [True, False])
def test_a_file_is_fetched_once_and_stored(
    up: Upstream, run: Run, framing: str, size: int, known: bool
) -> None:
    data = DATA[:size]
    up.serve("/a", document(data, framing=framing))

    async def body(one: Engine) -> None:
        is_unknown = framing == "close" and not known
        expected = len(data) if is_unknown else None  # else nobody could say whether it is whole
        wanted = one.wanted(f"{up.url}/a", digest=digest_of(data) if known else None, size=expected)
        results = await asyncio.gather(*(one.cache.file(wanted) for _ in range(5)))
        assert [await one.read(found) for found in results] == [data] * 5
        for found in results:
            if isinstance(found, InFlightFile):
                assert (await found.end()) is not None
        stored = await one.cache.file(wanted)
        assert isinstance(stored, Blob)
        assert stored.digest == digest_of(data)
        assert await one.read(stored) == data
        assert one.counted[-1] == ("raw", "hit")

    run(body)
    assert up.log.count("GET") == 1


def test_what_is_there_is_read_while_the_rest_comes_but_for_the_last_64_kib(up: Upstream, run: Run) -> None:
    up.serve("/a", document(DATA, hold=2_000_000, gate="rest"))

    async def body(one: Engine) -> None:
        found = await one.cache.file(one.wanted(f"{up.url}/a", digest=digest_of(DATA)))
        assert isinstance(found, InFlightFile)
        assert found.total == len(DATA)
        pieces = found.read()
        got = bytearray()
        while len(got) < 1_500_000:
            piece = await anext(pieces)
            assert len(piece) <= 65536
            got += piece
        assert bytes(got) == DATA[: len(got)]
        up.open("rest")
        async for piece in pieces:
            got += piece
        assert bytes(got) == DATA
        await found.end()

    run(body)


def test_a_part_can_be_read_before_and_after_it_is_stored(up: Upstream, run: Run) -> None:
    up.serve("/a", document(DATA, hold=1_000_000, gate="rest"))

    async def body(one: Engine) -> None:
        found = await one.cache.file(one.wanted(f"{up.url}/a"))
        assert isinstance(found, InFlightFile)
        part = b"".join([piece async for piece in found.read(500_000, 600_000)])
        assert part == DATA[500_000:600_000]
        up.open("rest")
        await found.end()
        part = b"".join([piece async for piece in found.read(2_900_000, 2_999_999)])
        assert part == DATA[2_900_000:2_999_999]

    run(body)


def test_it_arrives_when_everybody_has_left(up: Upstream, run: Run) -> None:
    up.serve("/a", document(DATA, hold=1_000_000, gate="rest"))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{up.url}/a", digest=digest_of(DATA))
        readers = [asyncio.ensure_future(one.cache.file(wanted)) for _ in range(3)]
        await asyncio.gather(*readers)
        waiting = asyncio.ensure_future(one.read(readers[0].result()))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        up.open("rest")

        async def is_here() -> bool:
            return isinstance(await one.cache.file(wanted), Blob)

        await until(is_here, "the file")
        assert await one.read(await one.cache.file(wanted)) == DATA

    run(body)
    assert up.log.count("GET") == 1


def test_nobody_gets_all_of_a_wrong_file_and_it_is_not_kept(up: Upstream, run: Run) -> None:
    up.serve("/a", document(WRONG))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{up.url}/a", digest=digest_of(DATA))
        got, error = await failure(await one.cache.file(wanted))
        assert len(got) <= len(WRONG) - WITHHELD_BYTES
        assert type(error) is UpstreamFailed
        await _settled(one)
        assert await wanted.find() is None
        assert _objects(one) == []
        up.serve("/a", document(DATA))
        assert await one.read(await one.cache.file(wanted)) == DATA
        await _settled(one)

    run(body)
    assert up.log.count("GET") == 2


@pytest.mark.parametrize("right", [True, False])
def test_what_a_format_finds_wrong_is_nobodys(up: Upstream, run: Run, right: bool) -> None:
    up.serve("/file", Answer(body=DATA))

    def check(path: str) -> bool:
        assert Path(path).read_bytes() == DATA
        return right

    async def body(one: Engine) -> None:
        wanted = replace(one.wanted(f"{up.url}/file"), check=check)
        found = await one.cache.file(wanted)
        if right:
            assert await one.read(found) == DATA
            assert isinstance(found, InFlightFile)
            await found.end()
        else:
            got, error = await failure(found)
            assert len(got) <= len(DATA) - WITHHELD_BYTES
            assert isinstance(error, UpstreamFailed)
            assert (one.repository.format, "mismatch") in one.counted
            assert await wanted.found() is None

    run(body)


@pytest.mark.parametrize(("wrong", "asked"), [(0, 1), (1, 2), (2, 2)])
def test_what_an_upstream_says_elsewhere_is_asked_once_more(
    up: Upstream, run: Run, wrong: int, asked: int
) -> None:
    up.serve("/file", Answer(body=DATA, headers={"x-sum": "right"}))
    told: list[tuple[str, str, str]] = []

    async def confirm(new: NewBlob, address: Address, headers: Headers) -> None:
        told.append((new.digest, address.url, headers["x-sum"]))
        if len(told) <= wrong:
            raise DigestMismatch("it is another file")

    async def body(one: Engine) -> None:
        wanted = replace(one.wanted(f"{up.url}/file"), confirm=confirm)
        found = await one.cache.file(wanted)
        assert isinstance(found, InFlightFile)
        if wrong < 2:
            await found.end()
            assert await wanted.found() is not None
        else:
            _, error = await failure(found)
            assert isinstance(error, UpstreamFailed)
            assert await wanted.found() is None
        await _settled(one)

    run(body)
    assert told == [(digest_of(DATA), f"{up.url}/file", "right")] * asked
    assert up.log.count("GET") == asked


def test_a_small_wrong_file_is_an_error_before_anything_is_read(up: Upstream, run: Run) -> None:
    up.serve("/a", document(WRONG[:1000]))

    async def body(one: Engine) -> None:
        found = await one.cache.file(one.wanted(f"{up.url}/a", digest=digest_of(DATA[:1000])))
        assert isinstance(found, InFlightFile)
        with pytest.raises(UpstreamFailed):
            await found.reaches(1)
        await _settled(one)

    run(body)


@pytest.mark.parametrize("size", [2_999_999, 3_000_001])
def test_a_size_that_is_not_the_announced_one_is_refused(up: Upstream, run: Run, size: int) -> None:
    up.serve("/a", document(DATA))

    async def body(one: Engine) -> None:
        with pytest.raises(UpstreamFailed, match="announces"):
            await one.cache.file(one.wanted(f"{up.url}/a", size=size))
        await _settled(one)

    run(body)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_file_that_is_too_large_is_not_taken(up: Upstream, run: Run, framing: str) -> None:
    up.serve("/a", document(DATA, framing=framing))

    async def body(one: Engine) -> None:
        with pytest.raises(UpstreamFailed, match="limit"):
            await one.read(await one.cache.file(one.wanted(f"{up.url}/a", max_bytes=1_000_000)))
        await _settled(one)
        assert _objects(one) == []

    run(body)
    assert up.log.count("GET") == 1


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("known", [True, False])
def test_what_is_cut_off_is_resumed(up: Upstream, run: Run, reset: bool, known: bool) -> None:
    """By the digest, or by the validator."""
    cut = document(DATA, cut=1_000_000, reset=reset, etag=None if known else '"1"')
    up.once("/a", cut, cut.but(cut=500_000))
    up.serve("/a", cut.but(cut=None))

    async def body(one: Engine) -> None:
        found = await one.cache.file(one.wanted(f"{up.url}/a", digest=digest_of(DATA) if known else None))
        assert await one.read(found) == DATA
        await _settled(one)

    run(body)
    ranges = [(one.headers.get("range"), one.headers.get("if-range")) for one in up.log.of("GET")]
    assert ranges[0] == (None, None)
    assert len(ranges) == 3
    assert all(wanted is not None and wanted.startswith("bytes=") for wanted, _ in ranges[1:])
    assert {condition for _, condition in ranges[1:]} == {None if known else '"1"'}


def test_without_digest_or_validator_nothing_is_resumed(up: Upstream, run: Run) -> None:
    up.once("/a", document(DATA, cut=1_000_000, etag=None))
    up.serve("/a", document(DATA, etag=None))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{up.url}/a")
        got, _ = await failure(await one.cache.file(wanted))
        assert DATA.startswith(got)
        await _settled(one)
        assert await one.read(await one.cache.file(wanted)) == DATA
        await _settled(one)

    run(body)
    assert [one.headers.get("range") for one in up.log.of("GET")] == [None, None]


def test_a_weak_validator_resumes_nothing(up: Upstream, run: Run) -> None:
    up.once("/a", document(DATA, cut=1_000_000, etag='W/"1"'))

    async def body(one: Engine) -> None:
        await failure(await one.cache.file(one.wanted(f"{up.url}/a")))
        await _settled(one)

    run(body)
    assert up.log.count("GET") == 1


def test_what_has_changed_meanwhile_begins_anew_and_cuts_who_has_read(up: Upstream, run: Run) -> None:
    up.once("/a", document(WRONG, cut=1_000_000, etag='"1"'))
    up.serve("/a", document(DATA, etag='"2"'))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{up.url}/a")
        found = await one.cache.file(wanted)
        got, error = await failure(found)
        assert WRONG.startswith(got)
        assert "anew" in str(error)
        assert isinstance(found, InFlightFile)
        await found.end()
        assert await one.read(await one.cache.file(wanted)) == DATA

    run(body)


def test_a_part_of_another_file_is_not_put_behind_the_first(up: Upstream, run: Run) -> None:
    """A server that answers with a part whatever If-Range says."""
    up.once("/a", document(WRONG, cut=1_000_000, etag='"1"'))

    def answer(asked: Asked) -> Answer:
        found = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        if found is None:
            return document(DATA, etag='"2"')
        start = int(found[1])
        part = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
        headers = {"etag": '"2"', "content-range": part}
        return Answer(status=206, body=DATA[start:], headers=headers, ranges=False)

    up.mount("/a", answer)

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{up.url}/a")
        await failure(await one.cache.file(wanted))
        await _settled(one)
        assert await one.read(await one.cache.file(wanted)) == DATA

    run(body)
    assert up.log.of("GET")[1].headers["if-range"] == '"1"'


def test_who_wants_other_bytes_does_not_get_what_is_on_its_way(up: Upstream, run: Run) -> None:
    """The upstream has replaced the file, and its page says so already."""
    up.once("/a", document(WRONG, rate=2_000_000))
    up.serve("/a", document(DATA))

    async def body(one: Engine) -> None:
        before = await one.cache.file(one.wanted(f"{up.url}/a", digest=digest_of(WRONG)))
        after = one.wanted(f"{up.url}/a", digest=digest_of(DATA))
        assert await one.read(await one.cache.file(after)) == DATA
        assert isinstance(before, InFlightFile)
        await before.end()
        assert await one.read(await one.cache.file(after)) == DATA
        await _settled(one)

    run(body)


def test_an_upstream_without_ranges_is_asked_for_all_of_it_again(up: Upstream, run: Run) -> None:
    up.once("/a", document(DATA, cut=1_000_000, ranges=False))
    up.serve("/a", document(DATA, ranges=False))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{up.url}/a", digest=digest_of(DATA))
        found = await one.cache.file(wanted)
        assert isinstance(found, InFlightFile)
        assert (await found.end()) is not None
        assert await one.read(await one.cache.file(wanted)) == DATA

    run(body)
    assert up.log.count("GET") == 2


def test_a_resumption_that_is_refused_begins_anew(up: Upstream, run: Run) -> None:
    up.once("/a", document(DATA, cut=1_000_000), Answer(status=416))
    up.serve("/a", document(DATA))

    async def body(one: Engine) -> None:
        found = await one.cache.file(one.wanted(f"{up.url}/a", digest=digest_of(DATA)))
        assert isinstance(found, InFlightFile)
        assert (await found.end()) is not None

    run(body)
    assert [one.headers.get("range") is None for one in up.log.of("GET")] == [True, False, True]


def test_a_source_that_always_cuts_is_left_for_the_next_one(up: Upstream, run: Run) -> None:
    up.serve("/bad", document(DATA, cut=1000, ranges=False))
    up.serve("/good", document(DATA))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{up.url}/bad", f"{up.url}/good", digest=digest_of(DATA))
        found = await one.cache.file(wanted)
        assert isinstance(found, InFlightFile)
        assert await one.read(await found.end()) == DATA

    run(body)
    assert 1 < up.log.count("GET", "/bad") < 10
    assert up.log.count("GET", "/good") == 1


def test_a_source_that_lies_is_left_for_the_next_one(up: Upstream, run: Run) -> None:
    up.serve("/bad", document(WRONG[:1000]))
    up.serve("/good", document(DATA[:1000]))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{up.url}/bad", f"{up.url}/good", digest=digest_of(DATA[:1000]))
        assert await one.read(await one.cache.file(wanted)) == DATA[:1000]
        await _settled(one)

    run(body)
    assert up.log.paths("GET") == ["/bad", "/good"]


def test_what_a_source_that_lies_has_left_does_not_spoil_the_next(up: Upstream, run: Run) -> None:
    up.once("/bad", document(WRONG, cut=1_000_000))
    up.serve("/bad", Answer(status=500))
    up.serve("/good", document(DATA))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{up.url}/bad", f"{up.url}/good", digest=digest_of(DATA))
        found = await one.cache.file(wanted)
        assert isinstance(found, InFlightFile)
        assert (await found.end()) is not None
        assert await one.read(await one.cache.file(wanted)) == DATA

    run(body)


def test_what_was_removed_as_soon_as_it_was_stored_is_not_absent(up: Upstream, run: Run) -> None:
    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{up.url}/file")
        claim = FetchLock(one.store.disk, one.scratch.download(wanted.coalescing_key))
        assert await claim.take() is None
        await claim.write(LeaderState())
        asking = asyncio.ensure_future(one.cache.file(wanted))
        await asyncio.sleep(0.1)
        await claim.end(LeaderState(state="done"))
        with pytest.raises(StorageBusy):
            await asking

    run(body)
    assert up.log.requests == []


def test_what_a_leader_had_verified_before_it_died_is_not_fetched_again(up: Upstream, run: Run) -> None:
    up.serve("/file", Answer(body=WRONG))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{up.url}/file")
        claim = FetchLock(one.store.disk, one.scratch.download(wanted.coalescing_key))
        assert await claim.take() is None
        Path(one.scratch.part(claim.path, 7)).write_bytes(DATA)
        await claim.write(LeaderState(attempt=7, total=len(DATA), verified=True, url=f"{up.url}/file"))
        claim.close()
        found = await one.cache.file(wanted)
        assert await one.read(found) == DATA
        if isinstance(found, InFlightFile):
            await found.end()

    run(body)
    assert up.log.requests == []


def test_a_part_that_begins_anew_is_not_right_because_the_one_before_was(run: Run, tmp_path: Path) -> None:
    async def body(one: Engine) -> None:
        in_flight = InFlightFile(one.store, one.store.disk)
        first, second = tmp_path / "first", tmp_path / "second"
        first.write_bytes(b"all of it")
        second.write_bytes(b"some")
        in_flight.follow(str(first), 9, verified=True)
        assert in_flight.readable == 9
        in_flight.follow(str(second), None, verified=False)
        assert in_flight.readable == 0
        in_flight.fail(Failure.of(UpstreamFailed("it was cut")))
        assert (await failure(in_flight))[0] == b""

    run(body)


def test_absent_is_remembered_and_failed_is_not(up: Upstream, run: Run) -> None:
    async def body(one: Engine) -> None:
        up.fault = Answer(status=500)
        wanted = one.wanted(f"{up.url}/a")
        for _ in range(2):
            with pytest.raises(UpstreamFailed):
                await one.cache.file(wanted)
        up.fault = None
        for _ in range(3):
            assert await one.cache.file(wanted) is None
        await _settled(one)

    run(body)
    assert up.log.count("GET", "/a") == 3


def test_one_that_fails_beside_one_that_has_nothing_is_a_failure(up: Upstream, run: Run) -> None:
    up.serve("/bad", Answer(status=500))

    async def body(one: Engine) -> None:
        with pytest.raises(UpstreamFailed):
            await one.cache.file(one.wanted(f"{up.url}/bad", f"{up.url}/none"))
        assert await one.cache.file(one.wanted()) is None
        await _settled(one)

    run(body)


def test_a_full_disk_leaves_nothing(up: Upstream, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    up.serve("/a", document(DATA, framing="chunked"))

    async def body(one: Engine) -> None:
        room = [1_000_000]

        def require_room(size: int) -> None:
            room[0] -= size
            if room[0] < 0:
                raise StorageFull("the storage has no room left")

        monkeypatch.setattr(one.store.disk, "require_room", require_room)
        with pytest.raises(StorageFull):
            await one.read(await one.cache.file(one.wanted(f"{up.url}/a")))
        await _settled(one)
        assert _objects(one) == []

    run(body)
    assert up.log.count("GET") == 1


def test_readers_leave_no_descriptor(up: Upstream, run: Run) -> None:
    up.serve("/a", document(DATA))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{up.url}/a")
        found = await one.cache.file(wanted)
        await asyncio.gather(*(one.read(found) for _ in range(10)))
        await _settled(one)
        assert [path for path in _open_files() if "/downloads/" in path] == []

    run(body)


async def _settled(one: Engine) -> None:
    """Wait until nothing is on its way."""
    await until(lambda: not one.cache._downloads._running, "what is on its way")


def _objects(one: Engine) -> list[str]:
    return [name for _, _, names in os.walk(f"{one.store.layout.root}/blobs") for name in names]


def _open_files() -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.append(os.readlink(entry))
        except OSError:
            continue
    return found


def test_blocked_bytes_without_a_digest_beforehand_are_nobodys(up: Upstream, run: Run) -> None:
    up.serve("/file", Answer(body=DATA))
    said = Block(digest=digest_of(DATA), reason="it bites", by="root", created_at=1.0)

    async def body(one: Engine) -> None:
        kept = await one.catalog.add_block(said)
        wanted = replace(one.wanted(f"{up.url}/file"), about=(one.repository.id, "some", None))
        found = await one.cache.file(wanted)
        got, error = await failure(found)
        assert len(got) <= len(DATA) - WITHHELD_BYTES
        assert isinstance(error, Blocked)
        assert await wanted.found() is None
        await one.catalog.lift_block(kept.id)
        assert await one.read(await one.cache.file(wanted)) == DATA
        await _settled(one)

    run(body)


def test_what_cannot_be_stored_in_the_end_was_right_for_who_read_it(
    up: Upstream, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    up.serve("/a", document(DATA, hold=2_000_000, gate="rest"))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{up.url}/a", digest=digest_of(DATA))
        found = await one.cache.file(wanted)
        assert isinstance(found, InFlightFile)

        def adopt(*_: object) -> None:
            raise StorageFull("the storage has no room left")

        monkeypatch.setattr(one.store, "adopt", adopt)
        reading = asyncio.ensure_future(one.read(found))
        await found.reaches(1_000_000)
        up.open("rest")
        assert await reading == DATA
        with pytest.raises(StorageFull):
            await found.end()
        with pytest.raises(StorageFull):
            await one.read(found)
        with pytest.raises(StorageFull):
            await found.known()

    run(body)


@pytest.mark.parametrize("fault", ["chunked", "reset-chunked", "close", "whole-close"])
def test_what_cannot_be_told_from_the_whole_is_not_kept(up: Upstream, run: Run, fault: str) -> None:
    """No length, no hash: a cut that shows is an error, and where none could show nothing is taken."""
    framing: Literal["chunked", "close"] = "close" if fault.endswith("close") else "chunked"
    cut = None if fault == "whole-close" else 1_000_000
    up.serve("/a", document(DATA, framing=framing, cut=cut, reset=fault.startswith("reset"), etag=None))

    async def body(one: Engine) -> None:
        with pytest.raises(UpstreamFailed, match="does not say where" if framing == "close" else "middle"):
            await one.read(await one.cache.file(one.wanted(f"{up.url}/a")))
        await _settled(one)
        assert _objects(one) == []
        assert await one.wanted(f"{up.url}/a").find() is None

    run(body)
