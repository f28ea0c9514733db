"""Which rule decides about what, and which of that goes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nora.config import RetentionRule
from nora.patterns import path_matcher, text_matcher

DAY: Final = 86_400.0
"""Seconds."""
ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class NumberedRule:
    """A rule, and its place in the configuration, from 1."""

    number: int
    rule: RetentionRule

    def __str__(self) -> str:
        return f"rule {self.number}: {self.rule}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What is counted, and goes or stays: a version, a tag, or a file of no package."""

    name: str
    names: tuple[str, ...]
    """What patterns are compared with: the name, and of a version its tags."""
    order: Any
    """The larger the newer, among those of its package."""
    at: float
    """Since when it is so, seconds since the epoch."""
    pulled_at: float | None
    is_tagged: bool | None = True
    """None: nobody knows, and each rule may be about it."""


def rules_for(
    rules: Sequence[RetentionRule], place: Collection[str], name: str, fold: Callable[[str], str]
) -> list[NumberedRule]:
    """Those that may be about a package. `place` is all that rules may call its repository; `fold` spells
    names and patterns as its format does."""
    return [
        NumberedRule(number, one)
        for number, one in enumerate(rules, 1)
        if (one.registry == ANY or one.registry in place)
        and path_matcher(fold(one.name_glob)).fullmatch(name)
    ]


def decide(
    candidates: Sequence[Candidate], rules: Sequence[NumberedRule], now: float
) -> Iterator[tuple[Candidate, NumberedRule]]:
    """What goes, and by which rule: by rule, the oldest first. The first rule that fits one decides about it
    alone; what it excludes stays, and counts as none of the last."""
    groups: dict[int, list[Candidate]] = {}
    by_number = {one.number: one for one in rules}
    for candidate in candidates:
        for one in rules:
            if _fits(one.rule, candidate):
                if not _is_one_of(one.rule.exclude_tags, candidate):
                    groups.setdefault(one.number, []).append(candidate)
                break
    for number in sorted(groups):
        rule = by_number[number].rule
        newest_first = sorted(groups[number], key=lambda one: (one.order, one.name), reverse=True)
        for candidate in reversed(newest_first[rule.keep_last or 0 :]):
            if _is_due(rule, candidate, now):
                yield candidate, by_number[number]


def _fits(rule: RetentionRule, candidate: Candidate) -> bool:
    if candidate.is_tagged is not None and candidate.is_tagged is rule.untagged:
        return False
    return not rule.tags or _is_one_of(rule.tags, candidate)


def _is_one_of(patterns: Sequence[str], candidate: Candidate) -> bool:
    return any(text_matcher(pattern).fullmatch(name) for pattern in patterns for name in candidate.names)


def _is_due(rule: RetentionRule, candidate: Candidate, now: float) -> bool:
    if rule.older_than_days is not None and now - candidate.at <= rule.older_than_days * DAY:
        return False
    needed_at = max(candidate.at, candidate.pulled_at or 0.0)
    return rule.not_pulled_days is None or now - needed_at > rule.not_pulled_days * DAY
