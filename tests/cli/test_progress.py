"""Bars on a terminal, nothing in a pipe."""

from __future__ import annotations

import asyncio
import io

import pytest

from nora.cli._progress import Counts, Progress, Rate, shown_counts, shown_progress

PHASES = {"one": "first of all", "two": "then"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def played(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> str:
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with Progress(PHASES) as progress:
        progress.report("one", 1, 4)
        progress.report("one", 4, 4)
        progress.report("two", 0, 0)
    return stream.getvalue()


def test_a_terminal_shows_each_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = played(monkeypatch, Terminal())
    assert "first of all" in shown
    assert "4/4" in shown
    assert "then" in shown


def test_a_pipe_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert played(monkeypatch, io.StringIO()) == ""


def test_bytes_have_their_rate_and_what_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with shown_progress() as progress:
        progress.expect(3 << 20, "blobs")
        progress.advance(1 << 20)
    shown = stream.getvalue()
    assert "blobs" in shown
    assert "1.0/3.0 MiB" in shown
    assert "?" in shown, "the rate of what has just begun"
    assert "-:--:--" in shown


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "pipe"])
def test_what_is_mirrored_is_counted_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO
) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    shown = asyncio.Event()

    def state() -> Counts:
        shown.set()
        return Counts(wanted=9, done=4, missing=1, received=3 << 19)

    async def work() -> None:
        async with shown_counts(state, "mirroring"):
            if stream.isatty():
                await shown.wait()

    asyncio.run(work())
    if not stream.isatty():
        assert stream.getvalue() == ""
        return
    for part in ("mirroring", "4/9", "1.5 MiB", "0 bytes/s", "1 missing", "-:--:--"):
        assert part in stream.getvalue()


def test_a_rate_is_that_of_the_last_seconds() -> None:
    now = [0.0]
    rate = Rate(lambda: now[0])
    assert rate.of(0) == 0
    seen = []
    for now[0], amount in ((1.0, 100), (2.0, 200), (20.0, 200), (21.0, 210)):
        seen.append(rate.of(amount))
    assert seen == [100, 100, 0, 10]
