"""What npm asks of a registry beside its packages, in few words."""

from __future__ import annotations

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.errors import NotFound
from nora.formats.base import Services
from nora.formats.npm.resource import Resource
from nora.formats.npm.sources import Finder
from nora.http.fields import json_answer


class Registry:
    """The endpoints."""

    def __init__(self, services: Services, authorizer: Authorizer, finder: Finder) -> None:
        self._authorizer = authorizer
        self._finder = finder

    async def ping(self, resource: Resource) -> Response:
        """GET and HEAD: it is there."""
        return json_answer({})

    async def visibility(self, resource: Resource) -> Response:
        """Whether anybody may read a package (`npm access get status`)."""
        await self._finder.find(resource.repository, resource.name)
        return json_answer({"public": self._authorizer.is_public(resource.repository)})

    async def gone(self, resource: Resource) -> Response:
        """The list of everything, which registries have given up."""
        raise NotFound("there is no list of all packages: `npm search` finds some")

    async def not_here(self, resource: Resource) -> Response:
        """Nothing: this is what the public registry does for its users and organisations."""
        raise NotFound("this registry has no organisations, teams and stages: tokens say who may do what")
