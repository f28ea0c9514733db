"""What can be done to packages and files, as the web pages do it: it is looked at first, then done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from nora.errors import BadRequest, NotFound
from nora.http.fields import json_endpoint, read_fields, text_of
from nora.http.operations import Parameter

if TYPE_CHECKING:
    from nora.api.call import Call
    from nora.formats.operations import Operation, Operations, Subject
    from nora.http.router import Endpoint
    from nora.ui.shelves import Shelves

_SUBJECT: Final = (
    Parameter("repository", "The name of a repository", needed=True),
    Parameter("package", "The name of a package"),
    Parameter("version", "A version of it"),
    Parameter("tag", "A tag of it"),
    Parameter(
        "file",
        "A file of it; without a package the path of a file, or of a directory with a slash at the end",
    ),
)
_NAMES: Final = ("version", "tag", "file")


class Concerned(TypedDict):
    """How much is concerned."""

    versions: int
    files: int
    bytes: int


class OperationShown(TypedDict):
    """Something that can be done."""

    name: str
    title: str
    effect: str
    """What will be so afterwards."""
    reason: Literal["", "optional", "required"]
    """Whether it is said why."""
    final: bool
    """Whether it can never be undone."""
    extent: Concerned


class OperationsShown(TypedDict):
    """What can be done as things are, by who asks."""

    operations: list[OperationShown]


class InWhich(TypedDict):
    """What is done, and in which repository."""

    repository: str
    operation: str
    """By its name."""


class ToDo(InWhich, total=False):
    """What shall be done, and to what: a package, a version or a tag of it, or a file."""

    package: str
    version: str
    tag: str
    file: str
    reason: str
    dry_run: bool
    """Whether it is only told what would be done."""


class DoneShown(TypedDict):
    """What was done, or would be."""

    done: bool
    """False: it was only told."""
    operation: str
    extent: Concerned


class OperationApi:
    """The endpoints."""

    def __init__(self, operations: Operations, shelves: Shelves) -> None:
        self._operations = operations
        self._shelves = shelves

    def endpoints(self) -> Iterator[Endpoint[Call]]:
        """For whoever may ask; that they may do it is decided for each."""
        path = "/api/v1/operations"
        yield json_endpoint(
            "GET HEAD", path, "read", OperationsShown, self._list, query=_SUBJECT, errors=(404,)
        )
        yield json_endpoint("POST", path, "read", DoneShown, self._perform, body=ToDo, errors=(404, 409, 412))

    async def _list(self, call: Call) -> OperationsShown:
        """List what who is asking can do to a package, a version, a tag or a file."""
        subject = self._subject(call, lambda name: call.parameter(name) or "")
        offered = await self._operations.offered(call.request, call.principal, subject)
        return {"operations": [await self._shown(subject, one) for one in offered]}

    async def _perform(self, call: Call) -> DoneShown:
        """Do something to a package, a version, a tag or a file: delete, yank, deprecate, purge, claim …"""
        fields = await read_fields(call.request, ToDo)
        said = {name: text_of(fields, name) for name in fields if name != "dry_run"}
        dry_run: Any = fields.get("dry_run", False)
        if not isinstance(dry_run, bool):
            raise BadRequest("dry_run is true or false")
        subject = self._subject(call, lambda name: said.get(name, ""))
        operation = self._operations.find(subject, said["operation"])
        if dry_run and operation not in await self._operations.offered(call.request, call.principal, subject):
            raise NotFound(f"{operation.title} of {subject}: that is done already, or not for you to do")
        extent: Concerned = {"versions": 0, "files": 0, "bytes": 0}
        if self._operations.may(call.principal, subject, operation):  # counting a directory walks through it
            extent = await self._extent(subject, operation)
        if not dry_run:
            reason = said.get("reason", "")
            await self._operations.perform(call.request, call.principal, subject, operation, reason)
        return {"done": not dry_run, "operation": operation.name, "extent": extent}

    def _subject(self, call: Call, text: Callable[[str], str]) -> Subject:
        """Raises BadRequest, NotFound, Denied."""
        if not text("repository"):
            raise BadRequest("say in which repository")
        _, repository = self._shelves.find(call.principal, text("repository"))
        said = {name: text(name) for name in _NAMES}
        subject = self._operations.subject(repository, text("package"), **said)
        self._shelves.require(call.principal, repository, subject.name)
        return subject

    async def _shown(self, subject: Subject, operation: Operation) -> OperationShown:
        return {
            "name": operation.name,
            "title": operation.title,
            "effect": operation.effect,
            "reason": operation.reason,
            "final": operation.is_final,
            "extent": await self._extent(subject, operation),
        }

    async def _extent(self, subject: Subject, operation: Operation) -> Concerned:
        found = await self._operations.measure(subject, operation)
        return {"versions": found.versions, "files": found.files, "bytes": found.bytes}
