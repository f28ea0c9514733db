"""Rates and lock-outs, on one process and on several that share the cells."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from nora.errors import TooManyRequests
from nora.formats import load_config
from nora.http import limits
from nora.http.limits import (
    Attempts,
    Class,
    Rate,
    RateLimits,
    admit_all,
    admit_stranger,
    admit_upstream,
    client_of,
)
from nora.model import ANONYMOUS, Principal
from nora.observability import shared_table
from nora.observability.logs import REQUEST_ID
from nora.observability.metrics import Metrics
from nora.observability.shared import SharedMemory
from nora.observability.shared_table import Cell, SharedTable

CI = Principal("ci", "token", "write")


class Clock:
    """Time that stands until it is moved."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(shared_table, "time", one)
    return one


def request(
    method: str = "GET", address: str = "192.0.2.1", credentials: str = "", who: Principal | None = None
) -> dict[str, Any]:
    scope: dict[str, Any] = {"method": method, "headers": [], "nora.client": address}
    if credentials:
        scope["headers"].append((b"authorization", credentials.encode()))
    if who is not None:
        scope["nora.principal"] = who
    return scope


def make_limits(refused: Callable[[str], None] = lambda kind: None, **options: Any) -> RateLimits:
    rates: dict[Class, Rate] = {"general": Rate(10, 20), "upload": Rate(2, 3)}
    return RateLimits(SharedTable(64), rates, refused, **options)


def admitted(limits: RateLimits, scope: dict[str, Any], most: int = 1000) -> int:
    """How many such requests are let in until one is not."""
    for count in range(most):
        try:
            limits.admit(scope)
        except TooManyRequests:
            return count
    return most


def refusal(call: Callable[[], object]) -> int:
    with pytest.raises(TooManyRequests) as caught:
        call()
    return caught.value.retry_after


# -- rates ------------------------------------------------------------------------------------------------


def test_a_burst_and_then_the_rate(clock: Clock) -> None:
    one = make_limits()
    assert admitted(one, request()) == 20
    clock.now += 0.5
    assert admitted(one, request()) == 5
    clock.now += 3600
    assert admitted(one, request()) == 20


def test_classes_are_counted_apart(clock: Clock) -> None:
    one = make_limits()
    assert admitted(one, request("PUT")) == 3
    assert admitted(one, request("HEAD")) == 20
    assert admitted(one, request("DELETE")) == 0


def test_retry_after_is_exact(clock: Clock) -> None:
    one = make_limits()
    slow = RateLimits(SharedTable(1), {"general": Rate(1, 1), "upload": Rate(1, 4)}, lambda kind: None)
    slow.admit(request())
    clock.now += 0.25
    assert refusal(lambda: slow.admit(request())) == 1
    clock.now += 0.75
    slow.admit(request())
    assert admitted(slow, request("PUT")) == 4
    wait = refusal(lambda: slow.admit(request("PUT")))
    clock.now += wait
    slow.admit(request("PUT"))
    assert admitted(one, request()) == 20


def test_a_refused_request_costs_nothing(clock: Clock) -> None:
    one = make_limits()
    assert admitted(one, request("PUT")) == 3
    for _ in range(100):
        assert refusal(lambda: one.admit(request("PUT"))) == 1
    clock.now += 0.5
    one.admit(request("PUT"))


def test_zero_is_no_limit() -> None:
    none = RateLimits(SharedTable(1), {"general": Rate(0, 5), "upload": Rate(5, 0)}, lambda kind: None)
    assert admitted(none, request()) == 1000
    assert admitted(none, request("PUT")) == 1000


def test_refusals_are_counted_by_class(clock: Clock) -> None:
    seen: list[str] = []
    one = make_limits(seen.append)
    admitted(one, request("PUT"))
    admitted(one, request())
    assert seen == ["upload", "general"]


