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

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from nora.auth.endpoints import ServerEndpoint
from nora.errors import BadRequest
from nora.http.context import RequestContext
from nora.http.fields import Fields, answering, read_fields, read_limit, text_of
from nora.http.router import Endpoint
from nora.model import Digest
from nora.observability.audit import note
from nora.resolve.purging import Wanted

if TYPE_CHECKING:
    from nora.catalog.blocks import Block
    from nora.resolve.blocking import Blocking
    from nora.resolve.purging import Purging

MOST_SHOWN: Final = 1000
"""Paths, or blocks, in an answer."""
_PURGE = frozenset({"name", "version", "file", "digest", "source"})
_BLOCK = frozenset({"repository", "name", "version", "digest", "everywhere"})


class CacheApi:
    """The endpoints."""

    def __init__(self, purging: Purging, blocking: Blocking) -> None:
        self._purging = purging
        self._blocking = blocking

    def endpoints(self) -> Iterator[ServerEndpoint]:
        """For administrators."""
        yield Endpoint("POST", "/api/v1/admin/cache/purge", "admin", answering(self._purge))
        yield Endpoint("GET HEAD", "/api/v1/admin/blocks", "admin", answering(self._list))
        yield Endpoint("POST", "/api/v1/admin/blocks", "admin", answering(self._block))
        yield Endpoint("POST", "/api/v1/admin/blocks/lift", "admin", answering(self._lift))

    async def _purge(self, context: RequestContext) -> object:
        fields = await read_fields(context.request, frozenset({"repository"}), _PURGE)
        repository = text_of(fields, "repository")
        said = {name: _optional(fields, name) for name in ("name", "version", "file", "source")}
        digest = _optional(fields, "digest")
        _note(context, "purge", repository, said["name"], said["version"], said["file"], digest=digest)
        wanted = Wanted(**said, digest=Digest(digest) if digest else None)
        purged = await self._purging.purge(repository, wanted)
        return {
            "repository": repository,
            "files": len(purged.paths),
            "blobs": purged.blobs,
            "names": purged.packages,
            "paths": purged.paths[:MOST_SHOWN],
        }

    async def _list(self, context: RequestContext) -> object:
        after = _number(context.parameter("after") or "0", "after")
        found = await self._blocking.list(after, read_limit(context, MOST_SHOWN))
        return {"blocks": [_shown(one) for one in found]}

    async def _block(self, context: RequestContext) -> object:
        fields = await read_fields(context.request, frozenset({"reason"}), _BLOCK)
        said = {name: _optional(fields, name) for name in ("repository", "name", "version", "digest")}
        repository, name, version, digest = said.values()
        everywhere = fields.get("everywhere", False)
        if not isinstance(everywhere, bool):
            raise BadRequest("everywhere is true or false")
        _note(context, "block", repository, name, version, digest=digest)
        reason, by = text_of(fields, "reason"), context.principal.name
        if not digest:
            return _shown(
                await self._blocking.block_name(
                    repository, name, version, everywhere=everywhere, reason=reason, by=by
                )
            )
        if name or version or everywhere:
            raise BadRequest("a digest is blocked whatever its name is, in a repository or in all of them")
        return _shown(await self._blocking.block_digest(Digest(digest), repository, reason=reason, by=by))

    async def _lift(self, context: RequestContext) -> object:
        fields = await read_fields(context.request, frozenset({"id"}))
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


def _shown(block: Block) -> dict[str, object]:
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
