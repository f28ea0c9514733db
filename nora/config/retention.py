"""Retention: how `[[retention.rules]]` is read, checked and written.

[[retention.rules]]
registry = "internal"
name_glob = "team/**"
tags = ["pr-*"]
keep_last = 5
older_than_days = 14
exclude_tags = ["pr-keep-*"]
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Final, cast

from nora.config import kinds
from nora.config.declare import setting
from nora.config.kinds import DAY, Kind
from nora.errors import quoted

MOST_RULES: Final = 200
ANY: Final = "*"
_CONDITIONS: Final = ("keep_last", "older_than_days", "not_pulled_days")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRule:
    """Which versions go. One goes when all conditions of the first rule that it fits hold."""

    registry: str
    """A format, a repository, or `*`."""
    name_glob: str = "**"
    """Of packages; of directories where files belong to none."""
    tags: tuple[str, ...] = ()
    """Patterns, one of which a tag or the name of a version fits; empty: all do."""
    exclude_tags: tuple[str, ...] = ()
    """The same of those that stay, and do not count as one of the last."""
    untagged: bool = False
    """Where tags are counted: it is about what has no tag, instead of tags."""
    keep_last: int | None = None
    """So many stay, the newest; None: as if it were none."""
    older_than_days: int | None = None
    not_pulled_days: int | None = None

    def __str__(self) -> str:
        """As people read it: what is not said is left out."""
        return ", ".join(f"{name} = {_shown(value)}" for name, value in written_rule(self).items())


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


# -- reading ----------------------------------------------------------------------------------------------


def _read_rules(raw: object) -> tuple[RetentionRule, ...]:
    tables = kinds.read_tables(raw, "rules", "retention.rules", MOST_RULES)
    return tuple(_read_rule(f"rule {number}", table) for number, table in enumerate(tables, 1))


def _read_rule(label: str, table: object) -> RetentionRule:
    found = kinds.read_fields(label, table, _READERS)
    if "registry" not in found:
        raise ValueError(f'{label}.registry is missing; expected a format, a repository, or "*"')
    if not any(name in found for name in _CONDITIONS):
        raise ValueError(f"{label}: expected a condition, one or more of {', '.join(_CONDITIONS)}")
    if found.get("untagged") and found.get("tags"):
        raise ValueError(f"{label}: expected tags, or untagged = true, not both")
    return RetentionRule(**found)


def _glob(raw: object) -> str:
    """A lone `*` is what others write for all names."""
    patterns = cast("tuple[str, ...]", kinds.PATTERNS.read([raw]))
    return "**" if patterns == (ANY,) else patterns[0]


def _flag(raw: object) -> bool:
    if not isinstance(raw, bool):
        raise ValueError("expected true or false")
    return raw


_count: Final = kinds.integer(0, 1_000_000)
_days: Final = kinds.integer(0, 36_500)
_READERS: Final[dict[str, Callable[[object], Any]]] = {
    "registry": kinds.TEXT.read,
    "name_glob": _glob,
    "tags": kinds.PATTERNS.read,
    "exclude_tags": kinds.PATTERNS.read,
    "untagged": _flag,
    "keep_last": _count.read,
    "older_than_days": _days.read,
    "not_pulled_days": _days.read,
}


# -- writing ----------------------------------------------------------------------------------------------


def _write_rules(value: object) -> object:
    return [written_rule(one) for one in cast("tuple[RetentionRule, ...]", value)]


def written_rule(rule: RetentionRule) -> dict[str, Any]:
    """As the table that makes it, without what is not said."""
    said = ((one.name, getattr(rule, one.name), one.default) for one in fields(rule))
    return {
        name: [*value] if isinstance(value, tuple) else value
        for name, value, default in said
        if value != default
    }


RULES: Final = Kind("list of rules; in the environment in JSON", _read_rules, _write_rules)


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """Which versions go in time: of what was published, and of what repositories have cached."""

    enabled: bool = setting(False, kinds.BOOLEAN, "Apply the rules again and again.")
    interval: int = setting(DAY, kinds.duration(60), "How long after one time the next is due.")
    dry_run: bool = setting(
        False, kinds.BOOLEAN, "Only tell in the log what would go: `nora retention plan` tells it as well."
    )
    rules: tuple[RetentionRule, ...] = setting((), RULES, "Which versions go; see the page on retention.")

    def problems(self, known: Collection[str] | None) -> Iterator[str]:
        """What cannot be, after `retention.`; `known` are the names of formats and repositories, None where
        nobody asked for them."""
        if known is None:
            return
        for number, rule in enumerate(self.rules, 1):
            if rule.registry != ANY and rule.registry not in known:
                near = get_close_matches(rule.registry, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                yield (
                    f"rules: rule {number}.registry = {quoted(rule.registry)}: expected a format, "
                    f'a repository, or "*"{hint}'
                )

    def warnings(self) -> Iterator[str]:
        """What is probably not meant."""
        if self.enabled and not self.rules:
            yield "retention.enabled = true: there are no rules; see [[retention.rules]]"
        elif self.enabled and self.dry_run:
            yield "retention.dry_run = true: nothing is removed"
