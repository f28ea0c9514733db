"""What rules remove, for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypedDict

from nora.config.retention import written_rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nora.config import RetentionRule
    from nora.formats.retention import Place, Totals
    from nora.retention.plan import Removal


class RemovalShown(TypedDict):
    """Something that goes as a whole."""

    format: str
    repository: str
    package: str
    """Or the directory."""
    name: str
    """The tag, the version or the file that the rule is about."""
    tags: list[str]
    versions: list[str]
    files: int
    bytes: int
    """What nothing else of the package needs; other packages may."""
    rule: int
    """Its number, from 1."""


class TotalsShown(TypedDict):
    """How much goes in all."""

    packages: int
    tags: int
    versions: int
    files: int
    bytes: int


def removal_shown(place: Place, package: str, removal: Removal) -> RemovalShown:
    """As programs read it."""
    return {
        "format": place.format.name,
        "repository": place.repository.name,
        "package": package,
        "name": removal.name,
        "tags": [*removal.tags],
        "versions": [*removal.versions],
        "files": len(removal.paths),
        "bytes": removal.bytes,
        "rule": removal.rule.number,
    }


def totals_shown(totals: Totals) -> TotalsShown:
    """As programs read it."""
    fields: Any = asdict(totals)
    return fields  # type: ignore[no-any-return]


def rules_shown(rules: Sequence[RetentionRule]) -> list[dict[str, Any]]:
    """As the configuration has them."""
    return [written_rule(one) for one in rules]
