"""Passwords: right or wrong, known for a while, one at a time, and never the end of the process."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import bcrypt
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nora.auth import passwords as module
from nora.auth.htpasswd import Htpasswd
from nora.auth.passwords import QUEUE_LIMIT, REFUSED_SECONDS, Passwords, hash_password
from nora.errors import StorageFailed, TooManyRequests
from nora.locks import FileLock
from tests.support.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.anyio

Make = Callable[..., Passwords]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text(f"alice:{hash_password('right', 4)}\nlong:{hash_password('x' * 72, 4)}\n")
    return path


@pytest.fixture
async def passwords(path: Path, clock: Clock) -> AsyncIterator[Passwords]:
    passwords = Passwords(Htpasswd(path, clock), path.with_name("lock"), 60, clock)
    yield passwords
    passwords.close()


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes that bcrypt was asked about."""
    asked: list[bytes] = []
    check = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        asked.append(hashed)
        return check(password, hashed)

    monkeypatch.setattr(module.bcrypt, "checkpw", counted)
    return asked


async def test_right_and_wrong(passwords: Passwords) -> None:
    account = await passwords.check("alice", "right")
    assert account is not None
    assert account.name == "alice"
    assert passwords.is_current("alice", account.fingerprint)
    assert not passwords.is_current("alice", "0" * 16)
    assert not passwords.is_current("bob", account.fingerprint)
    for user, password in (("alice", "wrong"), ("alice", ""), ("Alice", "right"), ("", ""), ("bob", "right")):
        assert await passwords.check(user, password) is None


async def test_what_was_checked_is_known_for_a_while(
    passwords: Passwords, checks: list[bytes], clock: Clock
) -> None:
    assert passwords.cached("alice", "right") is None
    for _ in range(3):
        assert await passwords.check("alice", "right")
        assert await passwords.check("alice", "wrong") is None
    assert len(checks) == 2
    assert passwords.cached("alice", "right")
    assert passwords.cached("alice", "wrong") is False
    clock.now += REFUSED_SECONDS
    assert passwords.cached("alice", "wrong") is None
    clock.now += 60 - REFUSED_SECONDS
    assert passwords.cached("alice", "right") is None


async def test_a_changed_password_is_another_question(passwords: Passwords, path: Path, clock: Clock) -> None:
    assert await passwords.check("alice", "right")
    assert await passwords.check("alice", "new") is None
    path.write_text(f"alice:{hash_password('new', 4)}\n")
    clock.now += 1
    assert await passwords.check("alice", "right") is None
    assert await passwords.check("alice", "new")
    path.unlink()
    clock.now += 1
    assert passwords.cached("alice", "new") is None
    assert await passwords.check("alice", "new") is None


async def test_an_absent_user_costs_as_much(passwords: Passwords, checks: list[bytes], path: Path) -> None:
    assert await passwords.check("nobody", "x") is None
    assert checks[0].startswith(b"$2b$04$")
    path.unlink()
    empty = Passwords(Htpasswd(path), path.with_name("lock"))
    assert await empty.check("nobody", "x") is None
    assert checks[1].startswith(b"$2b$10$")
    empty.close()


async def test_those_who_ask_the_same_share_an_answer(passwords: Passwords, checks: list[bytes]) -> None:
    answers = await asyncio.gather(*(passwords.check("alice", "right") for _ in range(100)))
    assert all(answers)
    assert len(checks) == 1


async def test_the_queue_is_short_and_the_machine_checks_one_at_a_time(
    passwords: Passwords, path: Path, checks: list[bytes]
) -> None:
    with FileLock(path.with_name("lock")):  # as another process would
        waiting = [asyncio.ensure_future(passwords.check("alice", f"p{n}")) for n in range(QUEUE_LIMIT)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests) as refused:
            await passwords.check("alice", "one more")
        assert refused.value.retry_after >= 1
        waiting[0].cancel()  # who leaves takes nothing with them
        assert checks == []
    assert [await one for one in waiting[1:]] == [None] * (QUEUE_LIMIT - 1)
    assert await passwords.check("alice", "right")


async def test_on_a_busy_machine_the_queue_is_shorter(passwords: Passwords, path: Path) -> None:
    passwords._seconds = 3.0
    with FileLock(path.with_name("lock")):
        waiting = [asyncio.ensure_future(passwords.check("alice", f"p{n}")) for n in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests) as refused:
            await passwords.check("alice", "one more")
        assert refused.value.retry_after == 7
    assert await asyncio.gather(*waiting) == [None, None]