def test_addresses_that_are_one_client(clock: Clock) -> None:
    one = make_limits()
    assert admitted(one, request("PUT", "2001:db8:0:1::1")) == 3
    assert admitted(one, request("PUT", "2001:db8:0:1:ffff::2")) == 0
    assert admitted(one, request("PUT", "2001:db8:0:2::1")) == 3
    assert admitted(one, request("PUT", "192.0.2.9")) == 3
    assert client_of("unknown") == "unknown"


def test_who_is_known_is_not_limited(clock: Clock) -> None:
    one = make_limits()
    scope = request(credentials="Bearer good", who=CI)
    for _ in range(100):
        one.admit(scope)
        one.conclude(scope, 200)
    assert admitted(one, request()) == 20


def test_credentials_that_count_for_nothing_do_not_lift_the_limit(clock: Clock) -> None:
    one = make_limits()
    scope = request(credentials="Basic junk")
    for _ in range(20):
        one.admit(scope)
        one.conclude(scope, 200)
    assert refusal(lambda: one.conclude(scope, 200)) == 1
    assert refusal(lambda: one.admit(request())) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_wrong_credentials_are_limited_whatever_they_are(clock: Clock, status: int) -> None:
    """Also with what fails for another reason before anybody has looked at them."""
    one = make_limits()
    scope = request("PUT", credentials="Bearer revoked")
    for _ in range(3):
        one.admit(scope)
        one.conclude(scope, status)
    assert refusal(lambda: one.conclude(scope, status)) == 1


def test_the_answer_to_a_change_that_was_made_is_never_withheld(clock: Clock) -> None:
    one = make_limits()
    scope = request("PUT", credentials="Basic junk", who=ANONYMOUS)
    for _ in range(100):
        one.conclude(scope, 201)


def test_credentials_that_count_for_nothing_take_their_turn_before_anything_is_done(clock: Clock) -> None:
    one = make_limits()
    for _ in range(20):
        scope = request(credentials="Bearer junk")
        one.admit(scope)
        admit_stranger(scope)
        one.conclude(scope, 200)  # which takes no second turn
    scope = request(credentials="Bearer junk")
    one.admit(scope)
    assert refusal(lambda: admit_stranger(scope)) == 1
    admit_stranger(request(credentials="Bearer junk"))  # of a mount without limits


def test_being_asked_for_credentials_costs_nothing(clock: Clock) -> None:
    one = make_limits()
    for _ in range(100):
        one.admit(request())
        one.conclude(request(), 401)
    assert admitted(one, request()) == 20


def test_everybody_is_limited_when_asked_for(clock: Clock) -> None:
    one = make_limits(credentials_count=False)
    assert admitted(one, request(credentials="Bearer good", who=CI)) == 20
    one.conclude(request(), 401)
    assert admitted(one, request()) == 0


# -- upstreams --------------------------------------------------------------------------------------------


def test_what_upstreams_are_asked_for_is_counted_apart(clock: Clock) -> None:
    seen: list[str] = []
    rates: dict[Class, Rate] = {"general": Rate(10, 20), "upload": Rate(2, 3), "upstream": Rate(1, 2)}
    one = RateLimits(SharedTable(64), rates, seen.append)

    def read(name: str, scope: dict[str, Any]) -> None:
        REQUEST_ID.set(name)
        one.admit(scope)

    def reads() -> None:
        admit_upstream()  # outside of requests
        for number in range(3):
            read(f"request {number}", request())
            if number < 2:
                admit_upstream()
        assert refusal(admit_upstream) == 1
        assert seen == ["upstream"]
        read("served from here", request())
        admit_all()
        admit_upstream()
        read("known", request(credentials="Bearer good"))
        for _ in range(5):
            admit_upstream()
        REQUEST_ID.set("of a mount without limits, in the same context")
        admit_upstream()
        stranger = request(credentials="Bearer junk")
        read("stranger", stranger)
        admit_stranger(stranger)
        assert refusal(admit_upstream) == 1

    copy_context().run(reads)


