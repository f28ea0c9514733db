"""What a `PUT` means: a file, or an archive that is taken apart into a directory."""

from __future__ import annotations

from blacksheep import Response

from nora.errors import BadRequest
from nora.formats.directories import is_directory
from nora.formats.file_uploads import FileUploads
from nora.formats.unpacking import Archives
from nora.http.context import PathContext


class PutEndpoint:
    """The endpoint of uploads."""

    def __init__(self, files: FileUploads, archives: Archives) -> None:
        self._files = files
        self._archives = archives

    async def put(self, context: PathContext) -> Response:
        """Put what the body is to where the path says."""
        if is_directory(context.name):
            return await self._archives.put(context)
        if context.parameter("unpack") is not None:  # nobody asks for it to keep the archive itself
            raise BadRequest(
                "unpack: an archive is taken apart into a directory, whose path ends in a slash. curl adds "
                "the name of its file to such a path: give it `-T - < site.tar.gz`"
            )
        return await self._files.put(context)
