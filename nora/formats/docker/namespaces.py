"""Reads that name the registry they are meant for: containerd's mirrors say it in `?ns=`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from blacksheep import Response

from nora.errors import Denied
from nora.formats.docker.authorizer import Authorizer
from nora.formats.docker.resource import Resource
from nora.formats.docker.upstream import Remotes

Handler = Callable[[Resource], Awaitable[Response]]


class Namespaces:
    """Finds the image that is meant."""

    def __init__(self, authorizer: Authorizer, remotes: Remotes) -> None:
        self._authorizer = authorizer
        self._remotes = remotes

    def reading(self, handler: Handler) -> Handler:
        """A handler that answers for the registry that a request names, if it names one."""

        @wraps(handler)
        def answer(resource: Resource) -> Awaitable[Response]:
            namespace = resource.parameter("ns")
            return handler(resource) if namespace is None else self._answer(handler, resource, namespace)

        return answer

    async def _answer(self, handler: Handler, resource: Resource, namespace: str) -> Response:
        """The answer of the registry whose mirror containerd takes this for.

        Raises PackageNotFound when it is not mirrored, Denied when what it has may not be read.
        """
        image = await self._remotes.namespaced(resource.image, namespace)
        if image.package != resource.image.package:
            holder = self._authorizer.holder(resource.request, resource.principal)
            if not self._authorizer.may_read(holder, image.repository, image.package):
                raise Denied(f"{holder.name} may not read {image.package}")
        response = await handler(resource.of(image))
        response.add_header(b"oci-namespace", namespace.encode("latin-1", "replace"))
        return response
