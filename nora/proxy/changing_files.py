"""Files of an upstream that may change under their names: a SNAPSHOT, `latest.tar.gz`.

The first who wants one reads along while it comes in, as with any file. What is here is fresh for some time;
then the upstream is asked whether it is still right, and what has changed comes in as a stream. Meanwhile the
copy that is here is served, marked as stale: it is never waited for longer than a policy says.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nora.errors import NotFound, UpstreamFailed
from nora.http.pulls import answer_with
from nora.http.send import blob_response
from nora.proxy.answers import age_headers, file_response, modified_of
from nora.proxy.base import CacheKey
from nora.proxy.documents import SPREAD
from nora.proxy.upstreams import file_fetch

if TYPE_CHECKING:
    from blacksheep import Request, Response

    from nora.catalog.base import Catalog
    from nora.catalog.records import Cached
    from nora.http.send import Header
    from nora.model import Repository
    from nora.proxy.answers import Services
    from nora.proxy.base import Fetch, Fetched, Policy
    from nora.proxy.listed_files import ListedFiles, UpstreamFile

FETCHED_NOW = ((b"cache-control", b"no-cache"),)
"""Nobody knows yet until when what comes in is fresh."""


class ChangingFiles:
    """The files of proxy repositories that may change."""

    def __init__(self, catalog: Catalog, files: ListedFiles) -> None:
        self._catalog = catalog
        self._files = files

    async def response(
        self,
        request: Request,
        services: Services,
        repository: Repository,
        file: UpstreamFile,
        policy: Policy,
        *,
        max_bytes: int,
        public: bool,
        headers: Sequence[Header] = (),
    ) -> Response:
        """A file that is here, came in anew, or comes in while it is answered; `file` says where it may be
        asked for: its first address is asked again whether it has changed. Without one it is as it is here.
        `public` as in `age_headers`.

        Raises NotFound where the upstream has none; UpstreamFailed and its kinds where there is no copy;
        RangeNotSatisfiable, PreconditionFailed, StorageFailed, StorageFull.
        """
        if await self._catalog.find_cached(repository.id, file.path) is None:
            spread = random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - not a secret
            fresh_until = time.time() + policy.fresh * spread
            wanted = self._files.request(repository, file, max_bytes=max_bytes, fresh_until=fresh_until)
            said = (*headers, *FETCHED_NOW)
            return await file_response(request, services, wanted, headers=said, etag=None, what=file.path)
        place = CacheKey(repository=repository, path=file.path, package=file.package, version=file.version)
        document = await services.cache.document(place, policy, _fetch(file, max_bytes))
        if document is None:
            raise NotFound(f"there is no {file.path}")
        answer_with(request, repository.id, file.path)
        blob = document.cached.blob
        return await blob_response(
            request,
            services.blobs,
            services.memory,
            blob,
            media_type=file.media_type.encode("latin-1"),
            headers=(*headers, *age_headers((document,), public=public)),
            etag=b'"%b"' % blob.digest.encode(),
            modified=modified_of(document.cached),
        )


def _fetch(file: UpstreamFile, max_bytes: int) -> Fetch:
    """How it is asked whether a file has changed."""
    if not file.addresses:
        return _ask_nobody
    address = file.addresses[0]
    return file_fetch(
        address.upstream,
        address.url,
        address.headers,
        media_type=file.media_type,
        max_bytes=max_bytes,
        also=file.also,
    )


async def _ask_nobody(_: Cached | None) -> Fetched | None:
    raise UpstreamFailed("no upstream may be asked for this file")
