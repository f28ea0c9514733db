"""Names of packages, a page at a time, over all that is read in a repository."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from nora.catalog.overview import NamesFound, PackageOrder

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.model import Principal, Repository
    from nora.ui.shelves import Shelves

PAGE: Final = 50
READ_AT_ONCE: Final = 200
SCANNED: Final = 50_000
"""Names that are looked at for a text at a time; some 20 ms."""
MOST_READS: Final = 8
"""For one page of one repository."""

Read = Callable[[str], Awaitable[NamesFound]]


@dataclass(frozen=True, slots=True)
class Listed:
    """A package of a listing: its name, and the rows that it is in."""

    name: str
    row: int
    is_hosted: bool


@dataclass(frozen=True, slots=True)
class NamesPage:
    """A page of a listing."""

    packages: Sequence[Listed]
    after: str | None
    """Where the next one begins; None: this is the last."""


async def read_page(
    catalog: Catalog,
    shelves: Shelves,
    principal: Principal,
    repository: Repository,
    text: str,
    after: str,
    limit: int = PAGE,
) -> NamesPage:
    """The packages of a repository that a visitor may read, by name after `after`, that have `text` in their
    names. A page may be shorter than `limit` although it is not the last, where much was looked through."""
    hosted = {one.id for one in repository.hosted}
    found: dict[str, Listed] = {}
    ends: list[str] = []
    for row in repository.row_ids:
        read = _reader(catalog, row, text, is_hosted=row in hosted)
        names, end = await _collect(catalog, shelves, principal, repository, row, read, after, limit + 1)
        for name in names:
            found.setdefault(name, Listed(name, row, row in hosted))
        if end is not None:
            ends.append(end)
    known_to = min(ends, default=None)  # of what comes after it others may have more
    ordered = sorted(name for name in found if known_to is None or name <= known_to)
    shown = [found[name] for name in ordered[:limit]]
    more = known_to if len(ordered) <= limit else ordered[limit - 1]
    return NamesPage(shown, more)


def _reader(catalog: Catalog, row: int, text: str, *, is_hosted: bool) -> Read:
    async def search(after: str) -> NamesFound:
        return await catalog.search_packages(row, text, after, READ_AT_ONCE, SCANNED)

    async def read(after: str) -> NamesFound:
        listed = catalog.list_packages if is_hosted else catalog.list_known_packages
        names = await listed(row, after, READ_AT_ONCE)
        return NamesFound(tuple(names), names[-1] if len(names) == READ_AT_ONCE else None)

    return search if text else read


async def _collect(
    catalog: Catalog,
    shelves: Shelves,
    principal: Principal,
    repository: Repository,
    row: int,
    read: Read,
    after: str,
    limit: int,
) -> tuple[list[str], str | None]:
    """Names that may be shown, and up to where they are known; None: to the end."""
    names: list[str] = []
    cursor: str | None = after
    for _ in range(MOST_READS):
        part = await read(cursor or "")
        blocks = catalog.blocks()
        names += [
            name
            for name in part.names
            if shelves.may_read(principal, repository, name) and not (blocks and blocks.is_hidden(row, name))
        ]
        cursor = part.after
        if cursor is None or len(names) >= limit:
            break
    return names, cursor


# -- other orders ------------------------------------------------------------------------------------------

MOST_ORDERED: Final = 5000
"""Packages that are sorted otherwise than by name: no index has that."""
ORDERS: Final[tuple[PackageOrder, ...]] = get_args(PackageOrder)


@dataclass(frozen=True, slots=True)
class Order:
    """As an address has it: `changed`, the greatest first, or `changed.up`."""

    by: PackageOrder
    descending: bool

    @classmethod
    def of(cls, text: str) -> Order | None:
        """None: by name, as for whatever else it says."""
        by, _, direction = text.partition(".")
        found = next((one for one in ORDERS if one == by), None)
        return None if found is None or direction not in ("", "up") else cls(found, not direction)


async def read_ordered(
    catalog: Catalog,
    shelves: Shelves,
    principal: Principal,
    repository: Repository,
    text: str,
    order: Order,
    after: str,
) -> NamesPage | None:
    """A page of the same in another order, after so many packages. None: there are too many for that."""
    rows = repository.row_ids
    found = await catalog.order_packages(rows, order.by, descending=order.descending, limit=MOST_ORDERED)
    if found is None:
        return None
    hosted, blocks = {one.id for one in repository.hosted}, catalog.blocks()
    known: dict[str, Listed] = {}
    for row, name in found:
        if text.lower() in name.lower() and not (blocks and blocks.is_hidden(row, name)):
            one = Listed(name, row, row in hosted)
            known[name] = min(known.get(name, one), one, key=lambda each: rows.index(each.row))
    shown = [one for one in known.values() if shelves.may_read(principal, repository, one.name)]
    start = int(after) if after.isascii() and after.isdecimal() and len(after) < 8 else 0
    end = start + PAGE
    return NamesPage(shown[start:end], str(end) if end < len(shown) else None)