def test_one_machine_installs_five_hundred_packages_in_a_minute(clock: Clock, tmp_path: Path) -> None:
    config = load_config({"NORA_AUTH_ENABLED": "true", "NORA_AUTH_ANONYMOUS_READ": "true"}, tmp_path)
    memory = SharedMemory(1)
    one = RateLimits.build(config, memory, Metrics(memory, 0, version="1", compiled=False))
    assert one is not None
    limits = one

    def install(is_here: bool) -> None:
        for number in range(500):
            for part in ("page", "metadata", "file"):
                REQUEST_ID.set(f"{part} {number}")
                limits.admit(request())
                if not is_here:
                    admit_upstream()

    copy_context().run(install, is_here=False)  # all at once
    clock.now += 60
    copy_context().run(install, is_here=False)
    copy_context().run(install, is_here=True)


# -- the cells --------------------------------------------------------------------------------------------


def _add(cell: Cell, now: float) -> tuple[Cell, float]:
    return Cell(now + 60, cell.level, cell.tally + 1), cell.tally + 1


def test_a_full_row_forgets_what_ends_first(clock: Clock) -> None:
    table = SharedTable(1)
    for number in range(4):
        clock.now += 1
        assert table.change(f"key{number}", _add) == 1
    assert table.change("another", _add) == 1
    assert table.change("key3", _add) == 2
    assert table.change("key0", _add) == 1


def test_names_with_anything_in_them() -> None:
    table = SharedTable(8)
    assert table.change("\ud800\0é" * 1000, _add) == 1
    assert table.change("\ud800\0é" * 1000, _add) == 2


def test_no_change_is_lost_between_processes() -> None:
    """Four processes that hammer one cell: every addition counts."""
    table = SharedTable(16)
    children = [_forked(lambda: [table.change("key", _add) for _ in range(2000)]) for _ in range(4)]
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    assert table.change("key", _add) == 8001


def _forked(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.slow
def test_the_limit_holds_over_four_processes() -> None:
    """Each asks at half of the limit, so together at twice of it."""
    rate, burst, seconds = 200, 100, 3.0
    table = SharedTable(16)
    one = RateLimits(table, {"general": Rate(rate, burst), "upload": Rate(1, 1)}, lambda kind: None)
    began = time.monotonic()

    def ask() -> None:
        done = 0
        for number in range(int(rate / 2 * seconds)):
            time.sleep(max(0.0, began + number / (rate / 2) - time.monotonic()))
            try:
                one.admit(request())
            except TooManyRequests:
                continue
            done += 1
        table.change("done", lambda cell, now: (Cell(now + 60, 0.0, cell.tally + done), None))

    for pid in [_forked(ask) for _ in range(4)]:
        assert os.waitpid(pid, 0)[1] == 0
    took = time.monotonic() - began
    total = table.change("done", lambda cell, now: (None, cell.tally))
    assert 0.9 * (burst + rate * seconds) <= total <= burst + rate * took + 1


# -- lock-out ---------------------------------------------------------------------------------------------


@pytest.fixture
def attempts(clock: Clock) -> Attempts:
    return Attempts(SharedTable(4096), Rate(0, 0), lambda kind: None)


def fail(attempts: Attempts, times: int, address: str = "192.0.2.1", user: str = "ann") -> None:
    for _ in range(times):
        attempts.on_failure(address, user)


def test_four_failures_have_no_consequence(attempts: Attempts) -> None:
    fail(attempts, 4)
    assert attempts.check("192.0.2.1", "ann") == 0


def test_locks_double_and_end(attempts: Attempts, clock: Clock) -> None:
    fail(attempts, 4)
    for expected in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900):
        fail(attempts, 1)
        assert refusal(lambda: attempts.check("192.0.2.1", "ann")) == expected
        clock.now += expected
        attempts.check("192.0.2.1", "ann")


def test_a_lock_is_of_one_name_at_one_address(attempts: Attempts) -> None:
    fail(attempts, 20)
    assert refusal(lambda: attempts.check("192.0.2.1", "ann"))
    attempts.check("192.0.2.1", "bob")
    assert attempts.check("192.0.2.2", "ann") < 1.01


