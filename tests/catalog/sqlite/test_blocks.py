"""How processes follow the blocks: each change is read by all of them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nora.catalog.blocks import Block
from nora.catalog.sqlite import SQLiteCatalog, block_rows
from nora.errors import Blocked
from nora.model import RepositorySpec
from tests.support.catalogs import prepare_catalog

pytestmark = pytest.mark.anyio
HOSTED = RepositorySpec("hosted", "docker", "hosted")


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[SQLiteCatalog, SQLiteCatalog]]:
    """Two processes, as far as the catalog sees."""
    path = tmp_path / "catalog.db"
    prepare_catalog(path)
    one, other = (SQLiteCatalog.open(path) for _ in range(2))
    await one.sync_repositories([HOSTED])
    yield one, other
    for catalog in (one, other):
        await catalog.close()


def digest(number: int, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, str(number).encode()).hexdigest()}"


def block(number: int, algorithm: str = "sha256") -> Block:
    return Block(digest=digest(number, algorithm), reason="it bites", by="root", created_at=1.0)


def blocked(catalog: SQLiteCatalog, numbers: range, algorithm: str) -> set[int]:
    """Which of these are, as a process sees it."""
    found = set()
    for number in numbers:
        try:
            catalog.blocks().check(1, None, digests=[digest(number, algorithm)])
        except Blocked:
            found.add(number)
    return found


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_blocks_that_come_and_go_are_followed(
    pair: tuple[SQLiteCatalog, SQLiteCatalog], algorithm: str
) -> None:
    chance = random.Random(1)
    there: dict[int, int] = {}
    for _ in range(60):
        for _ in range(chance.choice((1, 1, 2, 3))):  # that the other sees at once
            number = chance.randrange(12)
            if number in there:
                assert await pair[0].lift_block(there.pop(number)) is not None
            else:
                there[number] = (await pair[0].add_block(block(number, algorithm))).id
        for catalog in pair:
            assert blocked(catalog, range(12), algorithm) == set(there)
            assert bool(catalog.blocks()) == bool(there)
            hidden = catalog.blocks().hidden(1, "app")
            assert (hidden.digests if hidden else set()) == {digest(one, algorithm) for one in there}


async def test_one_more_block_is_read_without_the_others(
    pair: tuple[SQLiteCatalog, SQLiteCatalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be thousands, and each worker reads them at its next request."""
    one, other = pair
    for number in range(5):
        await one.add_block(block(number))
    assert blocked(other, range(6), "sha256") == set(range(5))
    made: list[int] = []
    make = block_rows.block_of

    def counted(*columns: object) -> Block:
        made.append(1)
        return make(*columns)  # type: ignore[arg-type]

    added = await one.add_block(block(5))
    monkeypatch.setattr(block_rows, "block_of", counted)
    assert blocked(other, range(6), "sha256") == set(range(6))
    assert len(made) == 1
    await one.lift_block(added.id)
    assert blocked(other, range(6), "sha256") == set(range(5))
