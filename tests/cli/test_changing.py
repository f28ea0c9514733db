"""What commands change is in the audit log."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from nora.cli import main

AUDIT = Path("data/storage/audit.jsonl")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def nora(*words: str, told: str = "", **env: str) -> int:
    return CliRunner().invoke(main, words, input=told, env=env).exit_code


def lines() -> list[tuple[str, str]]:
    records = [orjson.loads(line) for line in AUDIT.read_bytes().splitlines()]
    assert {(one["method"], one["action"], one["registry"]) for one in records} == {
        ("command", "admin", "system")
    }
    assert all(one["subject"] for one in records)
    return [(one["object"].partition(" ")[2].partition(": ")[0], one["outcome"]) for one in records]


def results() -> list[str]:
    """What the commands made, as their lines tell."""
    return [orjson.loads(line)["object"].partition(": ")[2] for line in AUDIT.read_bytes().splitlines()]


def test_tokens_users_and_names() -> None:
    assert nora("token", "create", "--user", "ci", "--create") == 0
    assert nora("token", "revoke", "0123456789abcdef") == 1
    assert nora("user", "add", "alice", "--password-stdin", "--cost", "4", told="a secret\n") == 0
    assert nora("user", "add", "alice", "--password-stdin", "--cost", "4", told="a secret\n") == 1
    assert nora("user", "remove", "alice") == 0
    assert nora("package", "release", "docker", "team/app") == 1
    assert nora("pypi", "yank", "demo", "1.0") == 1
    assert lines() == [
        ("token create --user ci --create", "ok"),
        ("token revoke 0123456789abcdef", "failed"),
        ("user add alice --password-stdin --cost 4", "ok"),
        ("user add alice --password-stdin --cost 4", "failed"),
        ("user remove alice", "ok"),
        ("package release docker team/app", "failed"),
        ("pypi yank demo 1.0", "failed"),
    ]
    assert b"secret" not in AUDIT.read_bytes()


def test_what_was_minted_is_told_with_beneficiary_role_and_scopes() -> None:
    scopes = ("--scope", "docker:team/*:read,write", "--scope", "pypi:a:read")
    made = CliRunner().invoke(
        main, ["token", "create", "--create", "--user", "ci", "--role", "write", *scopes]
    )
    token_id = made.stderr.partition("token ")[2][:16]
    assert nora("token", "rotate", token_id, "--keep-hours", "2") == 0
    assert [line for line, _ in lines()] == [
        f"token create --user ci --role write {' '.join(scopes)} --create",
        f"token rotate {token_id} --keep-hours 2",
    ]
    created, rotated = results()
    assert created.startswith(
        f"token {token_id} of ci, role write, docker:team/*:read,write pypi:a:read, until 2"
    )
    assert rotated.startswith("token ")
    assert ", role write, docker:team/*:read,write pypi:a:read, until 2" in rotated
    assert made.stdout.strip().encode() not in AUDIT.read_bytes()


def test_credentials_in_arguments_are_hidden() -> None:
    assert nora("token", "create", "--user", "ci", "--create", "--description", "nra_" + "x" * 49) == 0
    assert nora("purge", "pypi", "demo", "--source", "https://me:hunter2@pypi.example/simple") == 1
    assert nora("package", "claim", "docker", "nra_" + "x" * 49) == 0
    text = AUDIT.read_text()
    assert "pypi.example" in text
    assert "hunter2" not in text
    assert "nra_x" not in text


def test_before_the_first_start() -> None:
    assert nora("user", "add", "alice", "--password-stdin", "--cost", "4", told="a secret\n") == 0
    assert lines() == [("user add alice --password-stdin --cost 4", "ok")]
    assert AUDIT.parent.stat().st_mode & 0o777 == 0o700


def test_what_only_shows_is_not_recorded() -> None:
    assert nora("token", "create", "--user", "ci", "--create", NORA_AUDIT_LOG="off") == 0
    assert nora("token", "list") == 0
    assert nora("user", "list") == 0
    assert not AUDIT.exists()


def test_no_log_is_written_where_none_is_wanted() -> None:
    assert nora("token", "create", "--user", "ci", "--create", NORA_AUDIT_LOG="off") == 0
    assert not AUDIT.exists()


def test_what_failed_in_the_wrong_directory_leaves_nothing_there() -> None:
    assert nora("token", "create", "--user", "ci") == 1
    assert not AUDIT.parent.exists()