def test_success_clears(attempts: Attempts) -> None:
    fail(attempts, 4)
    attempts.on_success("192.0.2.1", "ann")
    fail(attempts, 4)
    attempts.check("192.0.2.1", "ann")
    fail(attempts, 1)
    attempts.on_success("192.0.2.1", "ann")
    attempts.check("192.0.2.1", "ann")


def test_failures_are_forgotten_after_a_while(attempts: Attempts, clock: Clock) -> None:
    fail(attempts, 4)
    clock.now += limits.MEMORY_SECONDS + 1
    fail(attempts, 4)
    attempts.check("192.0.2.1", "ann")


def test_a_name_that_many_try_becomes_slow_and_nothing_more(attempts: Attempts, clock: Clock) -> None:
    for number in range(200):
        attempts.on_failure(f"198.51.100.{number}", "ann")
    assert attempts.check("192.0.2.1", "ann") == limits.LONGEST_DELAY
    assert attempts.check("192.0.2.1", "bob") == 0
    clock.now += limits.MEMORY_SECONDS
    assert attempts.check("192.0.2.1", "ann") == 0


def test_many_names_from_one_address_run_into_its_rate(clock: Clock) -> None:
    seen: list[str] = []
    one = Attempts(SharedTable(64), Rate(1, 5), seen.append)
    for number in range(5):
        one.check("192.0.2.1", f"user{number}")
        one.on_failure("192.0.2.1", f"user{number}")
    assert refusal(lambda: one.check("192.0.2.1", "user1")) == 1
    assert seen == ["auth"]
    assert one.check("192.0.2.2", "user1") == 0
    clock.now += 1
    one.check("192.0.2.1", "user1")


def test_a_first_login_is_slower_and_not_refused_because_others_guess(clock: Clock) -> None:
    one = Attempts(SharedTable(64), Rate(1, 5), lambda kind: None)
    for number in range(20):
        one.on_failure("192.0.2.1", f"user{number}")
    assert one.check("192.0.2.1", "ann") == limits.LONGEST_DELAY
    one.on_failure("192.0.2.1", "ann")  # so much for the first one
    assert refusal(lambda: one.check("192.0.2.1", "ann"))
    assert one.check("192.0.2.1", "bob") == limits.LONGEST_DELAY
    one.on_success("192.0.2.1", "bob")
    assert one.check("192.0.2.1", "bob") == 0


def test_who_logged_in_there_before_does_not_suffer_from_neighbours(clock: Clock) -> None:
    one = Attempts(SharedTable(64), Rate(1, 5), lambda kind: None)
    one.on_success("192.0.2.1", "ann")
    for number in range(20):
        one.on_failure("192.0.2.1", f"user{number}")
    assert one.check("192.0.2.1", "ann") == 0
    assert refusal(lambda: one.check("192.0.2.1", "user1"))
    one.on_failure("192.0.2.1", "ann")  # but a neighbour gets no second guess out of that
    assert refusal(lambda: one.check("192.0.2.1", "ann"))


def test_a_locked_name_does_not_use_up_the_rate_of_its_neighbours(clock: Clock) -> None:
    """A job with a stale password, behind the address of everybody, for a quarter of an hour."""
    one = Attempts(SharedTable(64), Rate(1, 5), lambda kind: None)
    refused = 0
    for _ in range(900):
        try:
            one.check("192.0.2.1", "stale")
            one.on_failure("192.0.2.1", "stale")
        except TooManyRequests:
            pass
        try:
            one.check("192.0.2.1", "ann")
            one.on_success("192.0.2.1", "ann")
        except TooManyRequests:
            refused += 1
        clock.now += 1
    assert refused <= 1


def test_lockouts_are_those_of_all_processes(clock: Clock) -> None:
    one = Attempts(SharedTable(64), Rate(0, 0), lambda kind: None)
    for pid in [_forked(lambda: fail(one, 2)) for _ in range(4)]:
        assert os.waitpid(pid, 0)[1] == 0
    assert refusal(lambda: one.check("192.0.2.1", "ann")) == 8
