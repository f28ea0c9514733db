"""Passwords, checked without being felt by anybody else.

bcrypt takes a quarter of a second of a core at cost 12, on purpose. So it runs in a thread of low priority,
one check at a time on the whole machine. Whether a client may try yet another password is asked when its turn
has come, and what became of it is told before the next one's: who asks thirty at a time learns as much as who
asks one after the other. The addresses take turns, so that many guesses from one of them do not keep others
waiting, and the queue of each is short.

What was checked is remembered for a while - under a keyed hash of hash, user and password, so that a
changed password is another question - and those who ask the same at the same time share one answer. A wrong
password takes as long as the most costly hash of the file, whoever it is for.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import bcrypt

from nora.auth.htpasswd import Account, Htpasswd
from nora.errors import TooManyRequests
from nora.locks import FileLock
from nora.processes import lower_priority

QUEUE_LIMIT: Final = 4
"""Checks of one name from one address that wait in one process."""
QUEUE_LIMIT_OF_ADDRESS: Final = 32
QUEUE_LIMIT_OF_ALL: Final = 256
LONGEST_WAIT: Final = 5.0
"""Seconds that those of one name may take, as far as one can tell: a busy machine has a shorter queue."""
REFUSED_SECONDS: Final = 10.0
"""How long a wrong password is remembered."""
REMEMBERED: Final = 4096
LONGEST_PASSWORD: Final = 72
"""Bytes that bcrypt looks at; htpasswd, like everybody, ignores what follows."""
_DEFAULT_COST = 10


class Turn(Protocol):
    """The client that a password comes from. Its methods are called in a thread, by one process at a time."""

    address: str

    def admit(self) -> None:
        """Before the password is looked at. Raises TooManyRequests."""
        ...

    def settle(self, right: bool) -> None:
        """What it turned out to be, before another one is looked at."""
        ...


@dataclass(frozen=True, slots=True)
class _Check:
    """One that waits."""

    question: bytes
    user: str
    hashed: bytes
    cost: int
    password: bytes
    turn: Turn | None
    answer: asyncio.Future[bool]

    @property
    def address(self) -> str:
        return self.turn.address if self.turn else ""


class Proof(NamedTuple):
    """Of a password that was right."""

    account: Account
    """As the file had it then."""
    question: bytes
    """Under which it is remembered."""


class Passwords:
    """Checks passwords against the accounts of a file. `lock` is the file by which processes take turns."""

    def __init__(
        self,
        accounts: Htpasswd,
        lock: Path,
        ttl_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._htpasswd = accounts
        self._lock = FileLock(lock)
        self._ttl = ttl_seconds
        self._clock = clock
        self._key = os.urandom(32)
        self._known: OrderedDict[bytes, tuple[float, bool]] = OrderedDict()
        self._pending: dict[tuple[bytes, str], asyncio.Future[bool]] = {}
        """Answers that are on their way, by question and address."""
        self._queues: OrderedDict[str, deque[_Check]] = OrderedDict()
        """By address; the first one is next."""
        self._waiting: Counter[tuple[str, ...]] = Counter()
        """Those in the queues: of each name at an address, of each address, and all."""
        self._is_busy = False
        self._thread = ThreadPoolExecutor(1, "passwords", lower_priority)
        self._seconds = 0.25
        """That the last check took, with the wait for those of other processes."""

    def cached(self, user: str, password: str) -> Account | bool | None:
        """What is known without asking: the account, False for a wrong password, None when it is not known.

        Raises StorageFailed.
        """
        account = self._htpasswd.accounts.get(user)
        known = self._known.get(self._question(account, user, password))
        if known is None or known[0] <= self._clock():
            return None
        return account if known[1] else False

    def proof(self, account: Account, password: str) -> Proof:
        """What `holds` needs to know of a password that was right."""
        return Proof(account, self._question(account, account.name, password))

    def holds(self, proof: Proof) -> bool:
        """Whether a password is still remembered as right, without reading it again. Raises StorageFailed."""
        known = self._known.get(proof.question)
        return (
            known is not None
            and known[0] > self._clock()
            and self._htpasswd.accounts.get(proof.account.name) is proof.account
        )

    async def check(self, user: str, password: str, turn: Turn | None = None) -> Account | None:
        """The account of a user with the right password, else None.

        A user who is not there takes as long as one who is. Raises TooManyRequests when too many checks wait,
        or `turn` does; StorageFailed.
        """
        account = self._htpasswd.accounts.get(user)
        question = self._question(account, user, password)
        known = self._fresh(question)
        if known is None:
            pending = self._pending.get((question, turn.address if turn else ""))
            known = await asyncio.shield(pending or self._ask(question, account, user, password, turn))
        elif turn is not None:
            turn.settle(known)
        return account if known else None

    def is_current(self, user: str, fingerprint: str) -> bool:
        """Whether a user is still there with the password of this fingerprint. Raises StorageFailed."""
        account = self._htpasswd.accounts.get(user)
        return account is not None and account.fingerprint == fingerprint

    def close(self) -> None:
        """Let go of the thread and of the lock; who still waits gets no answer."""
        self._queues.clear()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._lock.close()

    def _question(self, account: Account | None, user: str, password: str) -> bytes:
        text = f"{account.password_hash if account else ''}\0{user}\0{password}"
        return blake2b(text.encode(), key=self._key, digest_size=16).digest()

    def _fresh(self, question: bytes) -> bool | None:
        """The remembered answer."""
        known = self._known.get(question)
        return known[1] if known is not None and known[0] > self._clock() else None

    def _ask(
        self, question: bytes, account: Account | None, user: str, password: str, turn: Turn | None
    ) -> asyncio.Future[bool]:
        """Put a check into the queue. An absent user has a hash that fits nothing, as costly as any other."""
        cost = self._htpasswd.highest_cost or _DEFAULT_COST
        hashed = account.password_hash.encode() if account else bcrypt.gensalt(cost) + b"." * 31
        left = max(0, cost - account.cost) if account else 0
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        one = _Check(question, user, hashed, left, password.encode(), turn, answer)
        self._enqueue(one)
        self._pending[question, one.address] = answer
        answer.add_done_callback(lambda done: self._forget(one, done))
        self._start_next()
        return answer

    def _enqueue(self, one: _Check) -> None:
        """Raises TooManyRequests."""
        of_name = self._waiting[one.address, one.user]
        seconds = of_name * self._seconds
        if (
            of_name >= QUEUE_LIMIT
            or seconds > LONGEST_WAIT
            or self._waiting[one.address,] >= QUEUE_LIMIT_OF_ADDRESS
            or self._waiting[()] >= QUEUE_LIMIT_OF_ALL
        ):
            raise TooManyRequests(
                "too many passwords are being checked; a token needs none", int(seconds) + 1
            )
        for counted in ((one.address, one.user), (one.address,), ()):
            self._waiting[counted] += 1
        self._queues.setdefault(one.address, deque()).append(one)

    def _forget(self, one: _Check, done: asyncio.Future[bool]) -> None:
        """An answer has come; whoever asked may have left: it counts as seen."""
        self._pending.pop((one.question, one.address), None)
        for counted in ((one.address, one.user), (one.address,), ()):
            self._waiting[counted] -= 1
            if not self._waiting[counted]:
                del self._waiting[counted]
        if not done.cancelled():
            done.exception()

    def _start_next(self) -> None:
        """Let the thread check the next one, of the address whose turn is longest ago."""
        while self._queues and not self._is_busy:
            address, queue = self._queues.popitem(last=False)
            one = queue.popleft()
            if queue:
                self._queues[address] = queue
            known = self._fresh(one.question)
            if known is not None:  # somebody else asked the same meanwhile
                if one.turn is not None:
                    one.turn.settle(known)
                one.answer.set_result(known)
                continue
            self._is_busy = True
            run = partial(self._check, one.hashed, one.password, one.turn, one.cost)
            checked = asyncio.get_running_loop().run_in_executor(self._thread, run)
            checked.add_done_callback(partial(self._answer, one))

    def _answer(self, one: _Check, checked: asyncio.Future[bool]) -> None:
        self._is_busy = False
        if checked.cancelled():  # the process stops
            one.answer.cancel()
            return
        error = checked.exception()
        if error is not None:
            one.answer.set_exception(error)
        else:
            self._remember(one.question, checked.result())
            one.answer.set_result(checked.result())
        self._start_next()

    def _check(self, hashed: bytes, password: bytes, turn: Turn | None = None, left: int = 0) -> bool:
        """`left`: by how much the hash is cheaper than the most costly one. A wrong password takes as long
        as with that: each further step of cost doubles the time."""
        waited = time.monotonic()
        with self._lock:
            if turn is not None:
                turn.admit()
            right = _fits(password, hashed)
            if not right:
                for cost in range(int(hashed[4:6]), int(hashed[4:6]) + left) if left else ():
                    _fits(password, bcrypt.gensalt(cost) + b"." * 31)
            if turn is not None:
                turn.settle(right)
            self._seconds = time.monotonic() - waited
            return right

    def _remember(self, question: bytes, right: bool) -> None:
        if len(self._known) >= REMEMBERED:
            self._known.popitem(last=False)
        self._known[question] = (self._clock() + (self._ttl if right else REFUSED_SECONDS), right)


def _fits(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password[:LONGEST_PASSWORD], hashed)
    except ValueError:  # whatever bcrypt cannot take for a hash or a password
        return False


def hash_password(password: str, cost: int = 12) -> str:
    """A bcrypt hash as htpasswd writes it. Raises ValueError for a password that bcrypt cuts off."""
    encoded = password.encode()
    if not encoded or len(encoded) > LONGEST_PASSWORD:
        raise ValueError(f"a password has from 1 to {LONGEST_PASSWORD} bytes")
    return bcrypt.hashpw(encoded, bcrypt.gensalt(cost)).decode().replace("$2b$", "$2y$", 1)
