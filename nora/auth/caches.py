"""What administrators do to caches over HTTP: purge what is there, block what must not come back.

    POST /api/v1/admin/cache/purge   {repository, name?, version?, file?, digest?, source?}
    GET  /api/v1/admin/blocks?after=&limit=
    POST /api/v1/admin/blocks        {repository?, name?, version?, digest?, everywhere?, reason}
    POST /api/v1/admin/blocks/lift   {id}

In a purge a group stands for the proxies in it, a proxy for all of its upstreams, of which `source` picks one
by its address. Without a name a file is a path in the repository, and a digest is purged wherever it is. A
block of a repository counts for all that is read through it; `everywhere` blocks a name in all repositories
of its format, a digest without a repository counts everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypedDict

from nora.auth.endpoints import ServerEndpoint
from nora.errors import BadRequest
from nora.http.context import RequestContext
from nora.http.fields import PAGING, Fields, json_endpoint, read_fields, read_limit, text_of
from nora.model import Action, Digest
from nora.observability.audit import note
from nora.resolve.purging import Wanted

if TYPE_CHECKING:
    from nora.catalog.blocks import Block
    from nora.catalog.records import Purged
    from nora.resolve.blocking import Blocking
    from nora.resolve.purging import Purging

MOST_SHOWN: Final = 1000
"""Paths, or blocks, in an answer."""
_BLOCKS: Final = "/api/v1/admin/blocks"


class InRepository(TypedDict):
    """What is in a repository."""

    repository: str


class ToPurge(InRepository, total=False):
    """What shall be removed from a cache: all that fits what is said."""

    name: str
    version: str
    file: str
    digest: str
    source: str
    """The address of an upstream, of several."""


class PurgedShown(TypedDict):
    """What was removed from a cache."""

    repository: str
    files: int
    blobs: int
    names: int
    """That are not known any more."""
    paths: Sequence[str]
    """Of the first 1000 files."""


class WithReason(TypedDict):
    """Why something is so."""

    reason: str


class ToBlock(WithReason, total=False):
    """What nobody gets any more."""

    repository: str
    name: str
    version: str
    digest: str
    everywhere: bool
    """Whether in all repositories of the format."""


class BlockShown(TypedDict):
    """Something that nobody gets."""

    id: int
    repository: str | None
    format: str | None
    name: str | None
    version: str | None
    digest: str | None
    reason: str
    by: str
    created_at: float


class BlockList(TypedDict):
    """What nobody gets, by numbers."""

    blocks: list[BlockShown]


class NumberOfBlock(TypedDict):
    """A block."""

    id: int


class LiftedBlock(TypedDict):
    """What everybody may get again."""

    lifted: BlockShown


class CacheApi:
    """The endpoints."""

    def __init__(self, purging: Purging, blocking: Blocking) -> None:
        self._purging = purging
        self._blocking = blocking

    def endpoints(self) -> Iterator[ServerEndpoint]:
        """For administrators."""
        admin: Action = "admin"
        yield json_endpoint(
            "POST", "/api/v1/admin/cache/purge", admin, PurgedShown, self._purge, body=ToPurge, errors=(404,)
        )
        yield json_endpoint("GET HEAD", _BLOCKS, admin, BlockList, self._list, query=PAGING)
        yield json_endpoint("POST", _BLOCKS, admin, BlockShown, self._block, body=ToBlock, errors=(404,))
        yield json_endpoint(
            "POST", f"{_BLOCKS}/lift", admin, LiftedBlock, self._lift, body=NumberOfBlock, errors=(404,)
        )

    async def _purge(self, context: RequestContext) -> PurgedShown:
        """Remove something from the cache of a repository."""
        fields = await read_fields(context.request, ToPurge)
        repository = text_of(fields, "repository")
        said = {name: _optional(fields, name) for name in ("name", "version", "file", "source")}
        digest = _optional(fields, "digest")
        _note(context, "purge", repository, said["name"], said["version"], said["file"], digest=digest)
        wanted = Wanted(**said, digest=Digest(digest) if digest else None)
        purged = await self.purge(context, repository, wanted)
        return {
            "repository": repository,
            "files": len(purged.paths),
            "blobs": purged.blobs,
            "names": purged.packages,
            "paths": purged.paths[:MOST_SHOWN],
        }

    async def purge(self, context: RequestContext, repository: str, wanted: Wanted) -> Purged:
        """Remove what is cached, and tell the audit log. See nora.resolve.purging.Purging.purge."""
        words = wanted.name, wanted.version, wanted.file
        _note(context, "purge", repository, *words, digest=wanted.digest or "")
        return await self._purging.purge(repository, wanted)

    async def _list(self, context: RequestContext) -> BlockList:
        """List what nobody gets."""
        after = _number(context.parameter("after") or "0", "after")
        found = await self._blocking.list(after, read_limit(context, MOST_SHOWN))
        return {"blocks": [_shown(one) for one in found]}

    async def _block(self, context: RequestContext) -> BlockShown:
        """Let nobody get something."""
        fields = await read_fields(context.request, ToBlock)
        said = {name: _optional(fields, name) for name in ("repository", "name", "version", "digest")}
        repository, name, version, digest = said.values()
        everywhere = fields.get("everywhere", False)
        if not isinstance(everywhere, bool):
            raise BadRequest("everywhere is true or false")
        _note(context, "block", repository, name, version, digest=digest)
        reason, by = text_of(fields, "reason"), context.principal.name
        if not digest:
            return _shown(
                await self.block(context, repository, name, version, everywhere=everywhere, reason=reason)
            )
        if name or version or everywhere:
            raise BadRequest("a digest is blocked whatever its name is, in a repository or in all of them")
        return _shown(await self._blocking.block_digest(Digest(digest), repository, reason=reason, by=by))

    async def block(
        self,
        context: RequestContext,
        repository: str,
        name: str,
        version: str,
        *,
        reason: str,
        everywhere: bool = False,
    ) -> Block:
        """Block a name or a version of it, and tell the audit log. See Blocking.block_name."""
        _note(context, "block", repository, name, version)
        return await self._blocking.block_name(
            repository, name, version, everywhere=everywhere, reason=reason, by=context.principal.name
        )

    async def _lift(self, context: RequestContext) -> LiftedBlock:
        """Let everybody get again what was blocked."""
        fields = await read_fields(context.request, NumberOfBlock)
        number = fields["id"]
        if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 1 << 63:
            raise BadRequest("id is the number of a block")
        _note(context, "unblock", "", str(number))
        lifted = await self._blocking.lift(number)
        _note(
            context,
            "unblock",
            lifted.repository,
            str(number),
            lifted.name,
            lifted.version,
            digest=lifted.digest,
        )
        return {"lifted": _shown(lifted)}


def _note(context: RequestContext, verb: str, repository: str, *words: str, digest: str = "") -> None:
    note(context.scope, "admin", repository, " ".join(filter(None, (verb, *words))), digest)


def _shown(block: Block) -> BlockShown:
    return {
        "id": block.id,
        "repository": block.repository or None,
        "format": block.format or None,
        "name": block.name or None,
        "version": block.version or None,
        "digest": block.digest or None,
        "reason": block.reason,
        "by": block.by,
        "created_at": block.created_at,
    }


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequest(f"{name} is a whole number")
    return int(text)


def _optional(fields: Fields, name: str) -> str:
    """A field that may be missing. Raises BadRequest for an empty one: without it more is meant."""
    if name not in fields:
        return ""
    text = text_of(fields, name)
    if not text:
        raise BadRequest(f"{name} is empty: leave it out where nothing is meant")
    return text
