"""Every read goes along keys: no table is walked and nothing is sorted, whatever is stored."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest

from nora.catalog.sqlite import (
    admin_queries,
    collection_queries,
    event_queries,
    file_queries,
    queries,
    quota_queries,
    repository_queries,
    retention_queries,
    search_queries,
    token_queries,
    upload_queries,
    webhook_queries,
)
from nora.catalog.sqlite.schema import MIGRATIONS

MODULES = (
    admin_queries,
    collection_queries,
    event_queries,
    file_queries,
    queries,
    quota_queries,
    repository_queries,
    retention_queries,
    search_queries,
    token_queries,
    upload_queries,
    webhook_queries,
)
READS = {
    name: text
    for module in MODULES
    for name, text in vars(module).items()
    if name.isupper() and not name.startswith("_") and text.lstrip().startswith("SELECT")
}
SMALL = {"LIST_REPOSITORIES", "LIST_MEMBERS", "COUNT_UPLOADS", "READ_ROWS", "READ_BLOCKS", "COUNT_BLOCKS"}
SMALL |= {"LIST_QUOTAS"}
"""As many rows as the configuration has repositories; a count of pages; blocks, kept in memory. By design."""
SMALL |= {"FIRST_SINCE", "NTH_NEWEST", "LIST_WEBHOOKS", "COUNT_DELIVERIES", "LIST_OWNERS"}
"""Events are bounded, and asked for so by who removes the old ones; webhooks are few. Owners of
tokens are counted on a page of administrators."""
SMALL |= {"COUNT_DOOMED", "LIST_PROXIES", "SUM_CACHED"}
"""Collection removes what is doomed; it sums what is cached where that is limited."""


def plan_of(query: str, values: int) -> list[str]:
    with closing(sqlite3.connect(":memory:")) as db:
        for migration in MIGRATIONS:
            for statement in migration:
                db.execute(statement)
        return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", ("x",) * values)]


@pytest.mark.parametrize("name", sorted(READS.keys() - SMALL))
def test_reads_go_along_keys(name: str) -> None:
    numbered = {*re.findall(r"\?\d+", READS[name])}
    plan = plan_of(READS[name], len(numbered) or READS[name].count("?"))
    unbounded = [
        step
        for step in plan  # `wanted` and `json_each` are parameters, `hit` is found along a key
        if re.match(r"SCAN (?!\(subquery|hit$|(wanted|json_each|package_name) VIRTUAL)", step)
        or "TEMP B-TREE FOR ORDER" in step
    ]
    assert not unbounded, plan


def test_a_directory_is_listed_by_steps_along_the_paths() -> None:
    plan = plan_of(queries.LIST_DIRECTORY, 4)
    scans = [step for step in plan if step.startswith("SCAN")]
    assert set(scans) <= {"SCAN entry", "SCAN CONSTANT ROW"}, plan
    steps = [step for step in plan if "INDEX file_by_path" in step]
    assert any("path>?" in step for step in steps), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


@pytest.mark.parametrize(
    "query", [collection_queries.LIST_UNNEEDED, collection_queries.DOOM, collection_queries.RELEASE_LINKS]
)
def test_a_step_of_collection_costs_what_it_looks_at(query: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in (one for step in MIGRATIONS for one in step):
            db.execute(statement)
        values = dict.fromkeys(("after", "upto", "limit", "created_before", "now", "ids"), 0)
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    assert any("SEARCH blob USING INTEGER PRIMARY KEY" in step for step in plan), plan
    scans = {step for step in plan if step.startswith("SCAN")}
    assert all(re.match(r"SCAN (page|CONSTANT ROW|json_each VIRTUAL)", one) for one in scans), plan
    assert not any("TEMP B-TREE FOR ORDER" in step for step in plan), plan
