"""Histories of packages that are made up for tests: ages in days, pulls as days ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nora.catalog.histories import Content, FileHistory, PackageHistory, TagHistory, VersionHistory
from nora.config import RetentionRule
from nora.config.retention import RULES
from nora.retention.rules import DAY

NOW = 1_800_000_000.0


def ago(days: float) -> float:
    return NOW - days * DAY


def version(
    name: str,
    age: float,
    *needs: str,
    about: str | None = None,
    pulled: float | None = None,
    layers: Mapping[str, int] | None = None,
    size: int = 10,
) -> VersionHistory:
    """`needs` are versions, `layers` other content that it refers to, with its size."""
    references = [Content(one, 10) for one in needs] + [Content(*one) for one in (layers or {}).items()]
    return VersionHistory(
        name=name,
        published_at=ago(age),
        subject=about,
        last_pulled_at=None if pulled is None else ago(pulled),
        paths=(f"files/{name}",),
        contents=(Content(name, size),),
        references=tuple(references),
    )


def package(versions: Sequence[VersionHistory], tags: Mapping[str, str] | None = None) -> PackageHistory:
    """`tags`: what each means; it is as old as that, unless `v@3` says that it was set three days ago."""
    published = {one.name: one.published_at for one in versions}
    made = []
    for tag, meant in (tags or {}).items():
        name, _, age = meant.partition("@")
        made.append(
            TagHistory(name=tag, version=name, updated_at=ago(float(age)) if age else published[name])
        )
    return PackageHistory(name="team/app", revision=7, versions=tuple(versions), tags=tuple(made))


def file(path: str, age: float, used: float | None = None) -> FileHistory:
    return FileHistory(
        path=path,
        content=Content(f"sha256:{path}", 10),
        created_at=ago(age),
        last_used_at=None if used is None else ago(used),
    )


def rules(*tables: Mapping[str, object]) -> tuple[RetentionRule, ...]:
    """As the configuration has them; of everything, unless they say of what."""
    found: tuple[RetentionRule, ...] = RULES.read([{"registry": "*", **one} for one in tables])  # type: ignore[assignment]
    return found
