"""What the bench tells wrk and ab, and what it understands of their answers."""

from __future__ import annotations

import functools

import pytest

from benches.registries import clients
from benches.registries.generators import Fetch, parse_ab, parse_ab_percentiles, wrk_script
from benches.registries.seed import Blob

AB = """
Concurrency Level:      16
Time taken for tests:   2.000 seconds
Complete requests:      4000
Failed requests:        0
Non-2xx responses:      3
Keep-Alive requests:    4000
HTML transferred:       0 bytes
"""


def test_the_script_names_paths_headers_and_the_length() -> None:
    script = wrk_script(Fetch(["/v2/a", "/v2/b"], 1024, "Accept: x/y, */*\r\n"))
    assert '{"/v2/a","/v2/b"}' in script
    assert '["Accept"]="x/y, */*"' in script
    assert "expected = 1024" in script
    assert "function response" in script


def test_large_bodies_are_not_gathered_by_wrk() -> None:
    assert "function response" not in wrk_script(Fetch(["/"], 1, verify=False))


def test_the_report_of_ab_is_read_by_name() -> None:
    report = parse_ab(AB)
    assert report["Complete requests"] == "4000"
    assert report["Non-2xx responses"] == "3"
    assert report["Time taken for tests"] == "2.000 seconds"


def test_the_percentiles_of_ab_are_in_milliseconds() -> None:
    table = "Percentage served,Time in ms\n0,0.100\n50,1.250\n99,3.500\n"
    assert parse_ab_percentiles(table)[50] == 1.25


def test_a_client_counts_what_it_did_and_finishes_what_it_began() -> None:
    report = clients.run(iter([functools.partial(int, 7)] * 1000), seconds=0.0)
    assert report["bytes"] == 7
    assert len(report["latencies"]) == 1  # type: ignore[arg-type]


def test_a_client_without_work_left_says_so() -> None:
    assert "error" in clients.run(iter([functools.partial(int, 7)]), seconds=60.0)


@pytest.mark.parametrize("size", [64, 4096])
def test_prepared_blobs_are_different_and_their_digests_true(size: int) -> None:
    blobs = list(clients.unique_blobs(size, 5))
    assert len({digest for *_, digest in blobs}) == 5
    for head, tail, digest in blobs:
        blob = Blob.of(head + tail)
        assert (len(blob.data), blob.digest) == (size, digest)
