"""Ranges of versions, `^1.2` or `>=1 <3 || 4.x`, as the library `semver` of npm takes them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from nora.formats.npm.names import LONGEST_VERSION, is_version, version_order

_Numbers = tuple[int, int, int]
_Key = tuple[Any, ...]
"""Of a version, by precedence."""
_PARTIAL: Final = (
    r"(?![v=0-9.xX*]*[xX*]\.\d)[v=]*(\d{1,16}|[xX*])(?:\.(\d{1,16}|[xX*])(?:\.(\d{1,16}|[xX*])"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?)?)?"
)
"""A version that may lack parts, at its end."""
_comparator = re.compile(rf"(<=|>=|<|>|~>|~|\^)?{_PARTIAL}").fullmatch
_hyphen = re.compile(rf"({_PARTIAL}) +- +({_PARTIAL})").fullmatch
_after_operator = re.compile(r"(<=|>=|<|>|~>|~|\^|=) +")
_HOLDS: Final[dict[str, Callable[[_Key, _Key], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Bound:
    """A version may be below it, above it, or it: what it is says the operator."""

    relation: str
    numbers: _Numbers
    before: str = ""
    """The identifiers of a version before a release."""

    @property
    def key(self) -> _Key:
        """What versions are compared with."""
        return _key(".".join(map(str, self.numbers)) + (f"-{self.before}" if self.before else ""))


class Range:
    """Sets of bounds: a version is in the range if it keeps all bounds of one set."""

    def __init__(self, sets: Iterable[Iterable[Bound]]) -> None:
        self._sets = [[(_HOLDS[one.relation], one.key, one) for one in bounds] for bounds in sets]

    @classmethod
    def of(cls, text: str) -> Range | None:
        """None for what is no range."""
        if len(text) > LONGEST_VERSION:
            return None
        sets = [_bounds(one.strip()) for one in text.split("||")]
        return None if None in sets else cls(one for one in sets if one is not None)

    def __contains__(self, version: str) -> bool:
        """Versions before a release are in it only where one of that very release is named."""
        if not is_version(version):
            return False
        key = _key(version)
        return any(
            all(holds(key, bound) for holds, bound, _ in bounds)
            and (key[1] == 1 or any(one.before and one.numbers == key[0] for _, _, one in bounds))
            for bounds in self._sets
        )

    def newest_first(self, versions: Iterable[str]) -> list[str]:
        """Those that are in it."""
        return sorted((one for one in versions if one in self), key=version_order, reverse=True)


def _key(version: str) -> _Key:
    """Without the build."""
    return tuple(version_order(version)[1:4])


def _bounds(text: str) -> list[Bound] | None:
    """Of a set; None for what is none."""
    if (found := _hyphen(text)) is not None:
        low, high = _comparator(found[1]), _comparator(found[6])
        assert low is not None
        assert high is not None
        return [*_expanded(">=", *low.groups()[1:]), *_expanded("<=", *high.groups()[1:])]
    bounds: list[Bound] = []
    for word in _after_operator.sub(r"\1", text).split():
        if (found := _comparator(word)) is None:
            return None
        bounds += _expanded(found[1] or "", *found.groups()[1:])
    return bounds


def _expanded(relation: str, *partial: str | None) -> list[Bound]:
    """The bounds of a comparator whose version may lack parts."""
    given = [int(part) for part in partial[:3] if part is not None and part.isdigit()]
    if not given:
        return [Bound("<", (0, 0, 0), "0")] if relation in ("<", ">") else []
    low, is_whole = _filled(given), len(given) == 3
    before = (partial[3] or "") if is_whole else ""
    if relation in ("^", "~", "~>"):
        return [Bound(">=", low, before), _below(given, _fixed(relation, given))]
    if is_whole:
        return [Bound(relation or "=", low, before)]
    beyond = _below(given, len(given) - 1)
    return {
        ">=": [Bound(">=", low)],
        "<": [Bound("<", low, "0")],
        ">": [Bound(">=", beyond.numbers)],
        "<=": [beyond],
    }.get(relation, [Bound(">=", low), beyond])


def _fixed(relation: str, given: list[int]) -> int:
    """The place whose number must stay what it is."""
    if relation == "^":
        return next((place for place, number in enumerate(given) if number), len(given) - 1)
    return min(1, len(given) - 1)


def _below(given: list[int], place: int) -> Bound:
    """Everything before the next number at that place."""
    return Bound("<", _filled([*given[:place], given[place] + 1]), "0")


def _filled(given: list[int]) -> _Numbers:
    major, minor, patch = [*given, 0, 0, 0][:3]
    return major, minor, patch
