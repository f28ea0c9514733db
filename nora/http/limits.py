"""How much one client may ask for, over all workers: rates of requests, and failures to say who it is.

Both are numbers in memory that the workers share (nora.observability.shared_table). A rate is one number
for each client, the time at which its credit is whole again (GCRA, the leaky bucket as a meter): there is no
window that starts anew, and how long a request that comes too early has to wait is known exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Literal

from nora.errors import TooManyRequests
from nora.http.clients import SCOPE_KEY
from nora.http.sites import READS
from nora.model import ANONYMOUS
from nora.observability.audit import CREDENTIAL_HEADERS
from nora.observability.logs import REQUEST_ID
from nora.observability.shared_table import Cell, SharedTable

if TYPE_CHECKING:
    from nora.config import Config
    from nora.observability.metrics import Metrics
    from nora.observability.shared import SharedMemory

Class = Literal["auth", "upload", "general", "upstream"]
"""`auth`: wrong passwords; `upload`: requests that would change something; `general`: all others; `upstream`:
what they want that is not here, so that an upstream is asked for it."""

FIRST_LOCK: Final = 5
"""The failure of a name from an address that locks it, for one second; each further one doubles that."""
LONGEST_LOCK: Final = 900.0
MEMORY_SECONDS: Final = 900.0
"""How long after the last one failures are remembered."""
LONGEST_DELAY: Final = 1.0
_DELAY_PER_FAILURE: Final = 0.05


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

    Whether credentials are good is known only when somebody has looked at them. So a request without any
    takes its turn before it is handled, and gets it back when all it learned is that it has to give some; one
    with credentials that count for nothing takes it when that is found out, before anything is done for it
    (`admit_stranger`); one with wrong ones afterwards, and its answer is withheld when there is none left.
    Guessing passwords is limited by `Attempts`.
    """

    def __init__(
        self,
        shared_table: SharedTable,
        rates: Mapping[Class, Rate],
        refused: Callable[[str], None],
        *,
        credentials_count: bool = True,
    ) -> None:
        """`refused` is told of each request that is refused. Without `credentials_count` every request takes
        its turn before it is handled, whatever it says: for a server that asks nobody who it is, or when the
        limits are for everybody."""
        self._table = shared_table
        self._rates = rates
        self._refused = refused
        self._credentials_count = credentials_count

    @classmethod
    def build(cls, config: Config, memory: SharedMemory, metrics: Metrics) -> RateLimits | None:
        """As the configuration has it; None when it has them off."""
        settings = config.rate_limit
        if not (config.auth.enabled if settings.enabled == "auto" else settings.enabled):
            return None
        return cls(
            memory.requests,
            {
                "general": Rate(settings.general_rps, settings.general_burst),
                "upload": Rate(settings.upload_rps, settings.upload_burst),
                "upstream": Rate(settings.upstream_rps, settings.upstream_burst),
            },
            metrics.count_refusal,
            credentials_count=config.auth.enabled and not settings.authenticated,
        )

    @property
    def spare_known(self) -> bool:
        """Whether who is known asks for as much as they want."""
        return self._credentials_count

    def admit(self, scope: dict[str, Any]) -> None:
        """Before a request is handled. Raises TooManyRequests."""
        if self._shows_credentials(scope):
            scope[_LIMITS] = self
        else:
            self._take(scope)

    def conclude(self, scope: dict[str, Any], status: int) -> None:
        """When the answer is known. Raises TooManyRequests when it must not be given."""
        principal = scope.get("nora.principal", ANONYMOUS)
        if not principal.is_anonymous or not self._credentials_count or status == TooManyRequests.status:
            return
        if not self._shows_credentials(scope):
            if status == 401:
                self._give_back(scope)
        elif scope.get(_LIMITS, self) is None:
            return  # it has taken its turn
        elif status >= 400 or scope["method"] in READS:  # of a change that was made the answer is given
            self._take(scope)

    def _shows_credentials(self, scope: dict[str, Any]) -> bool:
        if self._credentials_count:
            for name, _ in scope["headers"]:
                if name in CREDENTIAL_HEADERS:
                    return True
        return False

    def take_upstream(self, address: str) -> None:
        """Before an upstream is asked for a client. Raises TooManyRequests."""
        rate = self._rates.get("upstream")
        if rate and (wait := self._table.change(_key("upstream", address), rate.take)):
            self._refused("upstream")
            raise _refuse("too many requests for what is not here, so that upstreams are asked for it", wait)

    def _take(self, scope: dict[str, Any]) -> None:
        kind = _class_of(scope)
        _asks.set((REQUEST_ID.get(), self, scope[SCOPE_KEY]))
        rate = self._rates[kind]
        if rate and (wait := self._table.change(_key(kind, scope[SCOPE_KEY]), rate.take)):
            self._refused(kind)
            raise _refuse("too many requests", wait)

    def _give_back(self, scope: dict[str, Any]) -> None:
        kind = _class_of(scope)
        if rate := self._rates[kind]:
            self._table.change(_key(kind, scope[SCOPE_KEY]), rate.give_back)


