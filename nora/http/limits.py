"""How much one client may ask for, over all workers: rates of requests, and failures to say who it is.

Both are numbers in memory that the parent maps before it forks the workers (`Cells`). A rate is one number
for each client, the time at which its credit is whole again (GCRA, the leaky bucket as a meter): there is no
window that starts anew, and how long a request that comes too early has to wait is known exactly.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from ipaddress import ip_network
from math import ceil
from typing import Any, Final, Literal, TypeVar

from nora.errors import TooManyRequests
from nora.http.clients import SCOPE_KEY
from nora.locks import NumberedLocks
from nora.model import ANONYMOUS
from nora.observability.audit import CREDENTIAL_HEADERS

T = TypeVar("T")

Class = Literal["auth", "upload", "general"]
"""`auth`: failures to say who one is; `upload`: requests that would change something; `general`: others."""
CLASSES: tuple[Class, ...] = ("auth", "upload", "general")

FIRST_LOCK: Final = 5
"""The failure of a name from an address that locks it, for one second; each further one doubles that."""
LONGEST_LOCK: Final = 900.0
MEMORY_SECONDS: Final = 900.0
"""How long after the last one failures are remembered."""
LONGEST_DELAY: Final = 1.0
_DELAY_PER_FAILURE: Final = 0.05

_WAYS: Final = 4
_CELL: Final = 4
"""Numbers of a cell: whose it is, until when it says anything, and the two that its owner keeps there."""
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Cell:
    """What is kept for a key."""

    expires: float
    """When it may be forgotten, on the clock of `time.monotonic`."""
    level: float = 0.0
    count: float = 0.0


Step = Callable[[Cell, float], tuple[Cell | None, T]]
"""Gets a cell and the time; returns what is to stand there, None for no change, and a result."""


class Cells:
    """A table of fixed size in the memory of all workers. Make it in the parent process.

    A key has its place in one of the rows of four cells; where these are taken, the one that can be forgotten
    first makes room. Keys are told apart by 64 bits of a hash with a secret key, so that nobody can choose an
    address or a name that shares a cell with another's.
    """

    def __init__(self, rows: int) -> None:
        memory = memoryview(mmap.mmap(-1, rows * _WAYS * _CELL * 8)).cast("B")
        self._rows = rows
        self._owners = memory.cast("Q")
        self._numbers = memory.cast("d")
        self._locks = NumberedLocks()
        self._secret = os.urandom(16)

    def change(self, key: str, step: Step[T]) -> T:
        """Let `step` look at the cell of a key, and change it, while no other process does."""
        hashed = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, key=self._secret).digest()
        owner = int.from_bytes(hashed, "little") | 1  # 0 is nobody
        row = (owner >> 1) % self._rows
        self._locks.acquire(row)
        try:
            now = time.monotonic()
            place, cell = self._find(owner, row * _WAYS * _CELL)
            changed, result = step(cell, now)
            if changed is not None:
                self._owners[place] = owner
                self._numbers[place + 1] = changed.expires
                self._numbers[place + 2] = changed.level
                self._numbers[place + 3] = changed.count
            return result
        finally:
            self._locks.release(row)

    def _find(self, owner: int, start: int) -> tuple[int, Cell]:
        """Where the cell of an owner is, or may be put."""
        numbers = self._numbers
        places = range(start, start + _WAYS * _CELL, _CELL)
        for place in places:
            if self._owners[place] == owner:
                return place, Cell(numbers[place + 1], numbers[place + 2], numbers[place + 3])
        return min(places, key=lambda place: numbers[place + 1]), Cell(0.0)


@lru_cache(4096)
def client_of(address: str) -> str:
    """Which addresses are one client: an IPv4 address, or the network of 64 bits that whoever has one IPv6
    address usually has all of."""
    return str(ip_network(f"{address}/64", strict=False)) if ":" in address else address


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second, and so many at once for who has been quiet. A zero means no limit."""

    per_second: int
    burst: int

    def __bool__(self) -> bool:
        return self.per_second > 0 and self.burst > 0

    def take(self, cell: Cell, now: float) -> tuple[Cell | None, float]:
        """The step that takes one request; the result is how many seconds too early it comes."""
        whole_again = max(cell.level, now) + 1 / self.per_second
        wait = whole_again - now - self.burst / self.per_second
        if wait > 1e-9:  # what the sums of the clock's digits lose
            return None, wait
        return Cell(whole_again, whole_again), 0.0

    def give_back(self, cell: Cell, now: float) -> tuple[Cell | None, None]:
        """The step that undoes a `take`."""
        level = cell.level - 1 / self.per_second
        return Cell(level, level), None

    def wait(self, cell: Cell, now: float) -> tuple[None, float]:
        """The step that only looks."""
        return None, self.take(cell, now)[1]


def _refuse(message: str, wait: float) -> TooManyRequests:
    return TooManyRequests(f"{message}; try again in {ceil(wait)} s", ceil(wait))


