"""What a package consists of: its versions, one of them, its files and its tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypedDict

from nora.api.finder import MOST_LISTED, FactShown, Line, after_of, shown_facts
from nora.http.fields import PAGING, json_endpoint, read_limit
from nora.http.operations import Parameter

if TYPE_CHECKING:
    from nora.api.call import Call
    from nora.api.finder import Finder
    from nora.formats.base import Services
    from nora.formats.browsing import Contents
    from nora.http.router import Endpoint
    from nora.ui.holdings import ShownVersion

_CHOSEN: Final = Parameter("version", "A version; the one that clients take, if nothing is said")
_OF: Final = Parameter("version", "Of this version alone")


class FileShown(TypedDict):
    """A file of a package."""

    path: str
    version: str | None
    media_type: str
    size: int
    sha256: str
    created_at: float


class Files(TypedDict):
    """Files of a package, by path."""

    files: list[FileShown]
    after: str | None
    """What the next page is asked for with; null: this is the last."""


class VersionLine(TypedDict):
    """A version in one line."""

    version: str
    state: str
    """`live`, or a word of the format: `yanked`."""
    published_at: float
    size: int
    """Bytes of its files."""
    files: int
    hosted: bool


class Versions(TypedDict):
    """Versions of a package, the newest first."""

    versions: list[VersionLine]
    after: str | None
    """What the next page is asked for with; null: this is the last."""


class PartShown(TypedDict):
    """Something that a version consists of."""

    digest: str
    kind: str
    """In the words of the format: `layer`."""
    size: int
    note: str
    version: str
    """The version of the package that it is; empty: it is none."""


class ContentsShown(TypedDict):
    """What a version consists of."""

    kind: str
    size: int
    platforms: Sequence[str]
    parts: list[PartShown]
    facts: list[FactShown]


class VersionShown(VersionLine):
    """A version of a package."""

    summary: str
    facts: list[FactShown]
    contents: ContentsShown | None
    """Null where a format does not say it, or it is not here."""
    install: list[Line]


class TagShown(TypedDict):
    """A tag, and the version that it means."""

    tag: str
    version: str


class Tags(TypedDict):
    """Tags of a package, by name."""

    tags: list[TagShown]
    after: str | None
    """What the next page is asked for with; null: this is the last."""


class VersionApi:
    """The endpoints."""

    def __init__(self, services: Services, finder: Finder) -> None:
        self._services = services
        self._finder = finder

    def endpoints(self) -> Iterator[Endpoint[Call]]:
        """For whoever may ask; what they may not read is not told of."""
        root, one = "/api/v1/repositories/{repository}", "{package...}"
        read = "GET HEAD"
        yield json_endpoint(read, f"{root}/versions/{one}", "read", Versions, self._versions, query=PAGING)
        yield json_endpoint(
            read, f"{root}/version/{one}", "read", VersionShown, self._version, query=(_CHOSEN,)
        )
        yield json_endpoint(read, f"{root}/files/{one}", "read", Files, self._files, query=(_OF, *PAGING))
        yield json_endpoint(read, f"{root}/tags/{one}", "read", Tags, self._tags, query=PAGING)

    async def _versions(self, call: Call) -> Versions:
        """List the versions of a package, the newest first, a page at a time."""
        asked, after, limit = await self._finder.find(call), after_of(call), read_limit(call, MOST_LISTED)
        versions = asked.versions
        names = [one.name for one in versions]
        start = names.index(after) + 1 if after in names else len(names) if after else 0
        page = versions[start : start + limit]
        more = len(versions) > start + limit
        return {"versions": [_line(one) for one in page], "after": page[-1].name if more else None}

    async def _version(self, call: Call) -> VersionShown:
        """A version of a package, and what it consists of."""
        asked = await self._finder.find(call)
        chosen = await self._finder.chosen(asked)
        described = await self._finder.describe(asked, chosen)
        row, read = chosen.held.holding.repository, asked.shelf.format.browse.contents
        contents = None if read is None else await read(self._services, row, asked.name, chosen.name)
        return {
            **_line(chosen),
            "summary": described.summary if described else "",
            "facts": shown_facts(described.facts if described else ()),
            "contents": None if contents is None else _contents(contents),
            "install": self._finder.install(asked, chosen, described),
        }

    async def _files(self, call: Call) -> Files:
        """List the files of a package, or of a version of it, a page at a time."""
        asked, after, limit = await self._finder.find(call), after_of(call), read_limit(call, MOST_LISTED)
        version = call.parameter("version")
        found = {
            file.path: file
            for one in reversed(asked.held)
            for file in one.holding.files
            if file.path > after and version in (None, "", file.version)
        }
        paths = sorted(found)
        files: list[FileShown] = [
            {
                "path": one.path,
                "version": one.version,
                "media_type": one.media_type,
                "size": one.blob.size,
                "sha256": one.blob.digest.encoded,
                "created_at": one.created_at,
            }
            for one in map(found.__getitem__, paths[:limit])
        ]
        return {"files": files, "after": paths[limit - 1] if len(paths) > limit else None}

    async def _tags(self, call: Call) -> Tags:
        """List the tags of a package, a page at a time."""
        asked, after, limit = await self._finder.find(call), after_of(call), read_limit(call, MOST_LISTED)
        found = await self._finder.tags(asked, after, limit + 1)
        tags: list[TagShown] = [{"tag": tag, "version": version} for tag, version in found.items()]
        return {"tags": tags[:limit], "after": tags[limit - 1]["tag"] if len(tags) > limit else None}


def _line(version: ShownVersion) -> VersionLine:
    return {
        "version": version.name,
        "state": version.state,
        "published_at": version.published_at,
        "size": version.size,
        "files": len(version.files),
        "hosted": version.held.upstream is None,
    }


def _contents(contents: Contents) -> ContentsShown:
    return {
        "kind": contents.kind,
        "size": contents.size,
        "platforms": contents.platforms,
        "parts": [
            {
                "digest": one.digest,
                "kind": one.kind,
                "size": one.size,
                "note": one.note,
                "version": one.version,
            }
            for one in contents.parts
        ],
        "facts": shown_facts(contents.facts),
    }
