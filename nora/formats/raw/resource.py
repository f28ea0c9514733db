"""What an endpoint gets: a request that may be answered, with its path taken apart."""

from __future__ import annotations

import time
from typing import cast

from nora.errors import BadRequest
from nora.formats.raw.names import FilePath, parse_end
from nora.http.context import PathContext


class Resource(PathContext):
    """A request for what is at a path."""

    __slots__ = ()

    @property
    def path(self) -> FilePath:
        """That of a file, or of a directory; empty for the whole repository."""
        return FilePath("") if self.package is None else cast("FilePath", self.package)

    @property
    def file(self) -> FilePath:
        """That of a file. Raises BadRequest for a directory."""
        if not self.path or self.path.is_directory:
            raise BadRequest("name a file: what ends in a slash is a directory")
        return self.path

    @property
    def end(self) -> float | None:
        """Until when what is put is kept, as `?expires=` or `X-NORA-TTL` says. Raises BadRequest."""
        return parse_end(self.parameter("expires") or self.header(b"x-nora-ttl"), time.time())
