"""The same as nora.formats.releases, for people who look at a package (nora.formats.operations)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from nora.auth.authorizer import Authorizer
from nora.formats.operations import Guard, Operation, Run, Standing, Subject, always, deletion
from nora.formats.releases import QUARANTINED, Mark, ReleaseChanges, ReleaseRules, Words

if TYPE_CHECKING:
    from nora.formats.base import Services
    from nora.http.context import PackageContext

UNQUARANTINED: Final = "unquarantined"


def release_operations(
    services: Services, rules: ReleaseRules, guard: Guard | None = None
) -> tuple[Operation, ...]:
    """Those that the rules ask for; `guard` as that of the endpoints."""
    authorizer = Authorizer(services.authenticator, services.access)
    return tuple(_Operations(ReleaseChanges(services, authorizer, rules, guard), rules, guard).all())


class _Operations:
    def __init__(self, changes: ReleaseChanges, rules: ReleaseRules, guard: Guard | None) -> None:
        self._changes = changes
        self._rules = rules
        self._guard = guard

    def all(self) -> Iterator[Operation]:
        for mark in self._rules.marks:
            yield from self._marks(mark)
        if self._rules.statuses:
            yield from self._statuses()
        if self._rules.documents is not None:
            yield self._refresh()
        yield from self._deletions()

    def _name(self, context: PackageContext, subject: Subject) -> None:
        """The package as the rules parse it: past here it is a value. Raises InvalidName."""
        context.package = self._rules.parse_package(subject.package)

    # -- marks and statuses ----------------------------------------------------------------------------

    def _marks(self, mark: Mark) -> Iterator[Operation]:
        async def run(context: PackageContext, subject: Subject, reason: str) -> None:
            self._name(context, subject)
            await self._changes.mark(context, subject.version, mark, reason)

        async def undo(context: PackageContext, subject: Subject, reason: str) -> None:
            self._name(context, subject)
            await self._changes.unmark(context, subject.version, mark)

        yield self._version(mark.verb, mark.words, run, mark.state, is_undo=False)
        yield self._version(mark.undo, mark.undo_words, undo, mark.state, is_undo=True)

    def _version(self, name: str, words: Words, run: Run, state: str, *, is_undo: bool) -> Operation:
        def applies(_: Subject, standing: Standing) -> bool:
            return standing.is_published and (standing.state == state) is is_undo

        return Operation(
            name=name,
            about="version",
            place="published",
            title=words.title,
            effect=words.effect,
            done=words.done,
            right=always("write"),
            reason="" if is_undo else "optional",
            applies=applies,
            run=run,
            guard=self._guard,
        )

    def _statuses(self) -> Iterator[Operation]:
        first = self._rules.statuses[0]
        for name, words in self._rules.status_words.items():
            ends = name == UNQUARANTINED
            yield self._status(name, words, first if ends else name, ends_quarantine=ends)

    def _status(self, name: str, words: Words, status: str, *, ends_quarantine: bool) -> Operation:
        first = self._rules.statuses[0]

        def applies(_: Subject, standing: Standing) -> bool:
            if not standing.is_published or (standing.state == QUARANTINED) is not ends_quarantine:
                return False
            return ends_quarantine or (standing.state or first) != status

        async def run(context: PackageContext, subject: Subject, reason: str) -> None:
            self._name(context, subject)
            await self._changes.set_status(context, status, reason)

        return Operation(
            name=name,
            about="package",
            place="name",
            title=words.title,
            effect=words.effect,
            done=words.done,
            right=always("admin" if name in (QUARANTINED, UNQUARANTINED) else "write"),
            reason="" if status == first else "optional",
            applies=applies,
            run=run,
            guard=self._guard,
        )

    # -- caches ----------------------------------------------------------------------------------------

    def _refresh(self) -> Operation:
        async def run(context: PackageContext, subject: Subject, _: str) -> None:
            self._name(context, subject)
            await self._changes.refresh(context)

        return Operation(
            name="refresh",
            about="package",
            place="name",
            title="Ask the upstreams again",
            effect="Which versions there are is asked of the upstreams again at the next request. What is "
            "cached stays.",
            done="The upstreams are asked for {what} again.",
            right=always("write"),
            applies=lambda _, standing: standing.is_cached,
            run=run,
        )

    # -- deletions -------------------------------------------------------------------------------------

    def _deletions(self) -> Iterator[Operation]:
        async def run(context: PackageContext, subject: Subject, _: str) -> None:
            self._name(context, subject)
            await self._changes.delete(context, subject.version, subject.file)

        yield deletion("version", VERSION, run, guard=self._guard)
        if self._rules.has_files:
            yield deletion("file", FILE, run, guard=self._guard)
        yield deletion("package", PACKAGE, run, guard=self._guard)


VERSION: Final = "The version and its files are removed for good: their names are never used again."
FILE: Final = "The file is removed for good: its name is never used again."
PACKAGE: Final = (
    "All versions that were published here are removed for good: the names of their files are never used "
    "again. The name stays ours, and no upstream is asked for it."
)
