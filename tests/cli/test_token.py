"""`nora token` works on the data directory, beside a running server or without one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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
    if words[0] == "create" and not Path("data/storage/catalog.sqlite3").exists():
        words = (*words, "--create")
    return CliRunner().invoke(main, ["token", *words], env=env)


def made(*words: str) -> str:
    """The id of a new token."""
    result = nora("create", *words)
    assert result.exit_code == 0, result.output
    return result.stderr.partition("token ")[2][:16]


def listed() -> list[dict[str, str]]:
    result = nora("list", "--json")
    assert result.exit_code == 0, result.output
    rows: list[dict[str, str]] = orjson.loads(result.stdout)
    return rows


def test_a_token_is_made_before_the_first_start_and_revoked() -> None:
    result = nora("create", "--user", "ci", "--role", "write", "--scope", "docker:team/*:write,read")
    assert result.exit_code == 0, result.output
    assert is_token(result.stdout.strip())
    (row,) = listed()
    assert (row["user"], row["role"], row["scopes"]) == ("ci", "write", "docker:team/*:read,write")
    assert row["id"] in result.stderr
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


def test_a_token_lives_for_90_days_unless_told_otherwise() -> None:
    made("--user", "ci")
    made("--user", "robot", "--no-expiry")
    by_user = {row["user"]: row for row in listed()}
    life = datetime.fromisoformat(by_user["ci"]["expires"]) - datetime.fromisoformat(by_user["ci"]["created"])
    assert life == timedelta(days=90)
    assert by_user["robot"]["expires"] == "-"
    both = nora("create", "--user", "x", "--no-expiry", "--ttl-days", "7")
    assert (both.exit_code, "--no-expiry" in both.stderr) == (1, True)


def test_the_table_has_a_header_dates_and_the_last_use() -> None:
    made("--user", "ci", "--role", "write", "--scope", "docker:team/*:read", "--description", "night build")
    made("--user", "robot", "--no-expiry")
    header, *rows = nora("list").stdout.splitlines()
    assert re.split(r"\s{2,}", header) == [
        "ID", "USER", "ROLE", "SCOPES", "CREATED", "EXPIRES", "LAST USED", "DESCRIPTION",
    ]  # fmt: skip
    (ci,) = (row for row in rows if "night build" in row)
    today, end = datetime.now(UTC), datetime.now(UTC) + timedelta(days=90)
    for text in (f"{today:%Y-%m-%d}", f"{end:%Y-%m-%d}", "never", "docker:team/*:read"):
        assert text in ci
    assert len({row.find("never") for row in rows} - {-1}) >= 1
    assert ci.index("night build") == header.index("DESCRIPTION"), "the columns are aligned"


def test_a_rotated_token_has_the_same_rights_and_the_old_one_ends() -> None:
    words = ("--user", "ci", "--role", "write", "--scope", "docker:team/*:read", "--description", "night")
    old = made(*words, "--ttl-days", "7")
    result = nora("rotate", old)
    assert result.exit_code == 0, result.output
    assert is_token(result.stdout.strip())
    (row,) = listed()
    assert row["id"] != old
    assert (row["user"], row["role"], row["scopes"]) == ("ci", "write", "docker:team/*:read")
    assert row["description"] == "night"
    life = datetime.fromisoformat(row["expires"]) - datetime.fromisoformat(row["created"])
    assert life == timedelta(days=7)
    again = nora("rotate", old)
    assert (again.exit_code, again.stderr) == (1, f"there is no token {old}\n")


def test_a_rotated_token_may_go_on_for_some_hours() -> None:
    old = made("--user", "ci", "--no-expiry")
    assert nora("rotate", old, "--keep-hours", "2", "--ttl-days", "30").exit_code == 0
    by_id = {row["id"]: row for row in listed()}
    left = datetime.fromisoformat(by_id.pop(old)["expires"]) - datetime.now(UTC)
    assert timedelta(hours=1) < left <= timedelta(hours=2)
    (new,) = by_id.values()
    life = datetime.fromisoformat(new["expires"]) - datetime.fromisoformat(new["created"])
    assert life == timedelta(days=30)


@pytest.mark.parametrize(
    "words",
    [("create", "--user", "ci"), ("list",), ("revoke", "0" * 16), ("rotate", "0" * 16)],
    ids=lambda words: words[0],
)
def test_no_store_is_made_unasked(words: tuple[str, ...], tmp_path: Path) -> None:
    """A command in the wrong directory, or without the configuration of the server."""
    result = CliRunner().invoke(main, ["token", *words])
    assert result.exit_code == 1
    assert str(tmp_path / "data/storage") in result.stderr
    assert "storage.path" in result.stderr
    assert ("--create" in result.stderr) is (words[0] == "create")
    assert not (tmp_path / "data/storage/catalog.sqlite3").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("purge", "pypi", "demo"),
        ("block", "pypi", "demo", "--reason", "it bites"),
        ("blocks",),
        ("unblock", "1"),
        ("package", "list", "docker"),
    ],
    ids=lambda words: words[0],
)
def test_no_store_is_made_by_other_commands(words: tuple[str, ...], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert f"there is no store in {tmp_path / 'data/storage'}" in result.stderr
    assert not (tmp_path / "data/storage/catalog.sqlite3").exists()


def test_a_token_that_nobody_asks_for_is_told() -> None:
    assert "NORA_AUTH_ENABLED" in nora("create", "--user", "ci").stderr
    assert "NORA_AUTH_ENABLED" not in nora("create", "--user", "ci", NORA_AUTH_ENABLED="true").stderr


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ("docker-hosted:team/*:read", "docker:team/*:read"),
        ("docker-proxy::read", "docker:**:read"),
        ("dokcer:team/*:read", "did you mean docker:team/*:read"),
        ("team/app:read", "did you mean docker:team/app:read"),
        ("docker:read", "did you mean docker:**:read"),
        ("docker", "repository:name:actions"),
        ("docker:x:pull", "did you mean docker:x:read"),
        ("docker:x:read,push", "did you mean docker:x:read,write"),
        ("docker:x:admin", "untag and write"),
        ("docker:x:read,", "repository:name:actions"),
        ("docker:x: read", "did you mean docker:x:read"),
        ("docker:x y:read", "repository:name:actions"),
        ("nuget*:x:read", "fits no repository; there are cargo, cargo-hosted"),
        ("pypi:My_Project:read", "pypi:my-project:read"),
        ("docker:team/*:read,write", "--role write"),
        ("docker:team/*:delete", "--role write"),
    ],
)
def test_a_scope_that_can_never_fit_is_refused_with_the_right_form(scope: str, told: str) -> None:
    result = nora("create", "--user", "ci", "--scope", scope)
    assert result.exit_code == 1
    assert told in result.stderr, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert nora("create", "--user", "ci").exit_code == 0
    assert len(listed()) == 1


def test_scopes_of_named_repositories_and_patterns_are_taken(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[repositories.internal]\nformat = "docker"\n')
    for scope in (
        "internal:team/*:read,write,delete",
        "*:x:read",
        "::read",
        "docker:**:write",
        "pypi:a-*:read",
    ):
        made("--user", "ci", "--role", "write", "--scope", scope)


@pytest.mark.parametrize(
    "words",
    [
        ("create", "--user", "a:b"),
        ("create", "--user", "a", "--description", "x" * 257),
        ("revoke", "../../x"),
    ],
)
def test_what_makes_no_sense_ends_with_1(words: tuple[str, ...]) -> None:
    made("--user", "ci")
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
