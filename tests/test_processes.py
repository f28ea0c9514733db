"""What the operating system is told about threads."""

from __future__ import annotations

import os
import sys

import pytest

from nora.processes import step_back


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a priority belongs to a process")
def test_work_comes_after_the_rest_of_a_server_that_was_started_with_nice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "getpriority", lambda *_: 10)
    monkeypatch.setattr(os, "setpriority", lambda *arguments: asked.append(arguments[-1]))
    step_back()
    assert asked[0] > 10
