"""`nora user` edits the htpasswd file as a whole."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nora.cli import main


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.htpasswd"


def user(*words: str, password: str | None = None, **env: str) -> Result:
    stdin = None
    if password is not None:
        words, stdin = (*words, "--password-stdin", "--cost", "4"), f"{password}\n"
    return CliRunner().invoke(main, ["user", *words], input=stdin, env=env)


@pytest.mark.client("htpasswd")
def test_htpasswd_reads_what_was_added(path: Path) -> None:
    assert user("add", "alice", password="wonder").exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    subprocess.run(["htpasswd", "-bv", path, "alice", "wonder"], check=True, capture_output=True)
    assert user("passwd", "alice", password="land").exit_code == 0
    subprocess.run(["htpasswd", "-bv", path, "alice", "land"], check=True, capture_output=True)


def test_a_password_is_asked_for_twice(path: Path) -> None:
    asked = CliRunner().invoke(main, ["user", "add", "alice", "--cost", "4"], input="wonder\nwonder\n")
    assert asked.exit_code == 0, asked.output
    assert "wonder" not in asked.output
    assert path.read_text().startswith("alice:$2y$04$")


def test_users_are_listed_with_their_roles() -> None:
    for name in ("alice", "bob", "root"):
        assert user("add", name, password="x").exit_code == 0
    env = {"NORA_AUTH_ADMIN_USERS": "root", "NORA_AUTH_ROLES": "bob=read"}
    assert user("list", **env).stdout == "alice\twrite\nbob\tread\nroot\tadmin\n"


def test_a_user_called_admin_is_an_administrator() -> None:
    for name in ("admin", "alice"):
        assert user("add", name, password="x").exit_code == 0
    assert user("list").stdout == "admin\tadmin\nalice\twrite\n"


def test_a_removed_user_has_no_tokens_left(path: Path) -> None:
    user("add", "alice", password="x")
    user("add", "bob", password="x")
    for name in ("alice", "alice", "bob"):
        assert CliRunner().invoke(main, ["token", "create", "--user", name, "--create"]).exit_code == 0
    removed = user("remove", "alice")
    assert (removed.exit_code, removed.stderr) == (0, "alice: removed, tokens revoked: 2\n")
    assert CliRunner().invoke(main, ["token", "list"]).stdout.count("bob") == 1
    assert user("remove", "alice").exit_code == 1


@pytest.mark.parametrize(
    ("words", "password", "told"),
    [
        (("add", "alice"), "y", "there is a user alice"),
        (("passwd", "nobody"), "y", "there is no user nobody"),
        (("add", "a:b"), "y", "no colon"),
        (("add", "#a"), "y", "no # in front"),
        (("add", "long"), "y" * 73, "from 1 to 72 bytes"),
        (("add", "empty"), "", "from 1 to 72 bytes"),
    ],
)
def test_what_cannot_be_changes_nothing(path: Path, words: tuple[str, ...], password: str, told: str) -> None:
    user("add", "alice", password="x")
    before = path.read_text()
    result = user(*words, password=password)
    assert result.exit_code == 1
    assert told in result.stderr
    assert path.read_text() == before
