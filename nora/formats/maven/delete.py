"""DELETE of a file, of the directory of a version, or of that of an artifact.

Metadata and checksums are made of what is left. A name that may never have other bytes is never used again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.catalog.records import PackageFile
from nora.errors import BadRequest, MethodNotAllowed, NotFound
from nora.formats.base import Services
from nora.formats.maven.hosted import artifact_file
from nora.formats.maven.names import ArtifactFile, Directory, PackageName
from nora.formats.maven.redeploy import Redeploy
from nora.formats.maven.resource import Resource
from nora.model import Repository

_OTHERS: Final = ("GET", "HEAD", "PUT")


class DeleteEndpoint:
    """The endpoint."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._redeploy = Redeploy(services.config)

    async def delete(self, resource: Resource) -> Response:
        """Remove a file, or what is below a directory; 204 when something went."""
        path, target = resource.path, resource.writable
        resource.audit("delete", path.path)
        if isinstance(path, ArtifactFile):
            self._require(resource, path.package)  # a form may have named another one beside the file
            count = await self._remove(target, [path])
        elif isinstance(path, Directory):
            count = await self._directory(resource, target, path)
        else:
            raise MethodNotAllowed(_OTHERS, f"{path.path} is made of the files beside it: delete those")
        if not count:
            raise NotFound(f"there is no {path.path}")
        return Response(204)

    async def _directory(self, resource: Resource, target: Repository, path: Directory) -> int:
        """All of a version, else of an artifact: what is in the directories below is another's."""
        if path.package is None:
            raise BadRequest("the directory of a version or of an artifact can be deleted, no other one")
        for name, version in filter(None, (path.version, (path.package, ""))):
            rows = await self._catalog.list_package_files(target.id, name)
            files = _files(row for row in rows if version in ("", row.version))
            if files:
                self._require(resource, name)
                return await self._remove(target, files)
        self._require(resource, path.package)
        return 0

    def _require(self, resource: Resource, name: PackageName) -> None:
        self._authorizer.require(resource.principal, "delete", resource.repository, name)

    async def _remove(self, target: Repository, files: list[ArtifactFile]) -> int:
        count = 0
        for for_good in (False, True):
            paths = [one.path for one in files if self._redeploy.may_change(target, one) is not for_good]
            there = await self._catalog.find_paths(target.id, paths)  # no tombstone for what never was
            if there:
                count += await self._catalog.delete_files(target.id, sorted(there), for_good=for_good)
        return count


def _files(rows: Iterable[PackageFile]) -> list[ArtifactFile]:
    return [one for one in map(artifact_file, rows) if one is not None]