_LIMITS: Final = "nora.limits"
"""Where a request with credentials has its limits until they have been asked: then None."""


def admit_stranger(scope: dict[str, Any]) -> None:
    """Where everybody may read, once the credentials of a request are found to count for nothing: it takes
    its turn as if it had none, before it costs more. Raises TooManyRequests."""
    limits: RateLimits | None = scope.get(_LIMITS)
    if limits is not None:
        scope[_LIMITS] = None
        limits._take(scope)


_asks: ContextVar[tuple[str, RateLimits, str] | None] = ContextVar("asks", default=None)
"""The id of a request that is limited, its limits, and the address of its client."""


def admit_upstream() -> None:
    """Before an upstream is asked for something that is not here, by the request that wants it first. Raises
    TooManyRequests, if that request is limited."""
    asks = _asks.get()
    if asks is not None and asks[0] == REQUEST_ID.get():
        asks[1].take_upstream(asks[2])


def admit_all() -> None:
    """What this task does is for whoever wants it: none of its requests is refused."""
    _asks.set(None)


def _class_of(scope: dict[str, Any]) -> Class:
    return "general" if scope["method"] in READS else "upload"


def _key(kind: str, address: str, user: str = "") -> str:
    return f"{kind}\0{client_of(address)}\0{user}"


class Attempts:
    """Wrong passwords, and what follows from them.

    What is locked is a name *from an address*: nobody can lock a name for others, and a name with a stale
    password does not lock its neighbours behind the same address. Whoever tries many names from one address
    runs into the rate of the class `auth`, but for a name whose right password came from there lately, and
    for the first password of a name, which is looked at a second later: a first login is not refused because
    others guess. Whoever tries one name from many addresses makes logins with that name slower, by a second
    at most.
    """

    def __init__(self, shared_table: SharedTable, rate: Rate, refused: Callable[[str], None]) -> None:
        """`rate` limits the failures of one client, whatever name it gives."""
        self._table = shared_table
        self._rate = rate
        self._refused = refused

    @classmethod
    def build(cls, config: Config, memory: SharedMemory, metrics: Metrics) -> Attempts:
        """As the configuration has it. That limits are off does not make guessing free: names are locked."""
        settings = config.rate_limit
        rate = Rate(settings.auth_rps, settings.auth_burst) if settings.enabled else Rate(0, 0)
        return cls(memory.failures, rate, metrics.count_refusal)

    def check(self, address: str, user: str) -> float:
        """Before a password is looked at: how many seconds to wait with that. Raises TooManyRequests while
        the name is locked for this address, or the address has failed too often."""
        wait, failures = self._table.change(_key("lock", address, user), _standing)
        if failures == _PROVEN:
            return 0.0
        if not wait and self._rate:
            wait = self._table.change(_key("auth", address), self._rate.wait)
            if wait and not failures:
                return LONGEST_DELAY
        if wait:
            self._refused("auth")
            raise _refuse("too many wrong passwords", wait)
        return self._table.change(f"name\0{user}", _slowness)

    def on_failure(self, address: str, user: str) -> None:
        """The password was wrong, or nobody has this name. Not when a store could not tell."""
        self._table.change(_key("lock", address, user), _fail)
        if self._rate:
            self._table.change(_key("auth", address), self._rate.take)
        self._table.change(f"name\0{user}", _slow)

    def on_success(self, address: str, user: str) -> None:
        """The password was checked, and right: what failed before with this name from there is forgotten."""
        self._table.change(_key("lock", address, user), _prove)


_PROVEN: Final = -1.0
"""In place of the failures of a name at an address: its right password came from there. One failure ends
that, so a neighbour has one guess for each time that the password is checked, and no more."""


def _standing(cell: Cell, now: float) -> tuple[None, tuple[float, float]]:
    """How long a name is locked at an address, and how often it failed there."""
    return None, (max(0.0, cell.level - now), cell.tally if cell.expires > now else 0.0)


def _fail(cell: Cell, now: float) -> tuple[Cell, None]:
    failures = max(0.0, cell.tally) + 1 if cell.expires > now else 1.0
    beyond = failures - FIRST_LOCK
    until = now + min(LONGEST_LOCK, 2.0 ** min(beyond, 64.0)) if beyond >= 0 else 0.0
    return Cell(max(until, now) + MEMORY_SECONDS, until, failures), None


def _prove(cell: Cell, now: float) -> tuple[Cell, None]:
    return Cell(now + MEMORY_SECONDS, 0.0, _PROVEN), None


def _slow(cell: Cell, now: float) -> tuple[Cell, None]:
    """One more failure of a name; a second makes up for one."""
    level = min(max(cell.level, now) + 1.0, now + MEMORY_SECONDS)
    return Cell(level, level), None


def _slowness(cell: Cell, now: float) -> tuple[None, float]:
    beyond = cell.level - now - FIRST_LOCK
    return None, min(LONGEST_DELAY, max(0.0, beyond * _DELAY_PER_FAILURE))
