"""What an endpoint gets: a request that may be answered, with its path taken apart."""

from __future__ import annotations

from typing import cast

from nora.errors import NotFound, quoted
from nora.formats.go.names import ModulePath, parse_query
from nora.http.context import PathContext


class Resource(PathContext):
    """A request for the thing that its path names."""

    __slots__ = ()

    @property
    def module(self) -> ModulePath:
        """Where all paths of an endpoint name one."""
        return cast("ModulePath", self.name)

    @property
    def version(self) -> str:
        """What the name of a file begins with: a version, or what stands for one. Raises InvalidName."""
        return parse_query(self._file[0])

    @property
    def kind(self) -> str:
        """What the name of a file ends with: `info`, `mod`, `zip`."""
        return self._file[1]

    @property
    def _file(self) -> tuple[str, str]:
        name = self.target.get("version")
        version, dot, kind = name.rpartition(".")
        if not dot or not version or self.target.is_directory:
            raise NotFound(f"{self.module} has no file {quoted(name)}")
        return version, kind

    @property
    def may_fetch(self) -> bool:
        """Whether upstreams may be asked: some ask for what is here alone."""
        return (self.header(b"disable-module-fetch") or "").lower() != "true"
