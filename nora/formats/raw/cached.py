"""Files of upstreams: any server that has files under paths. A path is a name, which has one source."""

from __future__ import annotations

from urllib.parse import quote

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.errors import NotFound
from nora.formats.base import Services
from nora.formats.raw.settings import RawSettings
from nora.formats.resumable import ANY_SIZE
from nora.http.context import PathContext
from nora.http.media_types import guess_media_type
from nora.http.send import Header
from nora.proxy.base import Address
from nora.proxy.changing_files import ChangingFiles
from nora.proxy.listed_files import ListedFiles, UpstreamFile
from nora.proxy.policy import DocumentPolicies
from nora.resolve import Candidate


class CachedFiles:
    """What is cached, or can be had."""

    def __init__(self, services: Services, authorizer: Authorizer, headers: tuple[Header, ...]) -> None:
        """`headers` are those of all files."""
        settings = services.settings(RawSettings)
        files = ListedFiles(services.catalog, services.leases.seconds, services.cache.used)
        self._services = services
        self._authorizer = authorizer
        self._headers = headers
        self._files = ChangingFiles(services.catalog, files)
        self._policies = DocumentPolicies(services.config.proxy, settings)
        self._max_bytes = settings.max_file_size or ANY_SIZE

    async def answer(self, context: PathContext) -> Response | None:
        """A file, as its source has it; None where none has it. Raises Blocked, UpstreamFailed."""
        resolver = self._services.resolver

        async def ask(candidate: Candidate) -> Response | None:
            try:
                return await self._answer_of(candidate, context)
            except NotFound:
                return None

        return await resolver.first(await resolver.resolve(context.repository, context.name), ask)

    async def _answer_of(self, candidate: Candidate, context: PathContext) -> Response:
        upstream, path = self._services.upstreams.of(candidate.source), context.name
        file = UpstreamFile(
            path=path,
            package=path,
            version=None,
            media_type=guess_media_type(path),
            addresses=(Address(upstream, f"{upstream.url}/{quote(path)}"),),
        )
        return await self._files.response(
            context.request,
            self._services,
            candidate.source.repository,
            file,
            self._policies.of(candidate.source),
            max_bytes=self._max_bytes,
            public=self._authorizer.is_public(context.repository),
            headers=self._headers,
        )
