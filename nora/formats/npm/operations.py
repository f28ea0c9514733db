"""What people can do to packages that they look at (nora.formats.operations)."""

from __future__ import annotations

from nora.auth.authorizer import Authorizer
from nora.formats.base import Services
from nora.formats.npm.changes import Changes
from nora.formats.npm.names import PackageName
from nora.formats.npm.releases import RULES
from nora.formats.npm.resource import Resource
from nora.formats.npm.tags import LATEST, TagEndpoints
from nora.formats.operations import Operation, Standing, Subject, always
from nora.formats.release_operations import release_operations
from nora.http.context import PackageContext
from nora.http.paths import Target


def operations(services: Services) -> tuple[Operation, ...]:
    """See nora.formats.base.Format."""
    authorizer = Authorizer(services.authenticator, services.access)
    guard = Changes(services, authorizer).check_maintainer
    tags = TagEndpoints(services, authorizer)

    async def untag(context: PackageContext, subject: Subject, _: str) -> None:
        name, target = PackageName.of(subject.package), Target("", values={"tag": subject.tag})
        resource = Resource(context.request, context.action, context.repository, name, target)
        resource.principal = context.principal
        await tags.delete(resource)

    def has_tag(subject: Subject, standing: Standing) -> bool:
        return standing.is_published and subject.tag != LATEST

    removal = Operation(
        name="delete",
        about="tag",
        place="published",
        title="Remove the tag",
        effect="Only the tag goes: the version that it means stays.",
        done="The tag {what} is removed.",
        right=always("untag"),
        applies=has_tag,
        run=untag,
        guard=guard,
    )
    return (*release_operations(services, RULES, guard), removal)
