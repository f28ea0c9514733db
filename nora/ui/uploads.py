"""A file that a visitor uploads: chosen in a form, taken by its format (nora.formats.uploading)."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from nora.errors import BadRequest, NoraError, NotFound
from nora.http.body import stream_body
from nora.http.context import PackageContext
from nora.http.multipart import boundary_of, parts
from nora.ui.forms import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blacksheep import Response

    from nora.auth.browser import BrowserSessions
    from nora.formats.base import Services
    from nora.formats.uploading import Taken, Upload
    from nora.model import Principal, Repository
    from nora.ui.shelves import Shelf, Shelves
    from nora.ui.visit import Visit

LONGEST_FIELD: Final = 1024
MOST_FIELDS: Final = 16


class UploadPages:
    """The pages."""

    def __init__(self, services: Services, shelves: Shelves, sessions: BrowserSessions) -> None:
        self._access = services.access
        self._shelves = shelves
        self._sessions = sessions
        self._idle_seconds = services.config.server.idle_timeout
        self._uploads: Mapping[str, Upload] = {
            one.format.name: one.format.upload(services) for one in shelves.all() if one.format.upload
        }

    def offered(self, principal: Principal, repository: Repository) -> bool:
        """Whether a visitor may upload something to a repository from a page."""
        return (
            repository.format in self._uploads
            and repository.writable is not None
            and self._access.decide(principal, "write", repository, None)
        )

    async def form(self, visit: Visit) -> Response:
        """What to upload."""
        return self._form(visit, *self._find(visit), directory=visit.text("directory", LONGEST_FIELD))

    async def take(self, visit: Visit) -> Response:
        """Take a file, and lead to it."""
        shelf, repository, upload = self._find(visit)
        visit.audit("write", repository.name)
        try:
            taken = await self._taken(visit, repository, upload)
        except NoraError as error:
            if error.status not in (400, 409, 412, 413, 415, 422):
                raise
            return self._form(visit, shelf, repository, upload, problem=str(error), status=error.status)
        if taken.package:
            return visit.redirect(f"packages/{repository.name}/{taken.package}")
        return visit.redirect(f"files/{repository.name}/{taken.file}")

    async def _taken(self, visit: Visit, repository: Repository, upload: Upload) -> Taken:
        body = stream_body(visit.request, limit=None, idle_seconds=self._idle_seconds)
        said: dict[str, str] = {}
        async with aclosing(parts(body, boundary_of(visit.request))) as form:
            async for part in form:
                if part.filename is None:
                    if len(said) == MOST_FIELDS:
                        raise BadRequest("the form has fields that none of ours has")
                    said[part.name] = await part.text(LONGEST_FIELD)
                    continue
                self._sessions.check_form(visit.request, said.get(KEY, ""))  # it comes before the file
                filename = part.filename.replace("\\", "/").rpartition("/")[2]
                if not filename:
                    raise BadRequest("choose a file")
                context = PackageContext(visit.request, "write", repository, None)
                context.principal = visit.principal
                return await upload.take(context, said.get("directory", ""), filename, part)
        raise BadRequest("choose a file")

    def _find(self, visit: Visit) -> tuple[Shelf, Repository, Upload]:
        shelf, repository = self._shelves.find(visit.principal, visit.value("repository"))
        if repository.format not in self._uploads or repository.writable is None:
            raise NotFound("this repository takes no files from a page")
        self._access.require(visit.principal, "write", repository, None)
        return shelf, repository, self._uploads[repository.format]

    def _form(
        self,
        visit: Visit,
        shelf: Shelf,
        repository: Repository,
        upload: Upload,
        *,
        directory: str = "",
        problem: str = "",
        status: int = 200,
    ) -> Response:
        return visit.page(
            "upload.html",
            status=status,
            shelf=shelf,
            repository=repository,
            upload=upload,
            directory=directory,
            problem=problem,
        )
