"""Every read goes along keys: no table is walked and nothing is sorted, whatever is stored."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest

from nora.catalog.sqlite import queries
from nora.catalog.sqlite.schema import MIGRATIONS

READS = {
    name: text
    for name, text in vars(queries).items()
    if name.isupper() and not name.startswith("_") and text.lstrip().startswith("SELECT")
}
SMALL = {"LIST_REPOSITORIES", "LIST_MEMBERS", "COUNT_UPLOADS"}
"""As many rows as the configuration has repositories; a count of pages; both by design."""


@pytest.mark.parametrize("name", sorted(READS.keys() - SMALL))
def test_reads_go_along_keys(name: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        for migration in MIGRATIONS:
            for statement in migration:
                db.execute(statement)
        values = ("x",) * READS[name].count("?")
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {READS[name]}", values)]
    unbounded = [
        step for step in plan if re.match(r"SCAN (?!\(subquery)", step) or "TEMP B-TREE FOR ORDER" in step
    ]
    assert not unbounded, plan