async def test_the_loop_goes_on_while_a_password_is_checked(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(password: bytes, hashed: bytes) -> bool:
        started.set()
        return go_on.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(module.bcrypt, "checkpw", slow)
    asked = asyncio.ensure_future(passwords.check("alice", "right"))
    await asyncio.sleep(0)
    wait_until(started.is_set, "the check to begin")
    go_on.set()
    assert await asked


async def test_bytes_after_the_72nd_do_not_count(passwords: Passwords) -> None:
    assert await passwords.check("long", "x" * 72)
    assert await passwords.check("long", "x" * 1000)
    assert await passwords.check("long", "x" * 71) is None


async def test_an_unreadable_file_is_a_failure(tmp_path: Path) -> None:
    passwords = Passwords(Htpasswd(tmp_path), tmp_path / "lock")
    with pytest.raises(StorageFailed):
        await passwords.check("alice", "right")
    with pytest.raises(StorageFailed):
        passwords.is_current("alice", "x")
    passwords.close()


@given(
    st.text(st.characters(blacklist_categories=("Cs",)), max_size=90), st.text("./$2aby0145Xé", max_size=64)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("\0", "$2b$04$" + "." * 53)
@example("x" * 73, "$2y$04$" + "." * 53)
@example("x", "$2y$04$" + "9" * 53)
async def test_no_hash_and_no_password_ends_anything(
    passwords: Passwords, password: str, hashed: str
) -> None:
    if any(int(number) > 8 for number in re.findall("[0-9]+", hashed.removeprefix("$2"))):
        return  # a cost that takes for ever, which the parser of the file lets nobody have
    assert passwords._check(hashed.encode(), password.encode()) in (True, False)


def test_hashes_are_those_of_htpasswd() -> None:
    hashed = hash_password("secret", 4)
    assert hashed.startswith("$2y$04$")
    assert bcrypt.checkpw(b"secret", hashed.encode())
    for password in ("", "x" * 73):
        with pytest.raises(ValueError, match="from 1 to 72"):
            hash_password(password, 4)


# -- whose turn it is --------------------------------------------------------------------------------------


class Turn:
    """A client that may fail so often."""

    def __init__(self, address: str = "192.0.2.1", failures: int = 1000) -> None:
        self.address = address
        self.left = failures
        self.settled: list[bool] = []

    def admit(self) -> None:
        if self.left <= 0:
            raise TooManyRequests("no more", 1)

    def settle(self, right: bool) -> None:
        self.settled.append(right)
        if not right:
            self.left -= 1


async def guess(passwords: Passwords, user: str, password: str, turn: Turn) -> str:
    try:
        return "right" if await passwords.check(user, password, turn) else "wrong"
    except TooManyRequests as error:
        return str(error)


async def test_parallel_guesses_get_what_one_after_the_other_gets(
    passwords: Passwords, checks: list[bytes]
) -> None:
    turn = Turn(failures=2)
    asked = (guess(passwords, f"user{number % 8}", f"p{number}", turn) for number in range(32))
    answers = await asyncio.gather(*asked)
    assert answers.count("wrong") == 2
    assert len(checks) == 2
    assert turn.settled == [False, False]


async def test_those_of_two_processes_get_what_one_after_the_other_gets(
    passwords: Passwords, path: Path, clock: Clock
) -> None:
    other, turn = Passwords(Htpasswd(path, clock), path.with_name("lock"), 60, clock), Turn(failures=2)
    both = [guess(one, "alice", f"p{number}", turn) for number in range(4) for one in (passwords, other)]
    answers = await asyncio.gather(*both)
    other.close()
    assert answers.count("wrong") == 2
    assert answers.count("no more") == 6


async def test_who_asks_the_same_at_once_counts_once(passwords: Passwords) -> None:
    turn = Turn()
    await asyncio.gather(*(guess(passwords, "alice", "wrong", turn) for _ in range(32)))
    assert turn.settled == [False]
    assert await guess(passwords, "alice", "wrong", turn) == "wrong"  # what is remembered counts as well
    assert turn.settled == [False, False]


async def test_guesses_of_others_keep_nobody_waiting(passwords: Passwords, path: Path) -> None:
    order: list[str] = []

    async def ask(user: str, password: str, address: str) -> None:
        order.append(f"{address} {await guess(passwords, user, password, Turn(address))}")

    with FileLock(path.with_name("lock")):
        guesses = [ask(f"user{number}", "p", "192.0.2.66") for number in range(40)]
        waiting = asyncio.gather(*guesses, ask("alice", "right", "192.0.2.1"))
        await asyncio.sleep(0.05)
    await waiting
    assert "192.0.2.1 right" in [one for one in order if "too many" not in one][:3]
    assert sum("too many" in one for one in order) == 40 - module.QUEUE_LIMIT_OF_ADDRESS


async def test_a_wrong_password_costs_the_same_whoever_it_is_for(
    path: Path, tmp_path: Path, checks: list[bytes]
) -> None:
    costs = {"low": 4, "middle": 6, "high": 8}
    path.write_text("".join(f"{name}:{hash_password('right', cost)}\n" for name, cost in costs.items()))
    passwords = Passwords(Htpasswd(path), tmp_path / "other-lock")
    work = {}
    for name in (*costs, "nobody"):
        checks.clear()
        assert await passwords.check(name, "wrong") is None
        work[name] = sum(2 ** int(hashed[4:6]) for hashed in checks)
    passwords.close()
    assert set(work.values()) == {2**8}
