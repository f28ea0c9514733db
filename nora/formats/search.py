"""Search over all formats for somebody: what they may read, and nothing of what they may not, not even how
much of it there is. The web pages and the API ask here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nora.catalog.names import searched_words
from nora.formats import named_repositories

if TYPE_CHECKING:
    from nora.auth.access import Access
    from nora.catalog.search import Search
    from nora.formats.base import Format, Services
    from nora.model import Principal, Repository

NAMES_AT_ONCE: Final = 500
"""That are indexed in one change of the catalog; some 20 ms."""
TAGS_AT_ONCE: Final = 2000
PAUSE_SECONDS: Final = 0.05
_TAG: Final = "tag:"
_digest = re.compile(r"(?:(sha256|sha512):)?([0-9a-f]{8,128})").fullmatch


@dataclass(frozen=True, slots=True)
class Place:
    """Where packages are: a repository that clients name, and its format."""

    format: Format
    repository: Repository


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for, and where."""

    text: str
    format: str = ""
    """The name of one; empty: all."""
    repository: str = ""
    """The name of one; empty: all."""
    hosted: bool | None = None
    """True: published here; False: cached; None: either."""


@dataclass(frozen=True, slots=True)
class Result:
    """A package that was found, in the first place where it may be read."""

    place: Place
    name: str
    is_hosted: bool
    pulls: int
    last_pulled_at: float | None
    """In seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Results:
    """A part of what was found, the best first."""

    packages: Sequence[Result]
    has_more: bool
    is_complete: bool
    """False while the server still reads names that were there before it could search."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag that was found."""

    place: Place
    name: str
    """Of the package."""
    tag: str
    version: str


@dataclass(frozen=True, slots=True)
class Content:
    """Where content is held that was asked for by its digest."""

    place: Place
    name: str | None
    """Of the package; None: it is a file without one."""
    version: str | None
    path: str | None
    """None: the package holds it, and it is no file of it."""
    digest: str
    size: int


class PackageSearch:
    """What a server has."""

    def __init__(
        self, services: Services, formats: Iterable[Format], repositories: Mapping[str, Repository]
    ) -> None:
        self._catalog = services.catalog
        self._access = services.access
        self._places = [
            Place(one, repository) for one in formats for repository in named_repositories(one, repositories)
        ]

    async def find(self, principal: Principal, wanted: Wanted, *, skip: int = 0, limit: int = 20) -> Results:
        """Packages whose names fit a text, after the first `skip` ones. See Catalog.find_names.

        Raises StorageFailed.
        """
        view = _View(self._access, principal, self._places, wanted)
        text = "" if wanted.text.startswith(_TAG) else wanted.text
        found = await self._catalog.find_names(text, view.rows, view.may_show, skip=skip, limit=limit)
        results = []
        for one in found.packages:
            if (place := view.place_of(one.repository_id, one.name)) is not None:
                is_hosted = one.repository_id in place.repository.hosted_ids
                results.append(Result(place, one.name, is_hosted, one.pulls, one.last_pulled_at))
        return Results(results, found.has_more, found.is_complete)

    async def find_tags(self, principal: Principal, wanted: Wanted, *, limit: int = 20) -> list[Tagged]:
        """Tags of what was published here that begin with the text: `1.2`, `tag:1.2`, or `app:1.2` of what
        has `app` in its name. Raises StorageFailed."""
        name, _, tag = wanted.text.strip().removeprefix(_TAG).rpartition(":")
        if not tag or " " in tag or digest_in(wanted.text):
            return []
        view = _View(self._access, principal, self._places, wanted)
        words = searched_words(name)
        found = await self._catalog.find_tags(tag, words, view.rows, view.may_show, limit=limit)
        return [
            Tagged(place, one.package, one.tag, one.version)
            for one in found
            if (place := view.place_of(one.repository_id, one.package)) is not None
        ]

    async def find_contents(self, principal: Principal, wanted: Wanted, *, limit: int = 20) -> list[Content]:
        """Where content is whose digest begins with the text, if that is the beginning of one. Raises
        StorageFailed."""
        digest = digest_in(wanted.text)
        if not digest:
            return []
        view = _View(self._access, principal, self._places, wanted)
        found = await self._catalog.find_contents(digest, view.rows, view.may_show, limit=limit)
        return [
            Content(place, one.package, one.version, one.path, one.digest, one.size)
            for one in found
            if (place := view.place_of(one.repository_id, one.package or one.path or "")) is not None
        ]


class _View:
    """What somebody may read of where they search."""

    def __init__(self, access: Access, principal: Principal, places: Iterable[Place], wanted: Wanted) -> None:
        self._access = access
        self._principal = principal
        self._places: dict[int, list[Place]] = {}
        for place in places:
            repository = place.repository
            if (
                wanted.format not in {"", place.format.name}
                or wanted.repository not in {"", repository.name}
                or not access.decide(principal, "read", repository, None)
            ):
                continue
            hosted = repository.hosted_ids
            for row in repository.row_ids:
                if wanted.hosted is None or wanted.hosted == (row in hosted):
                    self._places.setdefault(row, []).append(place)

    @property
    def rows(self) -> Sequence[int]:
        """The repositories that are searched."""
        return [*self._places]

    def place_of(self, row: int, name: str) -> Place | None:
        """The first place where a package of a row may be read."""
        for place in self._places[row]:
            if self._access.decide(self._principal, "read", place.repository, name):
                return place
        return None

    def may_show(self, row: int, name: str) -> bool:
        """See nora.catalog.search.MayShow."""
        return self.place_of(row, name) is not None


def digest_in(text: str) -> str:
    """The beginning of a digest, if a text is one: `sha256:0123abcd`, or eight hexadecimal digits or more."""
    found = _digest(text.strip().lower())
    return f"{found[1] or 'sha256'}:{found[2]}" if found else ""


async def index_all(catalog: Search) -> None:
    """Make all names and tags quick to find, in steps between which others write."""
    has_more = True
    while has_more:
        has_more = await catalog.index_names(NAMES_AT_ONCE)
        await asyncio.sleep(PAUSE_SECONDS)
    has_more = True
    while has_more:
        has_more = await catalog.index_tags(TAGS_AT_ONCE)
        await asyncio.sleep(PAUSE_SECONDS)
