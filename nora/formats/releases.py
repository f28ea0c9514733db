"""What is done to hosted releases after their upload, as endpoints and commands of any format.

    POST   <package>/<version>/<mark>        {"reason": …}: clients pass over the version, in the format's way
    POST   <package>/<version>/<undo>        {}
    PUT    <package>/status                  {"status": …, "reason": …}
    POST   <package>/refresh                 {}; ask the upstreams again at the next request
    DELETE <package>/<version>/<filename>    for good: the name of a file is never used again
    DELETE <package>/<version>
    DELETE <package>

A format says in its `ReleaseRules` what there is. What is done is in the rows: a mark is the state of a
version, its reason is in the document of the version under the name of the state; a status and its reason are
in the document of the package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Required, TypedDict

import orjson
from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.catalog.base import Catalog
from nora.catalog.records import Package, Version
from nora.errors import BadRequest, NotFound, PackageNotFound, VersionNotFound, quoted
from nora.formats.base import Services
from nora.formats.operations import Guard
from nora.http.context import PackageContext, PathContext
from nora.http.fields import Fields, json_answer, read_fields, text_of
from nora.http.operations import Operation
from nora.http.router import Endpoint
from nora.model import Repository

LIVE: Final = "live"
QUARANTINED: Final = "quarantined"
"""The status of a package that offers nothing; it is set and ended by administrators."""


class NothingSaid(TypedDict):
    """Nothing: `{}`."""


class Reason(TypedDict, total=False):
    """Why it is so."""

    reason: str | None


class NewStatus(Reason):
    """What a package is from now on, and why."""

    status: Required[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is said of a change, in English, before and after; see nora.formats.operations."""

    title: str
    effect: str
    done: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A state that a version may be put into, and out of again."""

    state: str
    """As in the rows and in answers: `yanked`."""
    verb: str
    undo: str
    help: str
    """Sentences about the two, for commands; the words of the arguments in capitals."""
    undo_help: str
    words: Words
    """About the two, for people who look at a version."""
    undo_words: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRules:
    """What there is to do to the releases of a format."""

    prefix: str
    """The path of a package; the one name in it is what the format calls a package: `/pypi/{project}`."""
    marks: tuple[Mark, ...] = ()
    statuses: tuple[str, ...] = ()
    """What a package may be; at first it is the first."""
    status_words: Mapping[str, Words] = field(default_factory=dict)
    """About making it so; of the first about making it so again, of `unquarantined` about ending that."""
    has_files: bool = False
    """Whether a version has several files, each of which may be deleted."""
    parse_package: Callable[[str], str]
    """A name as it is spelled here. Raises InvalidName."""
    parse_version: Callable[[str], str]
    """The same of a version."""
    path_of: Callable[[str, str], str]
    """Where a file of a package is among the files of its repository, by its name."""
    beside: tuple[str, ...] = ()
    """The ends of the names of files that go with the one they are named after."""
    documents: Callable[[str], Sequence[str]] | None = None
    """Where the documents of a package are among the files of a source."""

    @property
    def package(self) -> str:
        """What the format calls a package."""
        return self.prefix.partition("{")[2].partition("}")[0].removeprefix("@").removesuffix("...")


def status_of(package: Package, otherwise: Any = None) -> tuple[Any, str | None]:
    """The status of a package, and why; `otherwise` where none was set."""
    document = orjson.loads(package.document)
    return document.get("status", otherwise), document.get("reason")


def reason_of(version: Version, state: str) -> str | bool:
    """Why a version is in a state; True without a reason, False when it is in another one."""
    return version.state == state and (orjson.loads(version.document).get(state) or True)


class Releases:
    """The releases of hosted repositories. Packages are named as they are spelled here. Raises NotFound for
    what is not there."""

    def __init__(self, catalog: Catalog, rules: ReleaseRules) -> None:
        self._catalog = catalog
        self._rules = rules

    async def mark(self, hosted: Repository, package: str, version: str, mark: Mark, reason: str) -> None:
        """Put a version into a state."""
        await self._update(hosted, package, version, mark.state, {mark.state: reason or None})

    async def unmark(self, hosted: Repository, package: str, version: str) -> None:
        """Take it out of whatever state it is in."""
        await self._update(hosted, package, version, LIVE, {})

    async def _update(
        self, hosted: Repository, package: str, version: str, state: str, said: dict[str, Any]
    ) -> None:
        name = self._rules.parse_version(version)
        for one in await self._catalog.list_versions(hosted.id, package):
            if one.name == name:
                states = {mark.state for mark in self._rules.marks}
                kept = {key: value for key, value in orjson.loads(one.document).items() if key not in states}
                document = orjson.dumps(kept | said)
                if await self._catalog.update_version(
                    hosted.id, package, name, state=state, document=document
                ):
                    return
        raise VersionNotFound(f"{hosted.name} has no {package} {name}")

    async def delete(self, hosted: Repository, package: str, version: str = "", filename: str = "") -> int:
        """Remove a file, all of a version, or all of a package, for good; how many files, without those that
        are beside others."""
        rules = self._rules
        name = rules.parse_version(version) if version else ""
        only = rules.path_of(package, filename)
        paths = {only, *(only + end for end in rules.beside)}
        chosen = [
            row.path
            for row in await self._catalog.list_package_files(hosted.id, package)
            if (not name or row.version == name) and (not filename or row.path in paths)
        ]
        if not chosen:
            raise NotFound(f"{hosted.name} has no {quoted(filename or f'{package} {name}'.strip())}")
        await self._catalog.delete_files(hosted.id, chosen, for_good=True)
        return sum(not path.endswith(rules.beside) for path in chosen)

    async def set_status(self, hosted: Repository, package: str, status: str, reason: str) -> None:
        """Raises BadRequest for a status that there is not."""
        if status not in self._rules.statuses:
            raise BadRequest(f"status is one of {', '.join(self._rules.statuses)}")
        while (found := await self._catalog.find_package(hosted.id, package)) is not None:
            said = {"status": status, "reason": reason or None}
            document = orjson.dumps(orjson.loads(found.document) | said)
            if await self._catalog.update_package(hosted.id, package, document, before=found.document):
                return
        raise PackageNotFound(f"{hosted.name} has no {self._rules.package} {package}")


class ReleaseChanges:
    """What somebody does to releases: told to the audit log, looked at by the guard of the format, then done.
    That they may do such things to the package at all is known before."""

    def __init__(
        self, services: Services, authorizer: Authorizer, rules: ReleaseRules, guard: Guard | None = None
    ) -> None:
        self._authorizer = authorizer
        self._guard = guard
        self._catalog = services.catalog
        self._cache = services.cache
        self._rules = rules
        self._releases = Releases(services.catalog, rules)

    async def mark(self, context: PackageContext, version: str, mark: Mark, reason: str) -> None:
        """Put a version into a state."""
        context.audit("write", f"{context.name} {version} {mark.verb}")
        await self._check(context)
        await self._releases.mark(context.writable, context.name, version, mark, reason)

    async def unmark(self, context: PackageContext, version: str, mark: Mark) -> None:
        """Take it out of that."""
        context.audit("write", f"{context.name} {version} {mark.undo}")
        await self._check(context)
        await self._releases.unmark(context.writable, context.name, version)

    async def set_status(self, context: PackageContext, status: str, reason: str) -> None:
        """To quarantine, and to end a quarantine, is for administrators."""
        package = context.name
        context.audit("write", f"{package} {status}")
        await self._check(context)
        found = await self._catalog.find_package(context.writable.id, package)
        if QUARANTINED in (status, found and status_of(found)[0]):
            self._authorizer.require(context.principal, "admin", context.repository, package)
        await self._releases.set_status(context.writable, package, status, reason)

    async def delete(self, context: PackageContext, version: str = "", filename: str = "") -> int:
        """A package, a version or a file; how many files."""
        context.audit("delete", f"{context.name} {version} {filename}".strip())
        await self._check(context)
        return await self._releases.delete(context.writable, context.name, version, filename)

    async def refresh(self, context: PackageContext) -> bool:
        """What is cached of the documents of a package, or of its absence, is old from now on; whether there
        was any."""
        package, documents = context.name, self._rules.documents
        assert documents is not None  # else there is nothing that does this
        context.audit("write", f"{package} refresh")
        self._cache.forget_absences(package)
        sources = context.repository.proxied
        return any([await self._cache.expire(sources, path) for path in documents(package)])

    async def _check(self, context: PackageContext) -> None:
        if self._guard is not None:
            await self._guard(context)


class ReleaseApi:
    """The endpoints."""

    def __init__(
        self, services: Services, authorizer: Authorizer, rules: ReleaseRules, guard: Guard | None = None
    ) -> None:
        self._rules = rules
        self._changes = ReleaseChanges(services, authorizer, rules, guard)

    def endpoints(self) -> Iterator[Endpoint[PathContext]]:
        """Those that the rules ask for."""
        rules, prefix = self._rules, self._rules.prefix
        for one in rules.marks:
            for verb, handler, body in (
                (one.verb, self._marking(one), Reason),
                (one.undo, self._unmarking(one), NothingSaid),
            ):
                told = Operation(summary=f"{verb.capitalize()} a version", body=body)
                yield Endpoint("POST", f"{prefix}/{{version}}/{verb}", "write", handler, told=told)
        if rules.statuses:
            told = Operation(summary="Say what a package is", body=NewStatus)
            yield Endpoint("PUT", f"{prefix}/status", "write", self.set_status, told=told)
        if rules.documents is not None:
            told = Operation(summary="Take the cached documents of a package as old", body=NothingSaid)
            yield Endpoint("POST", f"{prefix}/refresh", "write", self.refresh, told=told)
        for path, what in (
            (prefix, "a package"),
            (f"{prefix}/{{version}}", "a version"),
            (f"{prefix}/{{version}}/{{filename}}", "a file"),
        ):
            told = Operation(summary=f"Delete {what}")
            yield Endpoint("DELETE", path, "delete", self.delete, told=told)

    def _marking(self, mark: Mark) -> Callable[[PathContext], Any]:
        async def answer(context: PathContext) -> Response:
            reason = _reason(await read_fields(context.request, Reason))
            version = context.target.get("version")
            await self._changes.mark(context, version, mark, reason)
            return self._answer(context, version=version, **{mark.state: reason or True})

        return answer

    def _unmarking(self, mark: Mark) -> Callable[[PathContext], Any]:
        async def answer(context: PathContext) -> Response:
            await read_fields(context.request, NothingSaid)
            version = context.target.get("version")
            await self._changes.unmark(context, version, mark)
            return self._answer(context, version=version, **{mark.state: False})

        return answer

    async def set_status(self, context: PathContext) -> Response:
        """Of a package."""
        fields = await read_fields(context.request, NewStatus)
        status, reason = text_of(fields, "status"), _reason(fields)
        await self._changes.set_status(context, status, reason)
        return self._answer(context, status=status, reason=reason or None)

    async def delete(self, context: PathContext) -> Response:
        """Of a package, a version or a file."""
        version, filename = context.target.get("version"), context.target.get("filename")
        return self._answer(context, deleted=await self._changes.delete(context, version, filename))

    async def refresh(self, context: PathContext) -> Response:
        """Of what is cached."""
        await read_fields(context.request, NothingSaid)
        return self._answer(context, refreshed=await self._changes.refresh(context))

    def _answer(self, context: PathContext, **fields: object) -> Response:
        return json_answer({self._rules.package: context.name, **fields})


def _reason(fields: Fields) -> str:
    return text_of(fields, "reason") if fields.get("reason") is not None else ""
