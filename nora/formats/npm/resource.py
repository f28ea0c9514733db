"""What an endpoint gets: a request that may be answered, with its path taken apart."""

from __future__ import annotations

from typing import cast

from nora.errors import BadRequest
from nora.formats.npm.names import PackageName
from nora.http.context import PathContext

MOUNT = "npm"


class Resource(PathContext):
    """A request for the thing that its path names."""

    __slots__ = ()

    @property
    def name(self) -> PackageName:
        """Where all paths of an endpoint name one."""
        return cast("PackageName", super().name)

    @property
    def version(self) -> str:
        """As in the path: a version or a tag; empty where that has none."""
        return self.target.get("version")

    @property
    def filename(self) -> str:
        """Of a tarball, without the scope that npm puts in front of it."""
        return self.target.get("filename").removeprefix(f"{self.name.scope}/")

    @property
    def base(self) -> str:
        """The address of the registry, without a slash at the end. Raises BadRequest where that cannot be
        told: clients want whole addresses."""
        base = self.base_url
        if not base:
            raise BadRequest("npm needs to be told the address of this server: set NORA_PUBLIC_URL")
        return f"{base}/{MOUNT}"
