"""What an endpoint gets: a request that may be answered, with its path taken apart."""

from __future__ import annotations

from typing import cast

from nora.formats.cargo.names import CrateName
from nora.http.context import PathContext


class Resource(PathContext):
    """A request for the thing that its path names."""

    __slots__ = ()

    @property
    def crate(self) -> CrateName:
        """Where all paths of an endpoint name one."""
        return cast("CrateName", self.name)

    @property
    def version(self) -> str:
        """As in the path; empty where that has none."""
        return self.target.get("version")
