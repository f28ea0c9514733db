"""What a browser loads before it shows a page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nora.ui.rendering import FOLDER
from tests.support.in_process import application

pytestmark = pytest.mark.anyio


async def test_stylesheet_and_scripts_are_small(tmp_path: Path) -> None:
    """Less than 100 KiB together, as they are sent."""
    sent = 0
    async with application(tmp_path) as http:
        for path in sorted(FOLDER.joinpath("static").glob("nora.*")):
            async with http.stream(
                "GET", f"/ui/static/{path.name}", headers={"accept-encoding": "gzip"}
            ) as got:
                assert got.headers["content-encoding"] == "gzip"
                sent += int(got.headers["content-length"])
    assert 0 < sent < 100 * 1024


def test_every_rule_of_the_stylesheet_is_closed() -> None:
    """Else a browser leaves out all that follows."""
    text = re.sub(r"/\*.*?\*/", "", FOLDER.joinpath("static", "nora.css").read_text("utf-8"), flags=re.DOTALL)
    depth = 0
    for mark in re.findall(r"[{}]", text):
        depth += 1 if mark == "{" else -1
        assert 0 <= depth <= 2
    assert depth == 0
