"""What upstreams have: metadata and checksums, kept as they came, and where their files are."""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import quote

from nora.catalog.records import NewBlob
from nora.errors import BadRequest, DigestMismatch, UpstreamFailed
from nora.formats.base import Services
from nora.formats.maven.checksums import ALGORITHMS, parse_checksum
from nora.formats.maven.checksums import LARGEST as LARGEST_CHECKSUM
from nora.formats.maven.hosted import XML
from nora.formats.maven.metadata import parse_metadata
from nora.formats.maven.metadata_xml import LARGEST as LARGEST_METADATA
from nora.formats.maven.metadata_xml import MetadataUnreadable
from nora.formats.maven.names import METADATA, ArtifactFile, Checksum, Metadata, PackageName, parse_path
from nora.formats.maven.settings import MavenSettings
from nora.formats.upstream_index import UpstreamIndex
from nora.outbound import Headers, Reply, host_of
from nora.proxy.base import Address, Document, Fetched
from nora.proxy.offload import offload
from nora.proxy.upstreams import document_fetch
from nora.resolve import Source

_log = logging.getLogger(__name__)

STRONGEST: Final = tuple(reversed(ALGORITHMS))


class Index(UpstreamIndex):
    """What the upstreams of proxy repositories have."""

    def __init__(self, services: Services) -> None:
        settings = services.settings(MavenSettings)
        super().__init__(services, settings)
        self._policy = settings.checksum_policy

    def address(self, source: Source, path: str) -> Address:
        """Where a source has what is at a path."""
        upstream = self.upstream(source)
        return Address(upstream, f"{upstream.url}/{quote(path)}")

    async def metadata(self, source: Source, about: Metadata, package: str) -> Document | None:
        """A document, kept with a package; None when the source says that there is none. Raises
        UpstreamFailed, also for what is no metadata."""

        async def parse(reply: Reply) -> Fetched:
            try:
                await offload(parse_metadata, reply.body)
            except MetadataUnreadable as error:
                raise UpstreamFailed(
                    f"what {host_of(reply.url)} has at {about.path} is none: {error}"
                ) from None
            return Fetched(body=reply.body, media_type=XML, upstream_url=reply.url)

        where = self.address(source, about.path)
        fetch = document_fetch(where.upstream, where.url, {}, parse, max_bytes=LARGEST_METADATA)
        return await self.cached(source, about.path, fetch, package=package)

    async def has_package(self, source: Source, package: PackageName) -> bool:
        """Whether a source has versions of an artifact. Raises UpstreamFailed."""
        about = Metadata(f"{package.directory}/{METADATA}", package)
        return await self.metadata(source, about, package) is not None

    async def newest_build(self, source: Source, path: ArtifactFile) -> ArtifactFile | None:
        """The file of the newest build of a snapshot that has one with this classifier and extension. Raises
        UpstreamFailed."""
        package, version = path.package, path.version
        about = Metadata(f"{package.directory}/{version}/{METADATA}", package, version)
        document = await self.metadata(source, about, package)
        if document is None or not path.is_named:
            return None
        said = await offload(parse_metadata, await self._blobs.read(document.cached.blob))
        for one in said.builds.files:
            if one.build is not None and (one.classifier, one.extension) == (path.classifier, path.extension):
                name = path.filename.replace(version, one.value, 1)
                found = parse_path([*path.path.split("/")[:-1], name])
                return found if isinstance(found, ArtifactFile) and found.build == one.build else None
        return None

    async def checksum(self, source: Source, checksum: Checksum, package: str) -> Document | None:
        """As `metadata`, a checksum of a file that is not here."""

        async def parse(reply: Reply) -> Fetched:
            try:
                body = parse_checksum(reply.body, checksum.algorithm).encode()
            except BadRequest as error:
                raise UpstreamFailed(f"what {host_of(reply.url)} has at {checksum.path}: {error}") from None
            return Fetched(body=body, media_type="text/plain", upstream_url=reply.url)

        where = self.address(source, checksum.path)
        fetch = document_fetch(where.upstream, where.url, {}, parse, max_bytes=LARGEST_CHECKSUM)
        return await self.cached(source, checksum.path, fetch, package=package)

    async def confirm(self, new: NewBlob, address: Address, headers: Headers) -> None:
        """Whether a file that came is what its upstream says elsewhere that it is: in header fields, else in
        its `.sha1`. Raises DigestMismatch, UpstreamFailed."""
        if self._policy == "ignore":
            return
        try:
            told = _told(headers) or await _asked(address)
            taken = {**new.checksums, "sha256": new.digest.encoded}
            for algorithm, digest in told.items():
                if taken[algorithm] != digest:
                    raise DigestMismatch(
                        f"{address.url} has the {algorithm} {taken[algorithm]}, not {digest}"
                    )
        except (DigestMismatch, UpstreamFailed) as error:
            if self._policy == "strict":
                raise
            _log.warning("%s; it is kept (maven.checksum_policy)", error)


def _told(headers: Headers) -> dict[str, str]:
    """The strongest checksum that an answer has with it."""
    for algorithm in STRONGEST:
        told = headers.get(f"x-checksum-{algorithm}", "").strip().lower()
        if len(told) == ALGORITHMS[algorithm]:
            return {algorithm: told}
    return {}


async def _asked(address: Address) -> dict[str, str]:
    """The checksum beside a file. What is none there tells nothing: not all repositories have any."""
    url = f"{address.url}.sha1"
    reply = await address.upstream.ask("GET", url, address.headers, max_bytes=LARGEST_CHECKSUM)
    if reply is None:
        return {}
    try:
        return {"sha1": parse_checksum(reply.body, "sha1")}
    except BadRequest as error:
        _log.warning("%s: %s", url, error)
        return {}
