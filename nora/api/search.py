"""Search over the packages of all formats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypedDict

from nora.errors import BadRequest
from nora.formats.search import Wanted
from nora.http.fields import json_endpoint, read_limit
from nora.http.operations import Parameter

if TYPE_CHECKING:
    from nora.api.call import Call
    from nora.formats.search import PackageSearch
    from nora.http.router import Endpoint

MOST_LISTED: Final = 100
MOST_SKIPPED: Final = 1000
LONGEST_TEXT: Final = 256
_QUERY: Final = (
    Parameter("q", "Words, or parts of names; what is spelled alike is found as well", needed=True),
    Parameter("format", "In a format alone, by its name"),
    Parameter("repository", "In a repository alone, by its name"),
    Parameter("hosted", "`true`: what was published here; `false`: what came from upstreams", "boolean"),
    Parameter("skip", "How many of the best are left out, at most 1000", "integer"),
    Parameter("limit", "How many at most, at most 100", "integer"),
)


class PackageFound(TypedDict):
    """A package that was found."""

    repository: str
    """Where it may be read."""
    format: str
    name: str
    hosted: bool
    pulls: int
    last_pulled_at: float | None


class SearchResults(TypedDict):
    """What was found, the best first."""

    packages: list[PackageFound]
    more: bool
    complete: bool
    """False while the server still reads names that were there before it could search."""


class SearchApi:
    """The endpoint."""

    def __init__(self, search: PackageSearch) -> None:
        self._search = search

    def endpoints(self) -> Iterator[Endpoint[Call]]:
        """For whoever may ask."""
        yield json_endpoint("GET HEAD", "/api/v1/search", "read", SearchResults, self._find, query=_QUERY)

    async def _find(self, call: Call) -> SearchResults:
        """Find packages by their names."""
        text = (call.parameter("q") or "").strip()
        if not text or len(text) > LONGEST_TEXT:
            raise BadRequest(f"q is what is searched for, of at most {LONGEST_TEXT} characters")
        wanted = Wanted(
            text,
            call.parameter("format") or "",
            call.parameter("repository") or "",
            _HOSTED[_one_of(call, "hosted", _HOSTED)],
        )
        skip = _skip(call)
        found = await self._search.find(
            call.principal, wanted, skip=skip, limit=read_limit(call, MOST_LISTED)
        )
        return {
            "packages": [
                {
                    "repository": one.place.repository.name,
                    "format": one.place.format.name,
                    "name": one.name,
                    "hosted": one.is_hosted,
                    "pulls": one.pulls,
                    "last_pulled_at": one.last_pulled_at,
                }
                for one in found.packages
            ],
            "more": found.has_more,
            "complete": found.is_complete,
        }


_HOSTED: Final = {"": None, "true": True, "false": False}


def _one_of(call: Call, name: str, words: dict[str, bool | None]) -> str:
    word = call.parameter(name) or ""
    if word not in words:
        raise BadRequest(f"{name} is {' or '.join(filter(None, words))}")
    return word


def _skip(call: Call) -> int:
    text = call.parameter("skip") or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= MOST_SKIPPED):
        raise BadRequest(f"skip is a whole number up to {MOST_SKIPPED}")
    return int(text)
