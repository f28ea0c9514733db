from __future__ import annotations

import pytest

from nora.blobs.bodies import SMALL_BYTES, check_end, check_size, measured, read_head
from nora.errors import SizeMismatch, TooLarge
from tests.contracts.blobs import chunks_of, collect
from tests.support.tables import each

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@each(
    ("size", "announced", "limit", "before", "error"),
    [
        (10, None, None, 0, None),
        (10, 10, 10, 0, None),
        (9, 10, 10, 0, None),
        (11, 10, None, 0, SizeMismatch),
        (11, None, 10, 0, TooLarge),
        (6, None, 10, 5, TooLarge),
        (5, 5, 10, 5, None),
        (11, 10, 10, 0, TooLarge),
    ],
)
def test_sizes_are_checked_as_bytes_come(
    size: int, announced: int | None, limit: int | None, before: int, error: type[Exception] | None
) -> None:
    if error is None:
        check_size(size, announced, limit, before)
    else:
        with pytest.raises(error):
            check_size(size, announced, limit, before)


def test_an_early_end_is_a_mismatch() -> None:
    check_end(0, None)
    check_end(5, 5)
    with pytest.raises(SizeMismatch):
        check_end(4, 5)


async def test_chunks_pass_as_they_are_without_the_empty_ones() -> None:
    body = measured(chunks_of([b"", b"ab", b"", b"c"]), 3, 3)
    assert [chunk async for chunk in body] == [b"ab", b"c"]


async def test_a_body_that_will_be_too_large_is_not_read() -> None:
    with pytest.raises(TooLarge):
        await collect(measured(chunks_of([AssertionError("read")]), 6, 10, 5))


@pytest.mark.parametrize(
    "sizes", [[], [1], [SMALL_BYTES], [1, SMALL_BYTES - 1], [SMALL_BYTES + 1], [40_000] * 5]
)
async def test_the_head_of_a_small_body_is_all_of_it(sizes: list[int]) -> None:
    body = chunks_of([bytes(size) for size in sizes])
    head, complete = await read_head(body)
    assert complete == (sum(sizes) <= SMALL_BYTES)
    assert len(head) + len(await collect(body)) == sum(sizes)
    assert len(head) == sum(sizes) or len(head) > SMALL_BYTES
