"""How long a search takes over many packages, and what it costs to make their names quick to find.

    python -m benches.micro.search_names [packages]

Names are made of made-up words, in scopes, groups and plain, some words in every twentieth name, as where
everything is called `api` or `client`; one package in a hundred is used. Each text is searched several times;
told are the best of them, as others use the machine, and how much of that was CPU. Exits 1 when one takes
`GATE` seconds of CPU.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from nora.catalog.sqlite import SQLiteCatalog
from nora.formats.search import NAMES_AT_ONCE
from nora.model import RepositorySpec

GATE = 0.05
"""Seconds of CPU, which is all that a search takes on a machine with nothing else to do."""
ROUNDS = 7
SYLLABLES = [first + vowel for first in "bcdfghjklmnprstvz" for vowel in "aeiou"]
COMMON = ("api", "client", "core", "utils", "plugin", "react", "server", "test", "lib", "data")
TEXTS = (
    ("a whole name", "requests"),
    ("its beginning", "requ"),
    ("a common word", "client"),
    ("two common words", "api client"),
    ("three letters", "lib"),
    ("one letter", "a"),
    ("a letter missing", "reqests"),
    ("two letters swapped", "reqeusts"),
    ("two mistakes", "requesstz"),
    ("a mistake in a common word", "cleint"),
    ("nothing like it", "xqxqxqxq"),
)


def names_of(count: int) -> Iterator[str]:
    """Different names, the same in every run."""
    chance = random.Random(0)
    yield from ("requests", "requests-oauthlib", "types-requests")
    for number in range(count - 3):
        words = ["".join(chance.choices(SYLLABLES, k=chance.randint(2, 4)))]
        if chance.random() < 0.5:
            words.append(chance.choice(COMMON))
        name = "-".join(words)
        kind = chance.random()
        scope = "".join(chance.choices(SYLLABLES, k=2))
        name = f"@{scope}/{name}" if kind < 0.3 else f"org.{scope}:{name}" if kind < 0.4 else name
        yield f"{name}-{number:x}"


def fill(path: Path, repository: int, count: int) -> None:
    """Packages as they would be there, without what they hold."""
    with closing(sqlite3.connect(path)) as db:
        db.executemany(
            "INSERT INTO package (repository_id, name, owned, versions, created_at) VALUES (?, ?, 1, 1, 0)",
            ((repository, name) for name in names_of(count)),
        )
        db.execute("INSERT INTO package_use SELECT id, 1 + id % 9973, 1 FROM package WHERE id % 100 = 1")
        db.commit()


async def measure(path: Path, count: int) -> bool:
    """Print what it takes; whether all texts are within the gate."""
    catalog = SQLiteCatalog.open(path)
    repositories = await catalog.sync_repositories([RepositorySpec("names", "pypi", "hosted")])
    repository = repositories["names"].id
    fill(path, repository, count)
    began, cpu, longest, steps = time.perf_counter(), time.process_time(), 0.0, 0
    while True:
        before = time.perf_counter()
        has_more = await catalog.index_names(NAMES_AT_ONCE)
        longest, steps = max(longest, time.perf_counter() - before), steps + 1
        if not has_more:
            break
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    size = path.stat().st_size / 2**20
    print(f"{count:,} packages, {size:.0f} MiB of catalog; indexed in {seconds:.0f} s ({cpu:.0f} s of CPU),")
    print(f"{steps:,} steps of {NAMES_AT_ONCE} names, the longest {longest * 1000:.0f} ms\n")
    print("| Text | Best, ms | CPU, ms | Found |")
    print("|---|---|---|---|")
    slowest = 0.0
    for what, text in TEXTS:
        rounds = []
        for _ in range(ROUNDS):
            began, cpu = time.perf_counter(), time.process_time()
            found = await catalog.find_names(text, [repository], lambda *_: True, skip=0, limit=50)
            rounds.append((time.perf_counter() - began, time.process_time() - cpu))
        best, cpu = min(rounds)[0], min(one[1] for one in rounds)
        slowest = max(slowest, cpu)
        more = "and more" if found.has_more else ""
        print(f"| {what}: `{text}` | {best * 1000:.1f} | {cpu * 1000:.1f} | {len(found.packages)} {more} |")
    await catalog.close()
    return slowest < GATE


def main() -> int:
    """Of a catalog in a temporary folder."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with TemporaryDirectory() as folder:
        path = Path(folder, "catalog")
        SQLiteCatalog.prepare(path)
        return 0 if asyncio.run(measure(path, count)) else 1


if __name__ == "__main__":
    sys.exit(main())
