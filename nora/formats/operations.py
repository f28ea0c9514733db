"""What somebody who looks at a package can do to it, whatever its format: delete, yank, purge, claim.

An operation is declared by what does it: it runs the function that the endpoint of the protocol runs, so that
checks, rights, the audit log and what happens are the same, and says beforehand what that will be. A format
brings those of its packages (`Format.operations`); what administrators do to packages of all formats is added
by `nora.formats.administration`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import orjson

from nora.errors import BadRequest, Blocked, Denied, NotFound, quoted
from nora.http.context import PackageContext

if TYPE_CHECKING:
    from blacksheep import Request

    from nora.auth.access import Access
    from nora.catalog.base import Catalog
    from nora.formats.base import Format, Services
    from nora.model import Action, Principal, Repository
    from nora.resolve import Resolver

About = Literal["package", "version", "tag", "file"]
"""What an operation is done to; a directory is a file whose path ends in a slash."""
Place = Literal["published", "cached", "name"]
"""What of it: what was published here, what came from upstreams, or only whose name it is."""
LONGEST_REASON: Final = 1024


@dataclass(frozen=True, slots=True)
class Subject:
    """What an operation is done to. Names are as their format spells them."""

    repository: Repository
    """As clients name it; a group stands for its members."""
    package: str = ""
    version: str = ""
    tag: str = ""
    file: str = ""
    """The name of a file of the package; without one the path of a file or of a directory."""

    @property
    def about(self) -> About:
        """What of the package it is."""
        return "file" if self.file else "tag" if self.tag else "version" if self.version else "package"

    @property
    def name(self) -> str:
        """By which it is decided who may."""
        return self.package or self.file

    def __str__(self) -> str:
        version = f" {self.version}" if self.version and not self.file else ""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.package}{tag}{version} {self.file}".strip()


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand with a subject: what may be done to it depends on that."""

    is_published: bool = False
    """Whether it was published here, in the member that takes writes."""
    is_cached: bool = False
    is_owned: bool = False
    """Whether the name is ours."""
    has_sources: bool = False
    """Whether anybody might be asked for it."""
    state: str = ""
    """Of what was published: of a version, or the status of a package."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is concerned."""

    versions: int = 0
    files: int = 0
    bytes: int = 0

    def __add__(self, other: Extent) -> Extent:
        return Extent(self.versions + other.versions, self.files + other.files, self.bytes + other.bytes)

    def __bool__(self) -> bool:
        return bool(self.versions or self.files)


