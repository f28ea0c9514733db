"""What is cached, removed over HTTP by administrators.

    POST /api/v1/admin/cache/purge   {repository, name?, version?, file?, digest?, source?}

A group stands for the proxies in it, a proxy for all of its upstreams, of which `source` picks one by its
address. Without a name a file is a path in the repository, and a digest is purged wherever it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from nora.auth.endpoints import ServerEndpoint
from nora.errors import BadRequest
from nora.http.context import RequestContext
from nora.http.fields import Fields, answering, read_fields, text_of
from nora.http.router import Endpoint
from nora.model import Digest
from nora.observability.audit import note
from nora.resolve.purging import Wanted

if TYPE_CHECKING:
    from nora.resolve.purging import Purging

MOST_SHOWN: Final = 1000
"""Paths in an answer."""
_PURGE = frozenset({"name", "version", "file", "digest", "source"})


class CacheApi:
    """The endpoints."""

    def __init__(self, purging: Purging) -> None:
        self._purging = purging

    def endpoints(self) -> Iterator[ServerEndpoint]:
        """For administrators."""
        yield Endpoint("POST", "/api/v1/admin/cache/purge", "admin", answering(self._purge))

    async def _purge(self, context: RequestContext) -> object:
        fields = await read_fields(context.request, frozenset({"repository"}), _PURGE)
        repository = text_of(fields, "repository")
        said = {name: _optional(fields, name) for name in ("name", "version", "file", "source")}
        digest = _optional(fields, "digest")
        words = " ".join(filter(None, (f"purge {said['name']}".strip(), said["version"], said["file"])))
        note(context.scope, "admin", repository, words, digest)
        wanted = Wanted(**said, digest=Digest(digest) if digest else None)
        purged = await self._purging.purge(repository, wanted)
        return {
            "repository": repository,
            "files": len(purged.paths),
            "blobs": purged.blobs,
            "names": purged.packages,
            "paths": purged.paths[:MOST_SHOWN],
        }


def _optional(fields: Fields, name: str) -> str:
    """A field that may be missing. Raises BadRequest for an empty one: without it more is purged."""
    if name not in fields:
        return ""
    text = text_of(fields, name)
    if not text:
        raise BadRequest(f"{name} is empty: leave it out where nothing is meant")
    return text
