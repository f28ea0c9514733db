"""What of a package goes: whole things, each in one transaction, in this order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from nora.catalog.histories import Content, FileHistory, PackageHistory, TagHistory, VersionHistory
from nora.retention.rules import DAY, Candidate, NumberedRule, decide

UNTAGGED_SECONDS: Final = DAY
"""What has no tag stays for so long in any case: it may be the first part of a push."""

# How signatures are attached where registries know no subjects (cosign's specification, "Storage").
_ATTACHED: Final = re.compile(r"(sha256|sha512)-([0-9a-f]{64}|[0-9a-f]{128})(\..*)?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """What of the packages of a repository is counted."""

    order: Callable[[str], Any]
    """The key by which versions - or tags, and files, of one moment - are sorted, the oldest first."""
    by_tags: bool = False
    """Whether tags are: a version goes with the last of its tags, and with it what only it needs and what is
    about it."""
    is_kept: Callable[[str], bool] = field(default=lambda _: False)
    """Which tags stay, with all that they need, whatever rules say."""
    is_cached: bool = False
    """Whether it came from an upstream, and tags are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Something that goes as a whole."""

    rule: NumberedRule
    name: str
    """The tag, the version or the file that the rule is about."""
    tags: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    """With all of their files and tags."""
    paths: tuple[str, ...] = ()
    """The files."""
    digest: str = ""
    """Of the file, where there is one."""
    bytes: int = 0
    """What nothing else of the package needs; other packages may."""


def plan_package(
    history: PackageHistory, rules: Sequence[NumberedRule], counting: Counting, now: float
) -> list[Removal]:
    """What of a package goes."""
    if not rules:
        return []
    if counting.by_tags:
        return _Tagged(history, counting).plan(rules, now)
    tags: dict[str, list[str]] = {}
    for tag in history.tags:
        tags.setdefault(tag.version, []).append(tag.name)
    kept = {tag.version for tag in history.tags if counting.is_kept(tag.name)}
    versions = {one.name: one for one in history.versions}
    candidates = [
        Candidate(
            name=one.name,
            names=(one.name, *tags.get(one.name, ())),
            order=counting.order(one.name),
            at=one.published_at,
            pulled_at=one.last_pulled_at,
        )
        for one in history.versions
        if one.name not in kept
    ]
    found = [(one, [versions[one.name]], (), rule) for one, rule in decide(candidates, rules, now)]
    return _measured(found, versions)


def plan_directory(
    files: Iterable[FileHistory], rules: Sequence[NumberedRule], counting: Counting, now: float
) -> list[Removal]:
    """What goes of the files that are in one directory."""
    by_path = {one.path: one for one in files}
    candidates = [
        Candidate(
            name=one.path,
            names=(one.path.rpartition("/")[2],),
            order=(one.created_at, counting.order(one.path)),
            at=one.created_at,
            pulled_at=one.last_used_at,
        )
        for one in by_path.values()
    ]
    return [
        Removal(
            rule=rule,
            name=one.name,
            paths=(one.name,),
            digest=by_path[one.name].content.digest,
            bytes=by_path[one.name].content.size,
        )
        for one, rule in decide(candidates, rules, now)
    ]


Found = tuple[Candidate, Sequence[VersionHistory], Sequence[str], NumberedRule]
"""A candidate that goes, the versions and the tags that go with it, and why."""


def _measured(found: Sequence[Found], versions: Mapping[str, VersionHistory]) -> list[Removal]:
    """What goes together, and how much: what several need goes with the last of them."""
    gone = {version.name for _, going, _, _ in found for version in going}
    needed = {
        content.digest for one in versions.values() if one.name not in gone for content in _contents(one)
    }
    removals = []
    for candidate, going, tags, rule in reversed(found):
        freed = {one.digest: one.size for version in going for one in _contents(version)}
        size = sum(count for digest, count in freed.items() if digest not in needed)
        needed.update(freed)
        removals.append(
            Removal(
                rule=rule,
                name=candidate.name,
                tags=tuple(tags),
                versions=tuple(one.name for one in going),
                paths=tuple(path for one in going for path in one.paths),
                bytes=size,
            )
        )
    return removals[::-1]


def _contents(version: VersionHistory) -> Iterator[Content]:
    yield from version.contents
    yield from version.references


class _Tagged:
    """A package whose tags are counted, as a graph: a version needs the versions that it refers to, and has
    those that are about it."""

    def __init__(self, history: PackageHistory, counting: Counting) -> None:
        self._counting = counting
        self._versions = {one.name: one for one in history.versions}
        self._attached: dict[str, list[TagHistory]] = {}
        """Tags that are about a version, by it."""
        self._tags: list[TagHistory] = []
        """The others."""
        for tag in history.tags:
            subject = _subject_of(tag.name)
            if subject in self._versions and subject != tag.version:
                self._attached.setdefault(subject, []).append(tag)
            else:
                self._tags.append(tag)
        self._about: dict[str, list[str]] = {}
        for one in history.versions:
            if one.subject in self._versions:
                self._about.setdefault(one.subject, []).append(one.name)

    def plan(self, rules: Sequence[NumberedRule], now: float) -> list[Removal]:
        """What goes: tags, and versions that have none, are children of none and about none."""
        roots = {one.name: one.version for one in self._tags} | {one: one for one in self._untagged()}
        candidates = [*self._of_tags(), *self._of_untagged(now)]
        going = [*decide(candidates, rules, now)]
        names = {one.name for one, _ in going}
        alive: dict[str, None] = {}
        for name, version in roots.items():
            if name not in names:
                self._collect(version, alive)
        found: list[Found] = []
        taken = alive
        for candidate, rule in reversed(going):  # what several need goes with the last of them
            new = self._collect(roots[candidate.name], taken)
            tags = [one.name for version in new for one in self._attached.get(version, ())]
            own = [candidate.name] if candidate.is_tagged else []
            found.append((candidate, [self._versions[one] for one in new], [*own, *tags], rule))
        return _measured(found[::-1], self._versions)

    def _collect(self, version: str, into: dict[str, None]) -> list[str]:
        """A version, what it needs and what is about that, as far as it was not collected: in this order."""
        new, waiting = [], [version]
        while waiting:
            one = waiting.pop()
            if one not in into:
                into[one] = None
                new.append(one)
                waiting += self._next(one)
        return new

    def _next(self, version: str) -> Iterator[str]:
        yield from (one.digest for one in self._versions[version].references if one.digest in self._versions)
        yield from self._about.get(version, ())
        yield from (tag.version for tag in self._attached.get(version, ()))

    def _untagged(self) -> Iterator[str]:
        """Versions that nothing else of the package is a reason for."""
        held = {tag.version for tag in self._tags}
        held.update(tag.version for tags in self._attached.values() for tag in tags)
        held.update(one for several in self._about.values() for one in several)
        held.update(one.digest for version in self._versions.values() for one in version.references)
        return (one for one in self._versions if one not in held)

    def _of_tags(self) -> Iterator[Candidate]:
        order = self._counting.order
        for tag in self._tags:
            if not self._counting.is_kept(tag.name):
                yield self._candidate(tag.name, tag.version, tag.updated_at, order(tag.name))

    def _of_untagged(self, now: float) -> Iterator[Candidate]:
        for name in self._untagged():
            version = self._versions[name]
            if version.published_at <= now - UNTAGGED_SECONDS:
                is_tagged = None if self._counting.is_cached else False
                one = self._candidate(name, name, version.published_at, ())
                yield replace(one, is_tagged=is_tagged)

    def _candidate(self, name: str, version: str, at: float, order: Any) -> Candidate:
        """It was pulled when anything was that goes with it: a part for one platform, by its digest."""
        pulled = [self._versions[one].last_pulled_at for one in self._collect(version, {})]
        return Candidate(
            name=name,
            names=(name,),
            order=(at, order),
            at=at,
            pulled_at=max((one for one in pulled if one is not None), default=None),
        )


def _subject_of(tag: str) -> str:
    """The digest of what a tag is about, if its name says so; else nothing."""
    match = _ATTACHED.fullmatch(tag)
    return f"{match[1]}:{match[2]}" if match else ""