class RateLimits:
    """The limits of requests. Who has said who it is has none: behind one address may be a hundred jobs.

    Whether credentials are good is known only when the request has been answered. So a request without any
    takes its turn before it is handled, and gets it back when all it learned is that it has to give some; one
    with credentials that count for nothing takes it afterwards, and its answer is withheld when there is none
    left. Wrong credentials are counted by `Attempts`.
    """

    def __init__(
        self,
        cells: Cells,
        rates: Mapping[Class, Rate],
        refused: Callable[[Class], None],
        *,
        credentials_count: bool = True,
    ) -> None:
        """`refused` is told of each request that is refused. Without `credentials_count` every request takes
        its turn before it is handled, whatever it says: for a server that asks nobody who it is, or when the
        limits are for everybody."""
        self._cells = cells
        self._rates = rates
        self._refused = refused
        self._credentials_count = credentials_count

    def admit(self, scope: dict[str, Any]) -> None:
        """Before a request is handled. Raises TooManyRequests."""
        if not self._shows_credentials(scope):
            self._take(scope)

    def settle(self, scope: dict[str, Any], status: int) -> None:
        """When the answer is known. Raises TooManyRequests when it must not be given."""
        if not self._credentials_count or status == TooManyRequests.status:
            return
        if not self._shows_credentials(scope):
            if status == 401:
                self._give_back(scope)
        elif status != 401 and scope["method"] in _READS and self._is_anonymous(scope):
            self._take(scope)

    def _shows_credentials(self, scope: dict[str, Any]) -> bool:
        return self._credentials_count and any(name in CREDENTIAL_HEADERS for name, _ in scope["headers"])

    @staticmethod
    def _is_anonymous(scope: dict[str, Any]) -> bool:
        principal = scope.get("nora.principal", ANONYMOUS)
        return bool(principal.is_anonymous)

    def _take(self, scope: dict[str, Any]) -> None:
        kind = _class_of(scope)
        rate = self._rates[kind]
        if rate and (wait := self._cells.change(_key(kind, scope[SCOPE_KEY]), rate.take)):
            self._refused(kind)
            raise _refuse("too many requests", wait)

    def _give_back(self, scope: dict[str, Any]) -> None:
        kind = _class_of(scope)
        if rate := self._rates[kind]:
            self._cells.change(_key(kind, scope[SCOPE_KEY]), rate.give_back)


def _class_of(scope: dict[str, Any]) -> Class:
    return "general" if scope["method"] in _READS else "upload"


def _key(kind: str, address: str, user: str = "") -> str:
    return f"{kind}\0{client_of(address)}\0{user}"


class Attempts:
    """Failures to say who one is, and what follows from them.

    What is locked is a name *from an address*: nobody can lock a name for others, and a name with a stale
    password does not lock its neighbours behind the same address. Whoever tries many names from one address
    runs into the rate of the class `auth`. Whoever tries one name from many addresses makes every first login
    with that name slower, by a second at most.
    """

    def __init__(self, cells: Cells, rate: Rate, refused: Callable[[Class], None]) -> None:
        """`rate` limits the failures of one client, whatever name it gives."""
        self._cells = cells
        self._rate = rate
        self._refused = refused

    def check(self, address: str, user: str) -> float:
        """Before a secret is looked at: how many seconds to wait with that. Raises TooManyRequests while the
        name is locked for this address, or the address has failed too often."""
        wait = self._cells.change(_key("lock", address, user), _locked)
        if not wait and self._rate:
            wait = self._cells.change(_key("auth", address), self._rate.wait)
        if wait:
            self._refused("auth")
            raise _refuse("too many failed attempts to authenticate", wait)
        return self._cells.change(f"name\0{user}", _slowness)

    def on_failure(self, address: str, user: str) -> None:
        """The secret was wrong, or nobody has this name. Not when the storage could not tell."""
        self._cells.change(_key("lock", address, user), _fail)
        if self._rate:
            self._cells.change(_key("auth", address), self._rate.take)
        self._cells.change(f"name\0{user}", _slow)

    def on_success(self, address: str, user: str) -> None:
        """The secret was right: what failed before from this address with this name is forgotten."""
        self._cells.change(_key("lock", address, user), _forget)


def _locked(cell: Cell, now: float) -> tuple[None, float]:
    return None, max(0.0, cell.level - now)


def _fail(cell: Cell, now: float) -> tuple[Cell, None]:
    failures = cell.count + 1 if cell.expires > now else 1.0
    beyond = failures - FIRST_LOCK
    until = now + min(LONGEST_LOCK, 2.0 ** min(beyond, 64.0)) if beyond >= 0 else 0.0
    return Cell(max(until, now) + MEMORY_SECONDS, until, failures), None


def _forget(cell: Cell, now: float) -> tuple[Cell | None, None]:
    return Cell(0.0) if cell.count else None, None


def _slow(cell: Cell, now: float) -> tuple[Cell, None]:
    """One more failure of a name; a second makes up for one."""
    level = min(max(cell.level, now) + 1.0, now + MEMORY_SECONDS)
    return Cell(level, level), None


def _slowness(cell: Cell, now: float) -> tuple[None, float]:
    beyond = cell.level - now - FIRST_LOCK
    return None, min(LONGEST_DELAY, max(0.0, beyond * _DELAY_PER_FAILURE))
