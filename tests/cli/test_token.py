"""`nora token` works on the data directory, beside a running server or without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from click.testing import CliRunner, Result

from nora.auth.tokens import is_token
from nora.cli import main
from tests.support.access import make_token, write_users
from tests.support.command import run
from tests.support.server import COMMAND, Server, running


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def nora(*words: str, **env: str) -> Result:
    return CliRunner().invoke(main, ["token", *words], env=env)


def listed() -> list[dict[str, str]]:
    result = nora("list", "--json")
    assert result.exit_code == 0, result.output
    rows: list[dict[str, str]] = orjson.loads(result.stdout)
    return rows


def test_a_token_is_made_before_the_first_start_and_revoked() -> None:
    made = nora("create", "--user", "ci", "--role", "write", "--scope", "docker:team/*:write,read")
    assert made.exit_code == 0, made.output
    assert is_token(made.stdout.strip())
    assert "valid until it is revoked" in made.stderr
    (row,) = listed()
    assert (row["user"], row["role"], row["scopes"]) == ("ci", "write", "docker:team/*:read,write")
    assert row["id"] in made.stderr
    assert row["id"] in nora("list", "--user", "ci").stdout
    assert nora("list", "--user", "other").stdout == ""
    assert nora("revoke", row["id"]).exit_code == 0
    assert listed() == []
    again = nora("revoke", row["id"])
    assert (again.exit_code, again.stderr) == (1, f"there is no token {row['id']}\n")


def test_a_token_that_ends_says_when() -> None:
    nora("create", "--user", "ci", "--ttl-days", "0.5", "--description", "night build")
    (row,) = listed()
    assert row["role"] == "read"
    assert row["expires"].endswith("Z")
    assert row["description"] == "night build"


@pytest.mark.parametrize(
    "words",
    [
        ("create", "--user", "a:b"),
        ("create", "--user", "a", "--scope", "docker"),
        ("create", "--user", "a", "--scope", "docker:x:admin"),
        ("create", "--user", "a", "--description", "x" * 257),
        ("revoke", "../../x"),
    ],
)
def test_what_makes_no_sense_ends_with_1(words: tuple[str, ...]) -> None:
    result = nora(*words)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_a_wrong_configuration_is_told() -> None:
    result = nora("list", NORA_PORT="x")
    assert result.exit_code == 1
    assert "NORA_PORT" in result.stderr


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    env = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(write_users(tmp_path / "users", alice="wonder")),
        "NORA_AUTH_PUBLIC_METRICS": "false",
    }
    with running(tmp_path / "guarded", workers=4, env=env) as server:
        yield server


def statuses(server: Server, headers: dict[str, str]) -> set[int]:
    """Of enough connections that each worker has answered some."""
    return {
        httpx.get(f"{server.url}/metrics", headers=headers, trust_env=False).status_code for _ in range(24)
    }


@pytest.mark.slow
def test_every_worker_of_a_running_server_sees_it_at_once(guarded: Server) -> None:
    token = make_token(guarded, "--role", "read")
    assert statuses(guarded, token.bearer) == {200}
    command = (*COMMAND[:-1], "token")
    (row,) = orjson.loads(run(*command, "list", "--json", env=guarded.environment(), cwd=guarded.data))
    run(*command, "revoke", row["id"], env=guarded.environment(), cwd=guarded.data)
    assert statuses(guarded, token.bearer) == {401}
