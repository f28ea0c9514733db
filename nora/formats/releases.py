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

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.catalog.base import Catalog
from nora.catalog.records import Package, Version
from nora.errors import BadRequest, NotFound, PackageNotFound, VersionNotFound, quoted
from nora.formats.base import Services
from nora.http.context import PathContext
from nora.http.fields import Fields, json_answer, read_fields, text_of
from nora.http.router import Endpoint
from nora.model import Repository

LIVE: Final = "live"
QUARANTINED: Final = "quarantined"
"""The status of a package that offers nothing; it is set and ended by administrators."""
_NOTHING: Final[frozenset[str]] = frozenset()
_REASON: Final = frozenset({"reason"})


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRules:
    """What there is to do to the releases of a format."""

    prefix: str
    """The path of a package; the one name in it is what the format calls a package: `/pypi/{project}`."""
    marks: tuple[Mark, ...] = ()
    statuses: tuple[str, ...] = ()
    """What a package may be; at first it is the first."""
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


class ReleaseApi:
    """The endpoints."""

    def __init__(
        self,
        services: Services,
        authorizer: Authorizer,
        rules: ReleaseRules,
        guard: Callable[[PathContext], Awaitable[None]] | None = None,
    ) -> None:
        """`guard` raises Denied where who may write or delete may not change a package all the same: it is
        somebody else's."""
        self._authorizer = authorizer
        self._guard = guard
        self._catalog = services.catalog
        self._cache = services.cache
        self._rules = rules
        self._releases = Releases(services.catalog, rules)

    def endpoints(self) -> Iterator[Endpoint[PathContext]]:
        """Those that the rules ask for."""
        rules, prefix = self._rules, self._rules.prefix
        for one in rules.marks:
            yield Endpoint("POST", f"{prefix}/{{version}}/{one.verb}", "write", self._marking(one))
            yield Endpoint("POST", f"{prefix}/{{version}}/{one.undo}", "write", self._unmarking(one))
        if rules.statuses:
            yield Endpoint("PUT", f"{prefix}/status", "write", self.set_status)
        if rules.documents is not None:
            yield Endpoint("POST", f"{prefix}/refresh", "write", self.refresh)
        yield Endpoint("DELETE", prefix, "delete", self.delete)
        yield Endpoint("DELETE", f"{prefix}/{{version}}", "delete", self.delete)
        yield Endpoint("DELETE", f"{prefix}/{{version}}/{{filename}}", "delete", self.delete)

    def _marking(self, mark: Mark) -> Callable[[PathContext], Any]:
        async def answer(context: PathContext) -> Response:
            reason = _reason(await read_fields(context.request, _NOTHING, _REASON))
            package, version = context.name, context.target.get("version")
            context.audit("write", f"{package} {version} {mark.verb}")
            await self._check(context)
            await self._releases.mark(context.writable, package, version, mark, reason)
            return self._answer(package, version=version, **{mark.state: reason or True})

        return answer

    def _unmarking(self, mark: Mark) -> Callable[[PathContext], Any]:
        async def answer(context: PathContext) -> Response:
            await read_fields(context.request, _NOTHING)
            package, version = context.name, context.target.get("version")
            context.audit("write", f"{package} {version} {mark.undo}")
            await self._check(context)
            await self._releases.unmark(context.writable, package, version)
            return self._answer(package, version=version, **{mark.state: False})

        return answer

    async def set_status(self, context: PathContext) -> Response:
        """To quarantine, and to end a quarantine, is for administrators."""
        fields = await read_fields(context.request, frozenset({"status"}), _REASON)
        package, status, reason = context.name, text_of(fields, "status"), _reason(fields)
        context.audit("write", f"{package} {status}")
        await self._check(context)
        found = await self._catalog.find_package(context.writable.id, package)
        if QUARANTINED in (status, found and status_of(found)[0]):
            self._authorizer.require(context.principal, "admin", context.repository, package)
        await self._releases.set_status(context.writable, package, status, reason)
        return self._answer(package, status=status, reason=reason or None)

    async def delete(self, context: PathContext) -> Response:
        """Of a package, a version or a file."""
        package, target = context.name, context.target
        version, filename = target.get("version"), target.get("filename")
        context.audit("delete", f"{package} {version} {filename}".strip())
        await self._check(context)
        count = await self._releases.delete(context.writable, package, version, filename)
        return self._answer(package, deleted=count)

    async def refresh(self, context: PathContext) -> Response:
        """What is cached of the documents of a package, or of its absence, is old from now on."""
        await read_fields(context.request, _NOTHING)
        package, documents = context.name, self._rules.documents
        assert documents is not None  # else there is no such endpoint
        context.audit("write", f"{package} refresh")
        self._cache.forget_absences(package)
        sources = context.repository.proxied
        refreshed = [await self._cache.expire(sources, path) for path in documents(package)]
        return self._answer(package, refreshed=any(refreshed))

    async def _check(self, context: PathContext) -> None:
        if self._guard is not None:
            await self._guard(context)

    def _answer(self, package: str, **fields: object) -> Response:
        return json_answer({self._rules.package: package, **fields})


def _reason(fields: Fields) -> str:
    return text_of(fields, "reason") if fields.get("reason") is not None else ""
