"""Passwords, checked without being felt by anybody else.

bcrypt takes a quarter of a second of a core at cost 12, on purpose. So it runs in a thread of low priority,
one check at a time on the whole machine, and the queue for it is short: whoever finds it full is told to come
back. What was checked is remembered for a while - under a keyed hash of hash, user and password, so that a
changed password is another question - and those who ask the same at the same time share one answer.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import bcrypt

from nora.auth.htpasswd import Account, Htpasswd
from nora.errors import TooManyRequests
from nora.locks import FileLock
from nora.processes import lower_priority

QUEUE_LIMIT: Final = 8
"""Checks that wait in one process."""
LONGEST_WAIT: Final = 5.0
"""Seconds that they may take, as far as one can tell: a busy machine has a shorter queue."""
REFUSED_SECONDS: Final = 10.0
"""How long a wrong password is remembered."""
REMEMBERED: Final = 4096
LONGEST_PASSWORD: Final = 72
"""Bytes that bcrypt looks at; htpasswd, like everybody, ignores what follows."""
_DEFAULT_COST = 10


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
        self._pending: dict[bytes, asyncio.Future[bool]] = {}
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

    async def check(self, user: str, password: str) -> Account | None:
        """The account of a user with the right password, else None.

        A user who is not there takes as long as one who is. Raises TooManyRequests when too many checks wait,
        StorageFailed.
        """
        account = self._htpasswd.accounts.get(user)
        question = self._question(account, user, password)
        known = self._known.get(question)
        if known is not None and known[0] > self._clock():
            return account if known[1] else None
        pending = self._pending.get(question) or self._ask(question, self._hash_of(account), password)
        right = await asyncio.shield(pending)
        self._remember(question, right and account is not None)
        return account if right else None

    def is_current(self, user: str, fingerprint: str) -> bool:
        """Whether a user is still there with the password of this fingerprint. Raises StorageFailed."""
        account = self._htpasswd.accounts.get(user)
        return account is not None and account.fingerprint == fingerprint

    def close(self) -> None:
        """Let go of the thread and of the lock."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._lock.close()

    def _question(self, account: Account | None, user: str, password: str) -> bytes:
        text = f"{account.password_hash if account else ''}\0{user}\0{password}"
        return blake2b(text.encode(), key=self._key, digest_size=16).digest()

    def _hash_of(self, account: Account | None) -> bytes:
        """The hash to check against: for an absent user one that fits nothing, as costly as the others."""
        if account is not None:
            return account.password_hash.encode()
        costs = {one.cost for one in self._htpasswd.accounts.values()}
        return bcrypt.gensalt(max(costs, default=_DEFAULT_COST)) + b"." * 31

    def _ask(self, question: bytes, hashed: bytes, password: str) -> asyncio.Future[bool]:
        waiting = len(self._pending)
        seconds = waiting * self._seconds
        if waiting >= QUEUE_LIMIT or seconds > LONGEST_WAIT:
            raise TooManyRequests(
                "too many passwords are being checked; a token needs none", int(seconds) + 1
            )
        loop = asyncio.get_running_loop()
        pending = loop.run_in_executor(self._thread, self._check, hashed, password.encode())
        self._pending[question] = pending
        pending.add_done_callback(lambda done: self._answered(question, done))
        return pending

    def _answered(self, question: bytes, done: asyncio.Future[bool]) -> None:
        self._pending.pop(question, None)
        if not done.cancelled():
            done.exception()  # whoever asked may have left: it counts as seen

    def _check(self, hashed: bytes, password: bytes) -> bool:
        began = time.monotonic()
        with self._lock:
            try:
                return bcrypt.checkpw(password[:LONGEST_PASSWORD], hashed)
            except ValueError:  # whatever bcrypt cannot take for a hash or a password
                return False
            finally:
                self._seconds = time.monotonic() - began

    def _remember(self, question: bytes, right: bool) -> None:
        if len(self._known) >= REMEMBERED:
            self._known.popitem(last=False)
        self._known[question] = (self._clock() + (self._ttl if right else REFUSED_SECONDS), right)


def hash_password(password: str, cost: int = 12) -> str:
    """A bcrypt hash as htpasswd writes it. Raises ValueError for a password that bcrypt cuts off."""
    encoded = password.encode()
    if not encoded or len(encoded) > LONGEST_PASSWORD:
        raise ValueError(f"a password has from 1 to {LONGEST_PASSWORD} bytes")
    return bcrypt.hashpw(encoded, bcrypt.gensalt(cost)).decode().replace("$2b$", "$2y$", 1)
