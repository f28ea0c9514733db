"""Which of several representations a client gets (RFC 9110, 12)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Generic, TypeVar

from blacksheep import Request

from nora.errors import NotAcceptable

REMEMBERED_LENGTH: Final = 512
_REMEMBERED: Final = 256
"""Headers of at most that length: a client sends the same one each time, and there are few clients."""

T = TypeVar("T")


def accept_of(request: Request) -> str | None:
    """What a client takes, if it says so: all `Accept` fields are one list (RFC 9110, 5.3)."""
    values = request.get_headers(b"accept")
    return b", ".join(values).decode("latin-1") if values else None


def weighted(header: str) -> list[tuple[str, float]]:
    """The members of a header with their q-values (RFC 9110, 12.4.2); a weight that is none counts as 0."""
    found = []
    for member in header.split(","):
        name, *parameters = (part.strip().lower() for part in member.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                weight = _weight(value.strip())
        if name:
            found.append((name, weight))
    return found


def _weight(text: str) -> float:
    if not text.replace(".", "", 1).isdecimal() or len(text) > 5 or not text.isascii():
        return 0.0
    return min(float(text), 1.0)


class Offers(Generic[T]):
    """The representations of one kind of document, the one that is liked best first."""

    def __init__(self, names: Mapping[str, T], otherwise: T) -> None:
        """`names` are media types in lower case, perhaps several of one representation; who takes anything
        gets `otherwise`."""
        self._names = names
        self._first: dict[T, str] = {}
        """The name by which each is offered."""
        self._otherwise = otherwise
        self._ranges: dict[str, list[T]] = {}
        for name, one in names.items():
            self._first.setdefault(one, name)
            self._ranges.setdefault(f"{name.partition('/')[0]}/*", []).append(one)
        self._known = lru_cache(_REMEMBERED)(self._choose)

    def named(self, name: str) -> T:
        """That of a media type, as a query names it. Raises NotAcceptable."""
        # A `+` in a query is a space to who decodes it as a form.
        found = self._names.get(name.strip().replace(" ", "+").lower())
        if found is None:
            raise self._refusal()
        return found

    def choose(self, accept: str | None) -> T:
        """That for an `Accept` header. What is named beats what a wildcard covers, and then the order counts.
        Raises NotAcceptable."""
        if accept is None or not accept.strip():
            return self._otherwise
        found = self._known(accept) if len(accept) <= REMEMBERED_LENGTH else self._choose(accept)
        if found is None:
            raise self._refusal()
        return found

    def _choose(self, accept: str) -> T | None:
        exact: dict[T, float] = {}
        ranges: dict[T, float] = {}
        anything: float | None = None
        for name, weight in weighted(accept):
            if name in self._names:
                exact.setdefault(self._names[name], weight)
            elif name in self._ranges:
                for one in self._ranges[name]:
                    ranges.setdefault(one, weight)
            elif name == "*/*" and anything is None:
                anything = weight
        best: tuple[float, int, int] = (0.0, 0, 0)
        found = None
        for one in self._first:
            if one in exact:
                rank = (exact[one], 2, 0)
            elif one in ranges:
                rank = (ranges[one], 1, 0)
            else:
                rank = (anything or 0.0, 0, int(one == self._otherwise))
            if rank[0] > 0 and rank > best:
                best, found = rank, one
        return found

    def _refusal(self) -> NotAcceptable:
        return NotAcceptable(tuple(self._first.values()))
