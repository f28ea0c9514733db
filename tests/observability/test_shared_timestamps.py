"""When something last happened, for all processes."""

from __future__ import annotations

import os

from nora.observability.shared_timestamps import SharedTimestamps, Timestamp


def test_what_one_process_notes_all_know() -> None:
    shared_timestamps = SharedTimestamps()
    moment = shared_timestamps.of("https://x.example.com:443")
    assert moment.last == 0.0
    child = os.fork()
    if child == 0:
        shared_timestamps.of("https://x.example.com:443").note(12.5)
        os._exit(0)
    os.waitpid(child, 0)
    assert moment.last == 12.5
    assert shared_timestamps.of("https://y.example.com:443").last == 0.0


def test_one_for_this_process_alone() -> None:
    moment, other = Timestamp(), Timestamp()
    moment.note(3.0)
    assert (moment.last, other.last) == (3.0, 0.0)
