"""The rows that the bench puts into a catalog are those that the schema wants."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from benches.registries import scale, seed
from nora.catalog.sqlite.schema import MIGRATIONS


def test_a_catalog_is_populated_in_its_own_schema(tmp_path: Path) -> None:
    catalog = tmp_path / scale.CATALOG
    db = sqlite3.connect(catalog)
    for statement in (statement for step in MIGRATIONS for statement in step):
        db.execute(statement)
    db.execute("INSERT INTO repository (name, format, kind) VALUES ('docker', 'docker', 'hosted')")
    db.execute("INSERT INTO package (repository_id, name, created_at) VALUES (1, ?, 0)", (seed.APPS,))
    db.execute("INSERT INTO blob (digest, size, xxh3, generation, created_at) VALUES ('d', 1, 'x', 1, 0)")
    columns = "package_id, name, published_at, first_seen_at, document"
    db.execute(f"INSERT INTO version ({columns}) VALUES (1, 'd', 0, 0, '')")
    db.commit()
    scale.populate(catalog, repositories=7, each=3)
    tables = ("package", "version", "file", "blob", "tag", "link", "reference")
    counted = [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
    broken = db.execute("PRAGMA foreign_key_check").fetchall()
    owned = "SELECT count(*) FROM file JOIN package ON package.id = package_id"
    images = db.execute(f"{owned} WHERE path GLOB name || '/manifests/*'").fetchone()[0]
    db.close()
    assert counted == [1 + 7, 1 + 21, 21, 1 + 21, 21, 21, 2 * 21]
    assert (broken, images) == ([], 21)
