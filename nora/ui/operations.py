"""What a visitor does to a package: a page that says what it will do, and asks once; then it is done.

    GET  /ui/operation?do=yank&repository=&package=&version=&tag=&file=
    POST /ui/operation    the same as a form, with the key of the session

What is done is for nora.formats.operations. Where it leads back to says what has happened: a cookie of a few
seconds tells it, so that no link can claim it.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from nora.auth.browser import read_cookies
from nora.errors import BadRequest, NoraError, NotFound
from nora.observability.logs import REQUEST_ID
from nora.ui.forms import read_own_form
from nora.ui.holdings import find_holdings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blacksheep import Response

    from nora.auth.browser import BrowserSessions
    from nora.formats.base import Services
    from nora.formats.operations import Operation, Operations, Subject
    from nora.ui.shelves import Shelf, Shelves
    from nora.ui.visit import Visit

OPERATION: Final = "operation"
"""The path of the page."""
FIELDS: Final = ("repository", "package", "version", "tag", "file")
COOKIE: Final = "nora_done"
COOKIE_SECONDS: Final = 10
LONGEST_COOKIE: Final = 4096


@dataclass(frozen=True, slots=True)
class Offer:
    """An operation that a visitor may choose, and where."""

    operation: Operation
    url: str


@dataclass(frozen=True, slots=True)
class Done:
    """What a visitor has just done."""

    operation: Operation
    what: str
    request_id: str


class OperationPages:
    """The pages."""

    def __init__(
        self, services: Services, shelves: Shelves, operations: Operations, sessions: BrowserSessions
    ) -> None:
        self._services = services
        self._shelves = shelves
        self._operations = operations
        self._sessions = sessions

    async def ask(self, visit: Visit) -> Response:
        """What will be done, and whether it shall be."""
        shelf, subject = self._subject(visit, lambda name: visit.text(name, 1024))
        operation = self._operations.find(subject, visit.text("do"))
        offered = await self._operations.offered(visit.request, visit.principal, subject)
        if operation not in offered:
            # Nobody is told of what they may not do, nor of what is not there
            raise NotFound(f"{operation.title} of {subject}: that is done already, or not for you to do")
        return visit.page(
            "operation.html",
            shelf=shelf,
            repository=subject.repository,
            name=subject.package or subject.file,
            subject=subject,
            operation=operation,
            extent=await self._operations.measure(subject, operation),
            fields={name: _field(subject, name) for name in FIELDS},
            back=self._page_of(shelf, subject),
        )

    async def perform(self, visit: Visit) -> Response:
        """Do it, and lead back."""
        form = await read_own_form(visit, self._sessions)
        shelf, subject = self._subject(visit, form.text)
        operation = self._operations.find(subject, form.text("do"))
        await self._operations.perform(
            visit.request, visit.principal, subject, operation, form.text("reason")
        )
        path, query = await self._left_of(shelf, subject)
        response = visit.redirect(path, **query)
        fields = [_field(subject, name) for name in FIELDS]
        said = [path, operation.name, *fields, REQUEST_ID.get()]
        value = urlsafe_b64encode(orjson.dumps(said))
        if len(value) <= LONGEST_COOKIE:
            attributes = f"Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax".encode()
            response.add_header(b"set-cookie", b"%s=%s; %s" % (COOKIE.encode(), value, attributes))
        return response

    def done(self, visit: Visit) -> Done | None:
        """What the visitor has just done, for the page that comes after it."""
        text = read_cookies(visit.request).get(COOKIE)
        if not text:
            return None
        try:
            said = orjson.loads(urlsafe_b64decode(text.encode()))
            path, name, repository, package, version, tag, file, request_id = map(str, said)
            if visit.root + visit.here.partition("?")[0] != visit.url(path):
                return None
            _, found = self._shelves.find(visit.principal, repository)
            subject = self._operations.subject(found, package, version=version, tag=tag, file=file)
            return Done(self._operations.find(subject, name), str(subject), request_id)
        except (ValueError, TypeError, NoBase64, NoraError):
            return None

    def _subject(self, visit: Visit, text: Callable[[str], str]) -> tuple[Shelf, Subject]:
        if not text("repository"):
            raise BadRequest("say in which repository")
        shelf, repository = self._shelves.find(visit.principal, text("repository"))
        said = {name: text(name) for name in FIELDS[2:]}
        subject = self._operations.subject(repository, text("package"), **said)
        self._shelves.require(visit.principal, repository, subject.name)
        return shelf, subject

    def _page_of(self, shelf: Shelf, subject: Subject) -> str:
        repository = subject.repository.name
        if shelf.format.browse.is_directory:
            return f"files/{repository}/{subject.file}".rstrip("/")
        return f"packages/{repository}/{subject.package}"

    async def _left_of(self, shelf: Shelf, subject: Subject) -> tuple[str, dict[str, Any]]:
        """The page of what is left of it."""
        repository = subject.repository
        if not subject.package:
            parent = subject.file.rstrip("/").rpartition("/")[0]
            for row in repository.row_ids if parent else ():
                if await self._services.catalog.list_directory(row, parent, "", 1):
                    return f"files/{repository.name}/{parent}", {}
        else:
            try:
                await find_holdings(
                    self._services.catalog,
                    self._services.resolver,
                    repository,
                    subject.package,
                    lists_files=False,
                )
                return self._page_of(shelf, subject), {}
            except NotFound:
                pass
        return f"formats/{shelf.format.name}", {"repository": repository.name}


async def offers(visit: Visit, operations: Operations, subject: Subject) -> list[Offer]:
    """What a visitor may do to something."""
    found = await operations.offered(visit.request, visit.principal, subject)
    return [_offer(visit, subject, one) for one in found]


async def offers_of_files(
    visit: Visit, operations: Operations, version: Subject, paths: Sequence[str]
) -> dict[str, list[Offer]]:
    """By the paths of the files of a version that came from one place: what may be done to one of them may be
    done to all."""
    subjects = {path: replace(version, file=path.rpartition("/")[2]) for path in paths}
    found = await operations.offered(visit.request, visit.principal, next(iter(subjects.values())))
    return {path: [_offer(visit, one, each) for each in found] for path, one in subjects.items() if found}


def _offer(visit: Visit, subject: Subject, operation: Operation) -> Offer:
    query = {name: _field(subject, name) for name in FIELDS}
    return Offer(operation, visit.url(OPERATION, do=operation.name, **query))


def _field(subject: Subject, name: str) -> str:
    return subject.repository.name if name == "repository" else str(getattr(subject, name))
