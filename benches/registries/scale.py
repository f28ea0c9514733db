"""What a large store costs: the first answer after a start, requests, and the size of the catalog.

The rows are put into the catalog by SQL, in the shape that pushes give them: this knows NORA's schema
(nora/catalog/sqlite/schema.py), because a million pushes would take an hour.
"""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import time
from pathlib import Path

from benches.registries import seed
from benches.registries.gates import Check
from benches.registries.lines import Line, ci_replay, head_blob, manifest_by_tag, small_push, tag_pages
from benches.registries.measure import Watch
from benches.registries.rivals import NORA, START_SECONDS, Running, StartFailed
from benches.registries.seed import Sizes
from benches.registries.wire import Wire, WireError

CATALOG = "catalog.sqlite3"
REPOSITORIES, FILES_EACH = 10_000, 100
SMOKE_REPOSITORIES = 100
STARTS = 5
HOT = (
    Line("manifest-tag", "manifest by tag", manifest_by_tag),
    Line("blob-head", "HEAD of a blob", head_blob),
    Line("tags-100", "100 tags of many", tag_pages),
    Line("push-1k", "push of a blob of 1 KiB", small_push),
    Line("ci", "CI replay", ci_replay),
)
BYTES_EACH = 2_000
"""Of the catalog, for a manifest with two references and a tag."""
SIZES = Sizes(rounds=3, seconds=3, images=2, tags=1_000, small_blobs=10, large_blobs=1, jobs=4)
SMOKE = Sizes(rounds=1, seconds=1, warmup=0, images=2, tags=200, small_blobs=10, large_blobs=1, jobs=4)

# One manifest for each version, with a config and a layer, one tag for each manifest.
POPULATE = """
CREATE TEMP TABLE bench (n INTEGER PRIMARY KEY, package INTEGER, number INTEGER, digest TEXT, image TEXT);
INSERT INTO package (id, repository_id, name, owned, versions, created_at)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :repositories)
SELECT :first_package + i, :repository, printf('team%03d/app%05d', i % 100, i), 1, :each, :now FROM n;
INSERT INTO bench
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :repositories * :each - 1)
SELECT i + 1, :first_package + 1 + i / :each, i % :each, 'sha256:' || lower(hex(randomblob(32))),
printf('team%03d/app%05d', (1 + i / :each) % 100, 1 + i / :each) FROM n;
INSERT INTO blob (id, digest, size, xxh3, generation, created_at)
SELECT :first_blob + n, digest, 1000, lower(hex(randomblob(16))), abs(random()), :now FROM bench;
INSERT INTO version (id, package_id, name, published_at, first_seen_at, document)
SELECT :first_version + n, package, digest, :now, :now, '{}' FROM bench;
INSERT INTO file (repository_id, path, package_id, version_id, blob_id, size, media_type, created_at)
SELECT :repository, image || '/manifests/' || digest, package, :first_version + n,
:first_blob + n, 1000, 'application/vnd.oci.image.manifest.v1+json', :now FROM bench;
INSERT INTO tag (package_id, name, version_id, updated_at)
SELECT package, printf('v%05d', number), :first_version + n, :now FROM bench;
INSERT INTO link (package_id, blob_id, lease_until) SELECT package, :first_blob + n, 0 FROM bench;
INSERT INTO reference (version_id, digest, role, package_id)
SELECT :first_version + n, 'sha256:' || lower(hex(randomblob(32))), 'config', package FROM bench
UNION ALL SELECT :first_version + n, 'sha256:' || lower(hex(randomblob(32))), 'layer', package FROM bench;
DROP TABLE bench
"""


def run(place: Path, *, smoke: bool) -> list[Check]:
    """Time to the first manifest (s), CPU of requests beside an empty store (ratio), bytes of the catalog."""
    sizes = SMOKE if smoke else SIZES
    repositories = SMOKE_REPOSITORIES if smoke else REPOSITORIES
    small, large = place / "small", place / "large"
    with NORA.running(small) as server:
        seed.fill(server.address, sizes)
    shutil.copytree(small, large)
    populate(large / CATALOG, repositories, FILES_EACH)
    grown = (large / CATALOG).stat().st_size - (small / CATALOG).stat().st_size
    starts = [_first_manifest(large) for _ in range(1 if smoke else STARTS)]
    files = f"{repositories * FILES_EACH:,} files"
    checks = [Check(f"start to first manifest with {files}", statistics.median(starts), "s", 1)]
    each = grown / (repositories * FILES_EACH)
    checks.append(Check(f"catalog of {files}, for each", each, "bytes", BYTES_EACH))
    for line in HOT:
        costs: dict[Path, list[float]] = {small: [], large: []}
        for number in range(sizes.rounds):
            for store in (small, large) if number % 2 else (large, small):
                costs[store].append(_cost(line, store, sizes))
        value = statistics.median(costs[large]) / statistics.median(costs[small])
        checks.append(Check(f"CPU of {line.title} with {files} beside none", value, "x", 1.2))
    return checks


def populate(catalog: Path, repositories: int, each: int) -> None:
    """Add the rows of so many images with so many tagged manifests each. The server must be stopped."""
    db = sqlite3.connect(catalog, isolation_level=None)
    try:
        db.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -524288; PRAGMA temp_store = MEMORY")
        values = {
            "repository": _one(db, f"SELECT repository_id FROM package WHERE name = '{seed.APPS}'"),
            "first_package": _one(db, "SELECT max(id) FROM package"),
            "first_blob": _one(db, "SELECT max(id) FROM blob"),
            "first_version": _one(db, "SELECT max(id) FROM version"),
            "repositories": repositories,
            "each": each,
            "now": time.time(),
        }
        db.execute("BEGIN")
        for statement in POPULATE.split(";"):
            db.execute(statement, values)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        db.close()


def _one(db: sqlite3.Connection, query: str) -> int:
    row = db.execute(query).fetchone()
    return int(row[0])


def _first_manifest(store: Path) -> float:
    """Seconds from the start of the process to the first manifest by tag."""
    begun = time.monotonic()
    server = NORA.start(store)
    try:
        while (waited := time.monotonic() - begun) < START_SECONDS:
            if _manifest(server):
                return time.monotonic() - begun
            time.sleep(0.005)
        raise StartFailed(f"no manifest within {waited:.0f} s")
    finally:
        server.stop()


def _manifest(server: Running) -> bool:
    with Wire(server.address, keep_alive=False, timeout=10) as wire:
        try:
            answer = wire.ask("GET", f"/v2/{seed.APPS}/manifests/v0", seed.ACCEPT)
        except (OSError, WireError):
            return False
    return answer.status == 200 and answer.body == seed.app(0).manifest.data


def _cost(line: Line, store: Path, sizes: Sizes) -> float:
    """Server CPU of one request, in seconds."""
    with NORA.running(store) as server:
        if sizes.warmup:
            line.drive(server, sizes, sizes.warmup)
        with Watch(server.process.pid) as watch:
            load = line.drive(server, sizes, sizes.seconds)
    return watch.cpu / load.operations
