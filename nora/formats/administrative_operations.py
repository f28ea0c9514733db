"""What administrators do to packages of any format that they look at (nora.formats.operations): purge what is
cached, claim and release names, block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from nora.formats.operations import About, Operation, Standing, Subject, always
from nora.resolve.purging import Wanted

if TYPE_CHECKING:
    from nora.auth.caches import CacheApi
    from nora.auth.packages import PackageApi
    from nora.formats.base import Format
    from nora.http.context import PackageContext


def administrative_operations(
    caches: CacheApi, packages: PackageApi
) -> Callable[[Format], Sequence[Operation]]:
    """Those of a format; they do what the endpoints for administrators do."""
    of_names = tuple(_of_names(packages))
    of_caches = tuple(_of_caches(caches))
    return lambda one: () if one.browse.is_directory else (*of_names, *of_caches)


def _of_names(packages: PackageApi) -> Iterator[Operation]:
    async def claim(context: PackageContext, subject: Subject, _: str) -> None:
        await packages.claim(context, context.writable, subject.package)

    async def release(context: PackageContext, subject: Subject, _: str) -> None:
        await packages.release(context, context.writable, subject.package)

    def may_be_claimed(subject: Subject, standing: Standing) -> bool:
        return standing.has_sources and not standing.is_owned and subject.repository.writable is not None

    yield Operation(
        name="claim",
        about="package",
        place="name",
        title="Claim the name",
        effect="The name is ours from now on, and no upstream is asked for it. What is cached of it is not "
        "served any more.",
        done="The name {what} is claimed.",
        right=always("admin"),
        of_server=True,
        applies=may_be_claimed,
        run=claim,
    )
    yield Operation(
        name="release",
        about="package",
        place="name",
        title="Release the name",
        effect="The name is given back: what the upstreams have under it is served from now on. What was "
        "published here stays until it is deleted.",
        done="The name {what} is released.",
        right=always("admin"),
        of_server=True,
        applies=lambda _, standing: standing.is_owned and standing.has_sources,
        run=release,
    )


def _of_caches(caches: CacheApi) -> Iterator[Operation]:
    async def purge(context: PackageContext, subject: Subject, _: str) -> None:
        wanted = Wanted(name=subject.package, version=subject.version)
        await caches.purge(context, subject.repository.name, wanted)

    async def block(context: PackageContext, subject: Subject, reason: str) -> None:
        await caches.block(context, subject.repository.name, subject.package, subject.version, reason=reason)

    purges: dict[About, str] = {
        "version": "What is cached of the version is removed. It is fetched again when somebody asks for it.",
        "package": "All that is cached under the name is removed. It is fetched again when somebody asks for "
        "it; until then it is open which upstream has the name.",
    }
    blocks: dict[About, str] = {
        "version": "The version is neither served nor fetched, and may not be published, until the block is "
        "lifted. Nothing is removed.",
        "package": "The name is neither served nor fetched, and nothing may be published under it, until the "
        "block is lifted. Nothing is removed.",
    }
    for about, effect in purges.items():
        yield Operation(
            name="purge",
            about=about,
            place="cached",
            title="Purge from the cache",
            effect=effect,
            done="{what} is purged.",
            right=always("admin"),
            of_server=True,
            is_final=True,
            applies=lambda _, standing: standing.is_cached,
            run=purge,
        )
    for about, effect in blocks.items():
        yield Operation(
            name="block",
            about=about,
            place="name",
            title="Block",
            effect=effect,
            done="{what} is blocked.",
            right=always("admin"),
            of_server=True,
            reason="required",
            applies=lambda _, standing: standing.is_published or standing.is_cached,
            run=block,
        )
