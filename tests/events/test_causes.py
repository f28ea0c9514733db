"""Who is told to have done something: whoever sent the request, or ran the command."""

from __future__ import annotations

import asyncio
import getpass
from pathlib import Path

import pytest
from click.testing import CliRunner

from nora.catalog.events import Event, EventFilter
from nora.cli import main
from nora.commands import open_catalog
from nora.formats import load_config
from tests.support.access import write_users
from tests.support.in_process import add_token, application

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def events(folder: Path) -> list[Event]:
    async with open_catalog(load_config({"NORA_STORAGE_PATH": str(folder / "storage")}, folder)) as catalog:
        return await catalog.list_events(EventFilter(after=0), 100)


async def test_events_say_who_sent_the_request(tmp_path: Path) -> None:
    env = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(write_users(tmp_path / "users", alice="wonder")),
    }
    async with application(tmp_path, **env) as http:
        bearer = {"authorization": f"Bearer {await add_token(tmp_path, 'admin')}", "x-request-id": "r1"}
        for path, said in (("a", {"auth": ("alice", "wonder")}), ("b", {"headers": bearer}), ("c", {})):
            await http.put(f"/raw/{path}", content=b"x", **said)  # type: ignore[arg-type]
        await http.delete("/raw/a", headers=bearer)
    found = await events(tmp_path)
    assert [(one.kind, one.path, one.user, one.method) for one in found] == [
        ("published", "a", "alice", "password"),
        ("published", "b", "ci", "token"),
        ("deleted", "a", "ci", "token"),
    ]
    assert found[1].request_id == "r1"


async def test_while_authentication_is_off_nobody_is_known(tmp_path: Path) -> None:
    async with application(tmp_path) as http:
        await http.put("/raw/a", content=b"x")
    [event] = await events(tmp_path)
    assert (event.user, event.method) == ("anonymous", "anonymous")


def test_events_say_who_ran_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NORA_STORAGE_PATH", str(tmp_path / "storage"))
    asyncio.run(events(tmp_path))  # which makes the catalog
    done = CliRunner().invoke(main, ["block", "--digest", f"sha256:{'0' * 64}", "--reason", "it bites"])
    assert done.exit_code == 0, done.output
    [event] = asyncio.run(events(tmp_path))
    assert (event.kind, event.user, event.method) == ("blocked", getpass.getuser(), "command")
    assert event.reason == "it bites"
