"""What people can do to artifacts that they look at (nora.formats.operations)."""

from __future__ import annotations

from nora.formats.base import Services
from nora.formats.maven.delete import DeleteEndpoint
from nora.formats.maven.names import PackageName
from nora.formats.maven.resource import MavenAuthorizer, Resource
from nora.formats.operations import About, Operation, Subject, deletion
from nora.http.context import PackageContext
from nora.http.paths import Target


def operations(services: Services) -> tuple[Operation, ...]:
    """See nora.formats.base.Format."""
    endpoint = DeleteEndpoint(services, MavenAuthorizer(services.authenticator, services.access))

    async def delete(context: PackageContext, subject: Subject, _: str) -> None:
        parts = (PackageName.of(subject.package).directory, subject.version, subject.file)
        path = "/".join(part for part in parts if part)
        target = Target("", values={"path": path}, is_directory=not subject.file)
        resource = Resource(context.request, context.action, context.repository, path, target)
        resource.principal = context.principal
        await endpoint.delete(resource)

    return tuple(deletion(about, effect, delete) for about, effect in EFFECTS.items())


EFFECTS: dict[About, str] = {
    "file": "The file is removed, with its checksums. Where releases are never replaced its name is not used "
    "again.",
    "version": "The version and its files are removed. Where releases are never replaced their names are not "
    "used again.",
    "package": "All versions that were published here are removed. Where releases are never replaced the "
    "names of their files are not used again.",
}
