"""What is done to hosted releases after their upload: yank and unyank, delete, and the status of a project.

    POST   /pypi/<project>/<version>/yank          {"reason": …}: installers skip it, unless told exactly that
    POST   /pypi/<project>/<version>/unyank        {}
    PUT    /pypi/<project>/status                  {"status": …, "reason": …}, PEP 792
    POST   /pypi/<project>/refresh                 {}; ask the upstreams again at the next request
    DELETE /pypi/<project>/<version>/<filename>    for good: the name of a file is never used again
    DELETE /pypi/<project>/<version>
    DELETE /pypi/<project>

PyPI's interface has nothing for this. The same as commands: `nora pypi yank`, `unyank`, `delete`, `status`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.auth.fields import json_answer, read_fields, text_of
from nora.catalog.base import Catalog
from nora.errors import BadRequest, NotFound, PackageNotFound, VersionNotFound, quoted
from nora.formats.base import CommandServices, Services
from nora.formats.pypi.hosted import (
    METADATA,
    STATUSES,
    YANKED,
    path_of,
    status_document,
    status_of,
    yank_document,
)
from nora.formats.pypi.names import ProjectName, normalize_version
from nora.formats.pypi.resource import Resource
from nora.formats.pypi.upstream import Index
from nora.model import Repository

_NOTHING: Final[frozenset[str]] = frozenset()


class Releases:
    """The releases of hosted repositories. Raises NotFound for what is not there."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def yank(self, hosted: Repository, project: ProjectName, version: str, reason: str) -> None:
        """Have installers pass over a version (PEP 592)."""
        await self._mark(hosted, project, version, YANKED, yank_document(reason))

    async def unyank(self, hosted: Repository, project: ProjectName, version: str) -> None:
        """Take that back."""
        await self._mark(hosted, project, version, "live", b"{}")

    async def _mark(
        self, hosted: Repository, project: ProjectName, version: str, state: str, document: bytes
    ) -> None:
        name = normalize_version(version)
        if not await self._catalog.update_version(hosted.id, project, name, state=state, document=document):
            raise VersionNotFound(f"{hosted.name} has no {project} {name}")

    async def delete(
        self, hosted: Repository, project: ProjectName, version: str = "", filename: str = ""
    ) -> int:
        """Remove a file, all of a version, or all of a project, for good; how many wheels and sdists."""
        name = normalize_version(version) if version else ""
        rows = await self._catalog.list_package_files(hosted.id, project)
        only = path_of(project, filename)
        chosen = [
            row.path
            for row in rows
            if (not name or row.version == name) and (not filename or row.path in (only, only + METADATA))
        ]
        if not chosen:
            what = filename or f"{project} {name}".strip()
            raise NotFound(f"{hosted.name} has no {quoted(what)}")
        await self._catalog.delete_files(hosted.id, chosen, for_good=True)
        return sum(not path.endswith(METADATA) for path in chosen)

    async def set_status(self, hosted: Repository, project: ProjectName, status: str, reason: str) -> None:
        """The status of a project (PEP 792). Raises BadRequest."""
        for known in STATUSES:
            if known == status:
                document = status_document(known, reason)
                if not await self._catalog.update_package(hosted.id, project, document):
                    raise PackageNotFound(f"{hosted.name} has no project {project}")
                return
        raise BadRequest(f"status is one of {', '.join(STATUSES)}")


class ReleaseApi:
    """The endpoints."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._cache = services.cache
        self._releases = Releases(services.catalog)

    async def yank(self, resource: Resource) -> Response:
        """POST …/yank"""
        fields = await read_fields(resource.request, _NOTHING, frozenset({"reason"}))
        reason = text_of(fields, "reason") if fields.get("reason") is not None else ""
        version = resource.version
        resource.audit("write", f"{resource.project} {version} yank")
        await self._releases.yank(resource.writable, resource.project, version, reason)
        return json_answer({"project": resource.project, "version": version, "yanked": reason or True})

    async def unyank(self, resource: Resource) -> Response:
        """POST …/unyank"""
        await read_fields(resource.request, _NOTHING)
        version = resource.version
        resource.audit("write", f"{resource.project} {version} unyank")
        await self._releases.unyank(resource.writable, resource.project, version)
        return json_answer({"project": resource.project, "version": version, "yanked": False})

    async def set_status(self, resource: Resource) -> Response:
        """PUT …/status. To quarantine, and to end a quarantine, is for administrators."""
        fields = await read_fields(resource.request, frozenset({"status"}), frozenset({"reason"}))
        status = text_of(fields, "status")
        reason = text_of(fields, "reason") if fields.get("reason") is not None else ""
        resource.audit("write", f"{resource.project} {status}")
        package = await self._catalog.find_package(resource.writable.id, resource.project)
        if "quarantined" in (status, package and status_of(package)[0]):
            self._authorizer.require(resource.principal, "admin", resource.repository, resource.project)
        await self._releases.set_status(resource.writable, resource.project, status, reason)
        return json_answer({"project": resource.project, "status": status, "reason": reason or None})

    async def delete(self, resource: Resource) -> Response:
        """DELETE of a project, a version or a file."""
        version, filename = resource.version, resource.filename
        name = f"{resource.project} {version} {filename}".strip()
        resource.audit("delete", name)
        count = await self._releases.delete(resource.writable, resource.project, version, filename)
        return json_answer({"project": resource.project, "deleted": count})

    async def refresh(self, resource: Resource) -> Response:
        """POST …/refresh: what is cached of the page, or of its absence, is old from now on."""
        await read_fields(resource.request, _NOTHING)
        resource.audit("write", f"{resource.project} refresh")
        self._cache.forget_absences(resource.project)
        refreshed = False
        for member in resource.repository.readable:
            if member.kind == "proxy":
                place = Index.place(member, resource.project)
                refreshed |= await self._catalog.touch_cached(
                    member.id, place.path, validators=None, fetched_at=time.time(), fresh_until=0.0
                )
        return json_answer({"project": resource.project, "refreshed": refreshed})


# -- the same from the command line ----------------------------------------------------------------------


async def yank_command(services: CommandServices, hosted: Repository, words: Mapping[str, str]) -> str:
    """`nora pypi yank PROJECT VERSION --reason …`"""
    project = ProjectName.of(words["project"])
    await Releases(services.catalog).yank(hosted, project, words["version"], words.get("reason", ""))
    return f"yanked {project} {words['version']}"


async def unyank_command(services: CommandServices, hosted: Repository, words: Mapping[str, str]) -> str:
    """`nora pypi unyank PROJECT VERSION`"""
    project = ProjectName.of(words["project"])
    await Releases(services.catalog).unyank(hosted, project, words["version"])
    return f"{project} {words['version']} is not yanked any more"


async def delete_command(services: CommandServices, hosted: Repository, words: Mapping[str, str]) -> str:
    """`nora pypi delete PROJECT VERSION --file …`"""
    project = ProjectName.of(words["project"])
    count = await Releases(services.catalog).delete(hosted, project, words["version"], words.get("file", ""))
    return f"deleted for good: {count} of {project} {words['version']}"


async def status_command(services: CommandServices, hosted: Repository, words: Mapping[str, str]) -> str:
    """`nora pypi status PROJECT STATUS --reason …`"""
    project = ProjectName.of(words["project"])
    await Releases(services.catalog).set_status(hosted, project, words["status"], words.get("reason", ""))
    return f"{project} is {words['status']}"
