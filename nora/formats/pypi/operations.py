"""What people can do to projects that they look at (nora.formats.operations)."""

from __future__ import annotations

from collections.abc import AsyncIterable

from nora.auth.authorizer import Authorizer
from nora.formats.base import Services
from nora.formats.operations import Operation
from nora.formats.pypi.releases import RULES
from nora.formats.pypi.upload import UploadEndpoint
from nora.formats.release_operations import release_operations
from nora.formats.uploading import Taken, Upload
from nora.http.context import PackageContext


def upload(services: Services) -> Upload:
    """See nora.formats.base.Format."""
    endpoint = UploadEndpoint(services, Authorizer(services.authenticator, services.access))

    async def take(context: PackageContext, _: str, filename: str, body: AsyncIterable[bytes]) -> Taken:
        return Taken(await endpoint.take_file(context, filename, body), filename)

    return Upload(
        text="A wheel or an sdist, as it was built: its name says which project and version it is of.",
        accept=".whl,.tar.gz",
        take=take,
    )


def operations(services: Services) -> tuple[Operation, ...]:
    """See nora.formats.base.Format."""
    return release_operations(services, RULES)
