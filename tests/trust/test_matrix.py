"""A name has one source, in all formats: whose bytes a client gets of it, and who hears of it.

Quick are a few of the rows; all of them are slow, and a first source that keeps silent is `full`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nora.formats import discover
from tests.trust.matrix import check, check_while_first_is_down, every, placed, rows, some
from tests.trust.table import KINDS, LAYOUTS, Layout, Place, Table
from tests.trust.tables import TABLES

OF_EACH_FORMAT = pytest.mark.parametrize("table", TABLES, ids=[table.format for table in TABLES])
IN_EACH_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS, ids=[layout.title for layout in LAYOUTS])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with placed(tmp_path_factory.mktemp("trust")) as found:
        yield found


def test_every_format_with_upstreams_has_a_table() -> None:
    assert [table.format for table in TABLES] == [one.name for one in discover() if one.can_proxy]


@OF_EACH_FORMAT
def test_some_names_of_two_sources(place: Place, table: Table) -> None:
    check(place, some(table))


def test_some_names_while_the_first_source_is_down(place: Place) -> None:
    firsts = [(table, next(iter(table.whats))) for table in TABLES]
    down = [
        row for one, first in firsts for row in rows(one, KINDS, ("refused",), first, layouts=LAYOUTS[:1])
    ]
    check_while_first_is_down(place, down)


@pytest.mark.slow
@OF_EACH_FORMAT
def test_all_names_of_two_sources(place: Place, table: Table) -> None:
    check(place, every(table))


@pytest.mark.slow
@OF_EACH_FORMAT
@IN_EACH_LAYOUT
def test_all_names_while_the_first_source_is_down(place: Place, table: Table, layout: Layout) -> None:
    check_while_first_is_down(place, rows(table, KINDS, ("refused",), layouts=[layout]))


@pytest.mark.full
@OF_EACH_FORMAT
def test_all_names_while_the_first_source_is_silent(tmp_path: Path, table: Table) -> None:
    with placed(tmp_path, seconds=3) as place:
        check(place, rows(table, KINDS, ("timeout",), layouts=LAYOUTS))
