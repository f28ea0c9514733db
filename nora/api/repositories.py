"""Formats and repositories, as far as somebody may know of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypedDict

from nora.http.fields import json_endpoint
from nora.http.operations import Parameter
from nora.model import RepositoryKind

if TYPE_CHECKING:
    from nora.api.call import Call
    from nora.http.router import Endpoint
    from nora.model import Repository
    from nora.ui.server import ServerView
    from nora.ui.shelves import Shelf, Shelves


class Upstream(TypedDict):
    """Somebody who is asked for what is not here."""

    host: str
    state: Literal["answers", "fails", "half open", "open", "unknown", "offline"]
    """`open`: it has failed too often and is left alone for now."""


class Held(TypedDict):
    """How much a repository holds."""

    packages: int
    versions: int
    bytes: int


class RepositoryShown(TypedDict):
    """A repository."""

    name: str
    format: str
    kind: RepositoryKind
    url: str
    """Where clients reach it."""
    members: list[str]
    """Of a group, those that are read, in order."""
    takes_writes: bool
    needs_login: bool
    """Whether nothing is read without credentials."""
    held: Held | None
    """Null for who may not read all of it."""
    upstreams: list[Upstream] | None
    """Null for who may not read the server."""


class Repositories(TypedDict):
    """Repositories, by format and name."""

    repositories: list[RepositoryShown]


class FormatShown(TypedDict):
    """A format that is served."""

    name: str
    title: str
    mount: str
    repositories: list[str]
    """Those that clients name, the one at the mount first."""


class Formats(TypedDict):
    """The formats that are served, by title."""

    formats: list[FormatShown]


class RepositoryApi:
    """The endpoints."""

    def __init__(self, shelves: Shelves, server: ServerView) -> None:
        self._shelves = shelves
        self._server = server

    def endpoints(self) -> Iterator[Endpoint[Call]]:
        """For whoever may ask."""
        wanted = (Parameter("format", "The name of a format; all of them, if nothing is said"),)
        path = "/api/v1/repositories"
        yield json_endpoint("GET HEAD", "/api/v1/formats", "read", Formats, self._formats)
        yield json_endpoint("GET HEAD", path, "read", Repositories, self._list, query=wanted, errors=(404,))
        yield json_endpoint("GET HEAD", f"{path}/{{repository}}", "read", RepositoryShown, self._show)

    async def _formats(self, call: Call) -> Formats:
        """List the formats that are served, and their repositories."""
        return {
            "formats": [
                {
                    "name": shelf.format.name,
                    "title": shelf.format.title,
                    "mount": shelf.format.mount,
                    "repositories": [one.name for one in self._shelves.listed(call.principal, shelf)],
                }
                for shelf in self._shelves.all()
            ]
        }

    async def _list(self, call: Call) -> Repositories:
        """List the repositories that clients name."""
        wanted = call.parameter("format")
        shelves = [self._shelves.shelf(wanted)] if wanted else self._shelves.all()
        return {
            "repositories": [
                await self._shown(call, shelf, one)
                for shelf in shelves
                for one in self._shelves.listed(call.principal, shelf)
            ]
        }

    async def _show(self, call: Call) -> RepositoryShown:
        """A repository by its name."""
        shelf, repository = self._shelves.find(call.principal, call.value("repository"))
        return await self._shown(call, shelf, repository)

    async def _shown(self, call: Call, shelf: Shelf, repository: Repository) -> RepositoryShown:
        shelves, principal = self._shelves, call.principal
        site = shelves.site(call, shelf, repository)
        held: Held | None = None
        if shelves.may_count(principal, repository):
            totals = await shelves.totals(repository)
            held = {"packages": totals.packages, "versions": totals.versions, "bytes": totals.bytes}
        upstreams: list[Upstream] | None = None
        if shelves.may_see_server(principal):
            upstreams = [
                {"host": one.host, "state": one.state}
                for one in self._server.upstreams(shelves, repository, self._server.states())
            ]
        return {
            "name": repository.name,
            "format": shelf.format.name,
            "kind": repository.kind,
            "url": site.url + site.prefix,
            "members": [one.name for one in repository.members if shelves.may_list(principal, one)],
            "takes_writes": repository.writable is not None,
            "needs_login": site.needs_login,
            "held": held,
            "upstreams": upstreams,
        }
