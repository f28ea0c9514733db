"""docs/api.md: what it shows is answered as it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import httpx
import pytest

from tests.support.in_process import add_token
from tests.ui.test_rights import filled

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs/api.md"
SERVER = "http://localhost:4000"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


async def test_the_examples_are_answered(tmp_path: Path) -> None:
    commands = re.findall(r"^\$ (curl .*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(commands) > 6
    async with filled(tmp_path, NORA_NPM_ANONYMOUS_READ="true") as http:
        token = await add_token(tmp_path, "admin")
        for command in commands:
            answer = await ask(http, command.replace("$TOKEN", token))
            assert answer.status_code == 200, (command, answer.text)


async def ask(http: httpx.AsyncClient, command: str) -> httpx.Response:
    """What a line of curl asks."""
    words = iter(shlex.split(command)[1:])
    method, url, headers, body = "GET", "", {}, None
    for word in words:
        if word in ("-H", "--header"):
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "--json":
            method, body = "POST", next(words)
            headers["content-type"] = "application/json"
        else:
            url = word.removeprefix(SERVER)
    return await http.request(method, url, headers=headers, content=body)
