"""What people can do to images that they look at (nora.formats.operations)."""

from __future__ import annotations

from nora.formats.base import Services
from nora.formats.docker.manifests import Manifests
from nora.formats.docker.names import Image
from nora.formats.docker.pull_through import PullThrough
from nora.formats.docker.resource import Resource
from nora.formats.docker.settings import DockerSettings
from nora.formats.docker.upstream import Remotes
from nora.formats.operations import Extent, Operation, Standing, Subject, deletion
from nora.http.context import PackageContext


def operations(services: Services) -> tuple[Operation, ...]:
    """See nora.formats.base.Format."""
    remotes = Remotes(services)
    manifests = Manifests(services, remotes, PullThrough(services, remotes))
    is_immutable = services.settings(DockerSettings).is_immutable

    async def delete(context: PackageContext, subject: Subject, _: str) -> None:
        image = Image(_full_name(subject), subject.repository, subject.package)
        resource = Resource(context.request, context.action, image, subject.tag or subject.version)
        resource.principal = context.principal
        await manifests.delete(resource)

    def has_tag(subject: Subject, standing: Standing) -> bool:
        return standing.is_published and not is_immutable(subject.tag)

    async def measure(subject: Subject) -> Extent:
        return Extent(versions=1)

    untag = Operation(
        name="delete",
        about="tag",
        place="published",
        title="Remove the tag",
        effect="Only the tag goes: what it means stays, and can be pulled by its digest.",
        done="The tag {what} is removed.",
        right=lambda subject: manifests.deleting(subject.tag),
        applies=has_tag,
        run=delete,
        measure=measure,
    )
    removal = deletion(
        "version",
        "This manifest is removed, and every tag that means it. Images that only an index lists stay, "
        "and so do layers that another image needs.",
        delete,
        measure=measure,
    )
    return untag, removal


def _full_name(subject: Subject) -> str:
    """As clients name it."""
    repository = subject.repository
    return subject.package if repository.name == repository.format else f"{repository.name}/{subject.package}"
