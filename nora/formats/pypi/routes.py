"""The routes of PyPI's interface: parse the path, ask whether this may be done, let the endpoint answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from blacksheep import Request, Response

from nora.errors import MethodNotAllowed, NotFound, quoted
from nora.formats.base import Services
from nora.formats.pypi.authorizer import Authorizer
from nora.formats.pypi.cached import CachedFiles
from nora.formats.pypi.errors import reads_problems, wants_problem
from nora.formats.pypi.files import Files
from nora.formats.pypi.json_api import JsonApi
from nora.formats.pypi.names import ProjectName
from nora.formats.pypi.paths import PathKind, parse_path
from nora.formats.pypi.projects import Projects
from nora.formats.pypi.releases import ReleaseApi
from nora.formats.pypi.resource import Endpoint, Resource
from nora.formats.pypi.sources import Finder
from nora.formats.pypi.upload import Uploads
from nora.formats.pypi.upstream import Index
from nora.model import Action, Repository

_NO_PROJECT = ProjectName("")


class Route(NamedTuple):
    """An endpoint, and what asking it means."""

    endpoint: Endpoint
    action: Action


class Router:
    """Answers everything below `/simple/`, `/legacy/`, `/pypi/`, `/integrity/` and `/r/<name>/`."""

    def __init__(self, services: Services, default: Repository, named: Mapping[str, Repository]) -> None:
        self._default = default
        self._named = named
        self._authorizer = authorizer = Authorizer(services)
        index = Index(services)
        projects = Projects(services, authorizer, Finder(services, index))
        files = Files(services, authorizer, CachedFiles(services, index))
        json_api = JsonApi(services, authorizer)
        upload = Route(Uploads(services, authorizer).post, "write")
        releases = ReleaseApi(services, authorizer)
        delete = {"DELETE": Route(releases.delete, "delete")}
        self._table: dict[PathKind, dict[str, Route]] = {
            PathKind.LIST: {**_reading(projects.list), "POST": upload},
            PathKind.PROJECT: _reading(projects.page),
            PathKind.FILE: _reading(files.get),
            PathKind.UPLOAD: {"POST": upload},
            PathKind.PROJECT_JSON: _reading(json_api.get),
            PathKind.RELEASE_JSON: _reading(json_api.get),
            PathKind.PROVENANCE: _reading(files.attestations),
            PathKind.STATUS: {"PUT": Route(releases.set_status, "write")},
            PathKind.REFRESH: {"POST": Route(releases.refresh, "write")},
            PathKind.YANK: {"POST": Route(releases.yank, "write")},
            PathKind.UNYANK: {"POST": Route(releases.unyank, "write")},
            PathKind.ADMIN_PROJECT: delete,
            PathKind.ADMIN_RELEASE: delete,
            PathKind.ADMIN_FILE: delete,
        }

    def routes(self) -> Iterator[tuple[str, str]]:
        """Method and path of everything that is answered."""
        for kind, methods in self._table.items():
            for method in methods:
                yield method, kind.value

    async def __call__(self, request: Request) -> Response:
        """The answer to a request; raises a NoraError."""
        scope = request.scope
        wants_problem.set(reads_problems(request.get_first_header(b"accept")))
        target = parse_path(scope["raw_path"])
        if target.kind is PathKind.XML_RPC:
            raise MethodNotAllowed((), "there is no XML-RPC here: search has left PyPI as well")
        methods = self._table[target.kind]
        route = methods.get(scope["method"])
        if route is None:
            raise MethodNotAllowed(tuple(methods))
        repository = self._repository(target.repository)
        project = ProjectName.of(target.project) if target.project else _NO_PROJECT
        principal = await self._authorizer.authorize(request, route.action, repository, project or None)
        return await route.endpoint(Resource(request, repository, target, project, principal))

    def _repository(self, name: str | None) -> Repository:
        if name is None:
            return self._default
        found = self._named.get(name)
        if found is None:
            raise NotFound(f"there is no repository {quoted(name)} for Python packages")
        return found


def _reading(endpoint: Endpoint) -> dict[str, Route]:
    return {"GET": Route(endpoint, "read"), "HEAD": Route(endpoint, "read")}


def build(services: Services, repositories: Mapping[str, Repository]) -> Router:
    """The handler of all repositories of this format."""
    return Router(services, repositories["pypi"], repositories)
