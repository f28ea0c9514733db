"""What the configuration says about names by patterns, however a format lets them be spelled.

`*` is anything within a segment, `**` anything. `com.corp.**` is all that is below `com.corp`: that itself
and its artifacts, `com.corp:lib`, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache

from nora.patterns import path_matcher

REMEMBERED_NAMES = 4096
Fold = Callable[[str], str]
"""See `nora.formats.base.Format.fold`."""
Matchers = tuple[re.Pattern[str], ...]


def matchers(patterns: Iterable[str], fold: Fold = str) -> Matchers:
    """What tells whether a name, folded, fits one of the patterns."""
    return tuple(path_matcher(fold(spelling)) for one in patterns for spelling in _spellings(one))


class Patterns:
    """What `proxy.reserved` and `proxy.extend` say about names."""

    def __init__(
        self, reserved: Iterable[str], extended: Iterable[str], folds: Mapping[str, Fold] | None = None
    ) -> None:
        self._reserved = tuple(reserved)
        self._extended = tuple(extended)
        self._folds = folds or {}
        self._matchers = cache(self._make_matchers)
        self.is_reserved = lru_cache(REMEMBERED_NAMES)(self._is_reserved)
        self.is_extended = lru_cache(REMEMBERED_NAMES)(self._is_extended)

    def _is_reserved(self, format_name: str, name: str) -> bool:
        """Whether a reserved pattern has a name; here the case never matters."""
        fold, reserved, _ = self._matchers(format_name)
        folded = fold(name).lower()
        return any(one.fullmatch(folded) for one in reserved)

    def _is_extended(self, format_name: str, name: str) -> bool:
        fold, _, extended = self._matchers(format_name)
        folded = fold(name)
        return any(one.fullmatch(folded) for one in extended)

    def _make_matchers(self, format_name: str) -> tuple[Fold, Matchers, Matchers]:
        """Of a format: how it spells names, what reserves and what extends them."""
        fold = self._folds.get(format_name, str)
        reserved = matchers(self._reserved, lambda name: fold(name).lower())
        return fold, reserved, matchers(self._extended, fold)


def _spellings(pattern: str) -> tuple[str, ...]:
    stem = pattern.removesuffix(".**")
    return (pattern,) if stem == pattern else (stem, pattern, f"{stem}:**", f"{stem}/**")
