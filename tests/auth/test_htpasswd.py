"""The file of users: as htpasswd makes it, changed by anybody at any time, never believed half-written."""

from __future__ import annotations

import logging
import stat
import subprocess
from pathlib import Path

import bcrypt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nora.auth.htpasswd import Htpasswd, parse_accounts, remove_account, set_account
from nora.errors import Conflict, StorageFailed

HASH = "$2y$05$" + "a" * 53
OTHER = "$2b$04$" + "b" * 53


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0  # each look is a second after the last
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.htpasswd"


def names(htpasswd: Htpasswd) -> list[str]:
    return [*htpasswd.accounts]


@pytest.mark.client("htpasswd")
def test_a_file_of_htpasswd_works_as_it_is(path: Path) -> None:
    subprocess.run(["htpasswd", "-cbB", path, "admin", "yourpassword"], check=True, capture_output=True)
    subprocess.run(["htpasswd", "-bB", path, "bob", "other"], check=True, capture_output=True)
    accounts = Htpasswd(path).accounts
    assert [*accounts] == ["admin", "bob"]
    assert bcrypt.checkpw(b"yourpassword", accounts["admin"].password_hash.encode())


def test_other_hashes_are_refused_by_line(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = [
        "# users",
        f"alice:{HASH}",
        "bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "carol:$apr1$x$y",
        "dave:plain",
        "$2y$05$",
        "",
        f"alice:{OTHER}",
        f"eve:$2y$31${'a' * 53}",
        f"frank:$2x$05${'a' * 53}",
        f"  grace:{OTHER}  ",
    ]
    path.write_text("\n".join(lines) + "\n")
    with caplog.at_level(logging.WARNING):
        accounts = Htpasswd(path).accounts
    assert {name: one.password_hash for name, one in accounts.items()} == {"alice": HASH, "grace": OTHER}
    told = " ".join(record.getMessage() for record in caplog.records)
    for number in (3, 4, 5, 6, 8, 9, 10):
        assert f"line {number} is ignored" in told
    assert "apr1" not in told
    assert HASH not in told


def test_a_changed_file_is_taken_over(path: Path) -> None:
    path.write_text(f"alice:{HASH}\n")
    htpasswd = Htpasswd(path, Clock())
    before = htpasswd.accounts["alice"]
    path.write_text(f"alice:{OTHER}\nbob:{HASH}\n")
    assert names(htpasswd) == ["alice", "bob"]
    assert htpasswd.accounts["alice"].fingerprint != before.fingerprint
    path.unlink()
    assert names(htpasswd) == []


def test_the_file_is_looked_at_twice_a_second(path: Path) -> None:
    times = iter([10.0, 10.25, 10.49, 10.5])
    path.write_text(f"alice:{HASH}\n")
    htpasswd = Htpasswd(path, lambda: next(times))
    assert names(htpasswd) == ["alice"]
    path.write_text(f"bob:{HASH}\n")
    assert [names(htpasswd) for _ in range(3)] == [["alice"], ["alice"], ["bob"]]


def test_a_half_written_file_changes_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = f"alice:{HASH}\nbob:{HASH}"
    path.write_text(whole)
    htpasswd = Htpasswd(path, Clock())
    assert names(htpasswd) == ["alice", "bob"]
    for length in range(1, len(whole)):
        if whole[length - 1] != "\n" and length != len(f"alice:{HASH}"):
            path.write_text(whole[:length])
            assert names(htpasswd) == ["alice", "bob"], whole[:length]
    assert len([record for record in caplog.records if "cut off" in record.getMessage()]) == 1
    path.write_text(f"carol:{HASH}\n")
    assert names(htpasswd) == ["carol"]


def test_an_emptied_file_counts_when_it_stays_empty(path: Path) -> None:
    path.write_text(f"alice:{HASH}\n")
    htpasswd = Htpasswd(path, Clock())
    assert names(htpasswd) == ["alice"]
    path.write_text("")
    assert names(htpasswd) == ["alice"]
    assert names(htpasswd) == []
    assert names(htpasswd) == []


def test_a_file_that_cannot_be_read_is_a_failure_and_changes_nothing(path: Path) -> None:
    path.mkdir()
    htpasswd = Htpasswd(path, Clock())
    with pytest.raises(StorageFailed, match="directory"):
        names(htpasswd)
    path.rmdir()
    path.write_text(f"alice:{HASH}\n")
    assert names(htpasswd) == ["alice"]
    path.unlink()
    path.mkdir()
    assert names(htpasswd) == ["alice"]


@given(st.text(max_size=200) | st.lists(st.sampled_from([HASH, "a", ":", "\n", "$2y$", "#"])).map("".join))
@example("\udcff:" + HASH)
@example("a:" + HASH[:-1] + "\n")
def test_no_text_fails(text: str) -> None:
    accounts, warnings, _ = parse_accounts(text)
    assert len(accounts) + len(warnings) <= text.count("\n") + 1
    assert all(len(one.password_hash) == 60 and one.name for one in accounts.values())


# -- editing -----------------------------------------------------------------------------------------------


def test_accounts_are_added_changed_and_removed(path: Path) -> None:
    set_account(path, "alice", HASH, exists=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("# kept\n" + path.read_text())
    set_account(path, "bob", HASH, exists=False)
    set_account(path, "alice", OTHER, exists=True)
    assert path.read_text() == f"# kept\nalice:{OTHER}\nbob:{HASH}\n"
    with pytest.raises(Conflict):
        set_account(path, "alice", HASH, exists=False)
    with pytest.raises(Conflict):
        set_account(path, "carol", HASH, exists=True)
    assert remove_account(path, "alice")
    assert not remove_account(path, "alice")
    assert path.read_text() == f"# kept\nbob:{HASH}\n"
    assert sorted(one.name for one in path.parent.iterdir()) == ["users.htpasswd", "users.htpasswd.lock"]


def test_the_mode_of_the_file_stays(path: Path) -> None:
    path.write_text(f"alice:{HASH}\n")
    path.chmod(0o640)
    set_account(path, "bob", HASH, exists=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_of_two_lines_of_a_name_one_is_left(path: Path) -> None:
    path.write_text(f"alice:{HASH}\nalice:{OTHER}\n")
    set_account(path, "alice", OTHER, exists=True)
    assert path.read_text() == f"alice:{OTHER}\n"


def test_a_file_that_cannot_be_changed_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        set_account(tmp_path / "absent" / "users", "alice", HASH, exists=False)
