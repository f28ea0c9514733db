"""What the bench reads from /proc, and its arithmetic."""

from __future__ import annotations

import math
import os
import subprocess
import sys

from benches.registries import measure
from benches.registries.measure import Spread, Watch, percentile
from tests.support.tables import each

STAT = "42 (a (b) c) S 7 42 42 0 -1 4194304 1 2 3 4 100 20 3 1 20 0 1 0 5 6 7"


def test_cpu_is_user_and_system_with_that_of_reaped_children() -> None:
    assert measure.parse_cpu_ticks(STAT) == 100 + 20 + 3 + 1


def test_the_parent_follows_a_command_with_parentheses() -> None:
    assert measure.parse_parent(STAT) == 7


def test_pss_is_in_bytes() -> None:
    assert measure.parse_pss("0-f ---p [rollup]\nRss: 9 kB\nPss:     5 kB\nPss_Dirty: 1 kB\n") == 5 * 1024
    assert measure.parse_pss("") == 0


def test_a_tree_holds_the_children_and_a_watch_sees_them() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in measure.tree(os.getpid())
        with Watch(child.pid) as watch:
            pass
        assert watch.idle_pss > 0
        assert watch.growth >= 0
        assert watch.seconds > 0
    finally:
        child.communicate(b"\n")


def test_a_process_that_is_gone_costs_nothing() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert measure.cpu_seconds(done.pid) == 0
    assert measure.pss_bytes(done.pid) == 0


def test_percentiles_are_of_the_nearest_rank() -> None:
    hundred = list(range(1, 101))
    assert [percentile(hundred, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert percentile([7], 0.5) == 7
    assert math.isnan(percentile([], 0.5))


def test_a_spread_is_the_median_with_both_ends() -> None:
    assert Spread.of([3, 1, 2]) == Spread(2, 1, 3)


@each(
    ("generator", "threads", "server", "limit", "void"),
    [
        (0.99, 1, 0.50, 2, True),  # the generator is out of CPU, the server is not
        (0.99, 1, 0.99, 2, False),  # both are: the machine is the limit
        (0.99, 1, 0.97, 1, False),  # one worker has no second core to use
        (0.50, 1, 0.50, 2, False),  # nobody is out of CPU: the disk, or a lock
        (1.10, 8, 0.40, 2, False),  # eight clients could use more than one core
        (1.98, 8, 0.01, 2, True),
    ],
)
def test_a_round_is_void_when_only_the_generator_is_out_of_cpu(
    generator: float, threads: int, server: float, limit: float, void: bool
) -> None:
    assert measure.generator_is_limit(generator, threads, server, limit, cores=2) is void