Run = Callable[[PackageContext, Subject, str], Awaitable[None]]
Guard = Callable[[PackageContext], Awaitable[None]]
"""Raises Denied where who may write or delete may not change a package all the same: it is another one's."""
Measure = Callable[[Subject], Awaitable[Extent]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something that can be done. All words are English, and translated where they are shown."""

    name: str
    """In addresses: `yank`; one of its kind (`about`) in a format."""
    about: About
    place: Place
    title: str
    """The words of a button: `Yank`."""
    effect: str
    """A sentence or two: what will be so afterwards."""
    done: str
    """A sentence about `{what}`: what is so now."""
    right: Callable[[Subject], Action]
    """What one must be allowed to do."""
    of_server: bool = False
    """Whether that is asked of the server as a whole, as administration is, and not of the package."""
    reason: Literal["", "optional", "required"] = ""
    """Whether it is said why."""
    is_final: bool = False
    """Whether it can never be undone."""
    applies: Callable[[Subject, Standing], bool]
    """Whether there is anything to do."""
    run: Run
    """Does it: with who is asking, for what and why. Raises NoraError."""
    guard: Guard | None = None
    """Raises Denied where more than the right decides, as `run` does then: the package is somebody else's."""
    measure: Measure | None = None
    """How much it concerns, where rows of the package do not tell."""


def always(right: Action) -> Callable[[Subject], Action]:
    """The same right for all subjects."""
    return lambda _: right


def deletion(
    about: About, effect: str, run: Run, *, guard: Guard | None = None, measure: Measure | None = None
) -> Operation:
    """What was published is deleted, for good."""
    return Operation(
        name="delete",
        about=about,
        place="published",
        title="Delete",
        effect=effect,
        done="{what} is deleted.",
        right=always("delete"),
        is_final=True,
        applies=lambda _, standing: standing.is_published,
        run=run,
        guard=guard,
        measure=measure,
    )


class Operations:
    """All that can be done to what is served here."""

    def __init__(
        self,
        services: Services,
        formats: Iterable[Format],
        of_all: Callable[[Format], Sequence[Operation]] = lambda _: (),
    ) -> None:
        """`of_all`: what there is for a format beside what it brings itself."""
        self._access: Access = services.access
        self._catalog: Catalog = services.catalog
        self._resolver: Resolver = services.resolver
        self._formats = {one.name: one for one in formats}
        self._found = {
            one.name: (*(one.operations(services) if one.operations else ()), *of_all(one))
            for one in self._formats.values()
        }

    def subject(
        self,
        repository: Repository,
        package: str = "",
        *,
        version: str = "",
        tag: str = "",
        file: str = "",
    ) -> Subject:
        """What somebody names, as its format spells it. Raises BadRequest without a name."""
        if not (package or file):
            raise BadRequest("say which package, or which file")
        fold = self._formats[repository.format].fold
        if package:
            return Subject(repository, fold(package), version, tag, file)
        return Subject(repository, file=fold(file))

    def all(self, format_name: str) -> Sequence[Operation]:
        """What there is in a format."""
        return self._found.get(format_name, ())

    def find(self, subject: Subject, name: str) -> Operation:
        """By its name. Raises NotFound."""
        for one in self.all(subject.repository.format):
            if (one.name, one.about) == (name, subject.about):
                return one
        raise NotFound(f"there is no {quoted(name)} for a {subject.about} of {subject.repository.format}")

    def may(self, principal: Principal, subject: Subject, operation: Operation) -> bool:
        """Whether somebody is allowed to do it."""
        if operation.of_server:
            return self._access.decide(principal, operation.right(subject), None, None)
        return self._access.decide(principal, operation.right(subject), subject.repository, subject.name)

    async def offered(self, request: Request, principal: Principal, subject: Subject) -> list[Operation]:
        """What somebody can do to it as things are."""
        allowed = [
            one
            for one in self.all(subject.repository.format)
            if one.about == subject.about and self.may(principal, subject, one)
        ]
        if not allowed:
            return []
        standing = await self.standing(subject)
        found = [one for one in allowed if one.applies(subject, standing)]
        return [one for one in found if await _lets(one, _context(request, principal, subject, one))]

    async def perform(
        self, request: Request, principal: Principal, subject: Subject, operation: Operation, reason: str = ""
    ) -> None:
        """Do it, as a request of somebody; the audit log has it as it has a request of a client. Raises
        Unauthenticated, Denied, BadRequest, and what the operation raises."""
        context = _context(request, principal, subject, operation)
        context.audit(operation.right(subject), f"{subject} {operation.name}")
        place = (None, None) if operation.of_server else (subject.repository, subject.name)
        self._access.require(principal, operation.right(subject), *place)
        if operation.reason == "required" and not reason.strip():
            raise BadRequest("say why: others are told")
        if len(reason) > LONGEST_REASON:
            raise BadRequest(f"a reason has at most {LONGEST_REASON} characters")
        await operation.run(context, subject, reason.strip() if operation.reason else "")

    # -- how things stand ------------------------------------------------------------------------------

    async def standing(self, subject: Subject) -> Standing:
        """How things stand now."""
        repository, target = subject.repository, subject.repository.writable
        has_sources = self._resolver.has_sources(repository)
        if not subject.package:
            return await self._standing_of_file(subject)
        cached = [await self._is_cached(row, subject) for row in await self._sources(subject)]
        standing = Standing(is_cached=any(cached), has_sources=has_sources)
        package = None if target is None else await self._catalog.find_package(target.id, subject.package)
        if target is None or package is None:
            return standing
        standing = replace(standing, is_owned=package.owned)
        if subject.about == "version":
            versions = await self._catalog.list_versions(target.id, subject.package)
            state = next((one.state for one in versions if one.name == subject.version), "")
            return replace(standing, is_published=bool(state), state=state)
        if subject.about == "tag":
            return replace(standing, is_published=await self._has_tag(target.id, subject))
        files = await self._extent(target.id, subject)
        return replace(standing, is_published=bool(files), state=_status(package.document))

    async def _standing_of_file(self, subject: Subject) -> Standing:
        target = subject.repository.writable
        if target is None:
            return Standing()
        if subject.file.endswith("/"):
            entries = await self._catalog.list_directory(target.id, subject.file.rstrip("/"), "", 1)
            return Standing(is_published=bool(entries))
        file = await self._catalog.find_file(target.id, subject.file, blocked=True)
        return Standing(is_published=file is not None)

    async def _sources(self, subject: Subject) -> list[tuple[int, str]]:
        """The rows of the sources that may have a package, and its name there."""
        resolution = await self._resolver.resolve(subject.repository, subject.package)
        return [one.key for one in resolution.candidates]

    async def _is_cached(self, key: tuple[int, str], subject: Subject) -> bool:
        if await self._catalog.find_package(*key) is None:
            return False
        if subject.about != "version":
            return True
        return any(one.name == subject.version for one in await self._catalog.list_versions(*key))

    async def _has_tag(self, row: int, subject: Subject) -> bool:
        try:
            return await self._catalog.find_tagged_file(row, subject.package, subject.tag) is not None
        except Blocked:  # who removes it may know of it
            return True

    async def measure(self, subject: Subject, operation: Operation) -> Extent:
        """How much an operation concerns; nothing where it is only about the name."""
        if operation.measure is not None:
            return await operation.measure(subject)
        if operation.place == "name" or not subject.package:
            return Extent()
        if operation.place == "cached":
            found = Extent()
            for row, name in await self._sources(subject):
                found += await self._extent(row, replace(subject, package=name))
            return found
        target = subject.repository.writable
        return Extent() if target is None else await self._extent(target.id, subject)

    async def _extent(self, row: int, subject: Subject) -> Extent:
        beside = self._formats[subject.repository.format].browse.beside or ("\0",)
        files = [
            one
            for one in await self._catalog.list_package_files(row, subject.package)
            if subject.version in ("", one.version) and one.path.endswith(subject.file)
        ]
        shown = [one for one in files if not one.path.endswith(beside)]
        blobs = {one.blob.digest: one.blob.size for one in files}
        versions = {one.version for one in shown} - {None}
        return Extent(len(versions), len(shown), sum(blobs.values()))


def _context(
    request: Request, principal: Principal, subject: Subject, operation: Operation
) -> PackageContext:
    context = PackageContext(request, operation.right(subject), subject.repository, subject.name)
    context.principal = principal
    return context


async def _lets(operation: Operation, context: PackageContext) -> bool:
    try:
        if operation.guard is not None:
            await operation.guard(context)
    except Denied:
        return False
    return True


def _status(document: bytes) -> str:
    said = orjson.loads(document).get("status")
    return said if isinstance(said, str) else ""
