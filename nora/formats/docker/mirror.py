"""Pull-through: manifests and blobs of images that upstreams have.

A **tag** is a document without a body: what the upstream says the tag means now, asked by HEAD, which costs
nothing of a quota. A **manifest** is fetched once, by its digest, and published into the proxy repository
with its references; from then on it is there for good. A **blob** is a file of the cache. In a group it is
asked for only when a manifest that is cached under the same name refers to it, so that the probes of a first
push stay inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blacksheep import Response

from nora.blobs.base import Expect
from nora.catalog.records import Blob, Cached, File, NewBlob, NewFile, Release
from nora.errors import InvalidManifest, NotFound, UpstreamFailed, quoted
from nora.formats.base import Services
from nora.formats.docker.names import Image, Tag
from nora.formats.docker.publish import parse_manifest
from nora.formats.docker.resource import Resource
from nora.formats.docker.settings import DockerSettings
from nora.formats.docker.upstream import ACCEPT, DeniedAsNotFound, Descriptor, Origin
from nora.formats.docker.ways import Way, Ways, first_found
from nora.http.send import Header
from nora.model import Digest, Repository
from nora.outbound import host_of
from nora.proxy.answers import file_response, stale_headers
from nora.proxy.base import UNCHANGED, Fetch, Fetched, FileRequest, Source, Unchanged
from nora.proxy.policy import document_policy

_HOLDERS = 64
"""Packages that hold a blob which are looked at for one of the same repository."""
_TAG = "application/vnd.nora.tag"


@dataclass(frozen=True, slots=True)
class Pulled:
    """A manifest that an upstream has, for an answer."""

    digest: Digest
    media_type: str
    blob: Blob
    """For a HEAD of what is not here only its size is right."""
    headers: tuple[Header, ...] = ()


class Mirror:
    """What upstreams have, and what is here of it."""

    def __init__(self, services: Services, ways: Ways) -> None:
        self._services = services
        self._ways = ways
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._cache = services.cache
        self._settings = settings = services.settings(DockerSettings)
        self._max_bytes = min(settings.max_upload_size, services.config.proxy.max_file_size)
        self._lease = services.leases.seconds
        self._policy = document_policy(services.config.proxy, settings)

    # -- manifests ---------------------------------------------------------------------------------

    async def manifest(self, resource: Resource, reference: Digest | Tag) -> Pulled | None:
        """A manifest, from here or from an upstream; None when nobody has it. Raises UpstreamFailed."""
        only_head = resource.request.method == "HEAD"
        failure: UpstreamFailed | None = None
        for way in await self._ways.find(resource.image):
            try:
                if isinstance(reference, Tag):
                    found = await self._tagged(way, reference, only_head)
                else:
                    found = await self._by_digest(way, reference, only_head)
            except UpstreamFailed as error:
                failure = failure or error
                continue
            if found is not None:
                return found
        if failure is not None:
            raise failure
        return None

    async def _tagged(self, way: Way, tag: Tag, only_head: bool) -> Pulled | None:
        document = await self._cache.document(way.place("tags", tag), self._policy, self._tag_fetch(way, tag))
        if document is None:
            return None
        meant = Descriptor.decode(document.cached.document)
        headers = stale_headers(document)
        file = await self._held(way, meant.digest)
        if file is None and only_head:
            return Pulled(meant.digest, meant.media_type, _unseen(meant), headers)
        file = file or await self._fetch(way, meant.digest)
        return None if file is None else Pulled(meant.digest, file.media_type, file.blob, headers)

    async def _by_digest(self, way: Way, digest: Digest, only_head: bool) -> Pulled | None:
        file = await self._held(way, digest)
        if file is None and only_head and self._services.upstreams.is_online(way.proxy):
            known = await first_found(way.origins, None, lambda origin: self._describe(origin, digest))
            if known is None or known.digest == digest:
                return None if known is None else Pulled(digest, known.media_type, _unseen(known))
        file = file or await self._fetch(way, digest, unseen=True)
        return None if file is None else Pulled(digest, file.media_type, file.blob)

    async def _held(self, way: Way, digest: Digest) -> File | None:
        return await self._catalog.find_file(way.proxy.id, way.path("manifests", digest))

    def _tag_fetch(self, way: Way, tag: Tag) -> Fetch:
        async def fetch(cached: Cached | None) -> Fetched | Unchanged | None:
            return await first_found(
                way.origins, cached, lambda origin: self._ask_tag(way, origin, tag, cached)
            )

        return fetch

    async def _ask_tag(
        self, way: Way, origin: Origin, tag: Tag, cached: Cached | None
    ) -> Fetched | Unchanged | None:
        url = origin.url("manifests", tag)
        reply = await origin.upstream.ask("HEAD", url, {"accept": ACCEPT}, max_bytes=0)
        if reply is None:
            return None
        meant = Descriptor.of(reply.headers)
        if meant is None:
            return await self._ask_whole(way, origin, tag, cached)
        return _meaning(meant, url, cached)

    async def _ask_whole(
        self, way: Way, origin: Origin, tag: Tag, cached: Cached | None
    ) -> Fetched | Unchanged | None:
        """What a tag means at an upstream that does not say it at a HEAD: a GET, conditional if it can be."""
        url = origin.url("manifests", tag)
        headers = {"accept": ACCEPT}
        if cached is not None and cached.upstream_url == url and "etag" in cached.validators:
            headers["if-none-match"] = cached.validators["etag"]
        reply = await origin.upstream.ask("GET", url, headers, max_bytes=self._settings.max_manifest_size)
        if reply is None:
            return None
        if reply.status == 304:
            return UNCHANGED
        async with self._blobs.ingest(reply.body, Expect()) as new:
            digest = new.blob.digest
            if reply.headers.get("docker-content-digest", digest).startswith("sha256:") and (
                reply.headers.get("docker-content-digest", digest) != digest
            ):
                raise UpstreamFailed(f"{host_of(url)} gives {way.package}:{tag} with a digest of other bytes")
            release = self._release(way, digest, reply.body, new.blob)
            [live] = await self._catalog.publish(release, self._lease)
            new.settle(live)
        meant = Descriptor(digest, release.files[0].media_type, len(reply.body))
        validators = {"etag": reply.headers["etag"]} if "etag" in reply.headers else {}
        return _meaning(meant, url, cached, validators)

    async def _describe(self, origin: Origin, digest: Digest) -> Descriptor | None:
        url = origin.url("manifests", digest)
        reply = await origin.upstream.ask("HEAD", url, {"accept": ACCEPT}, max_bytes=0)
        if reply is None:
            return None
        return Descriptor.of({"docker-content-digest": digest, **reply.headers})

    async def _fetch(self, way: Way, digest: Digest, *, unseen: bool = False) -> File | None:
        """Fetch a manifest by its digest, once for all who want it, and publish it."""

        async def store(new: NewBlob, source: Source) -> Blob:
            body = await self._blobs.read(Blob(0, new.digest, new.size, new.generation))
            [live] = await self._catalog.publish(self._release(way, digest, body, new), self._lease)
            return live

        async def find() -> Blob | None:
            file = await self._held(way, digest)
            return None if file is None else file.blob

        wanted = FileRequest(
            key=f"{way.proxy.id}/{way.path('manifests', digest)}",
            sources=[
                Source(
                    DeniedAsNotFound(origin) if unseen else origin.upstream,
                    origin.url("manifests", digest),
                    {"accept": ACCEPT},
                )
                for origin in way.origins
            ],
            expect=Expect(digest=digest),
            media_type="application/json",
            store=store,
            find=find,
            max_bytes=self._settings.max_manifest_size,
            registry=way.proxy.format,
        )
        found = await self._cache.file(wanted)
        if found is None:
            return None
        if not isinstance(found, Blob):
            await found.end()
        return await self._held(way, digest)

    def _release(self, way: Way, digest: Digest, body: bytes, blob: NewBlob) -> Release:
        """A manifest with its references, none of which has to be here. Raises UpstreamFailed."""
        try:
            manifest = parse_manifest(body, None, digest, required="none")
        except InvalidManifest as error:
            raise UpstreamFailed(
                f"{way.package} at the upstream is no image that NORA knows: {quoted(error)}"
            ) from error
        path = way.path("manifests", digest)
        return Release(
            repository_id=way.proxy.id,
            package=way.package,
            version=digest,
            files=(NewFile(path=path, media_type=manifest.media_type, blob=blob),),
            document=manifest.document,
            kind=manifest.artifact_type,
            subject=manifest.subject,
            references=manifest.references,
            replace=True,
        )

    # -- blobs -------------------------------------------------------------------------------------

    async def find_blob(self, image: Image, digest: Digest) -> Blob | None:
        """A blob of an image that is cached already."""
        for way in await self._ways.find(image):
            blob = await self._catalog.find_linked_blob(way.proxy.id, way.package, digest)
            if blob is not None:
                return blob
        return None

    async def blob(
        self, resource: Resource, digest: Digest, *, headers: Sequence[Header], etag: bytes
    ) -> Response | None:
        """A blob that is not cached, from an upstream; None when nobody has it. Raises UpstreamFailed."""
        alone = resource.image.repository.kind == "proxy"
        failure: UpstreamFailed | None = None
        for way in await self._ways.find(resource.image):
            referred = await self._catalog.has_reference(way.proxy.id, way.package, digest)
            if not (referred or alone):
                continue
            try:
                return await file_response(
                    resource.request,
                    self._services,
                    self._wanted(way, digest, referred),
                    headers=headers,
                    etag=etag,
                    what=f"blob {digest} of {resource.image.full_name}",
                )
            except NotFound:
                continue
            except UpstreamFailed as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return None

    async def promote_cached_blobs(self, image: Image, target: Repository, digests: Sequence[str]) -> bool:
        """Let what is pushed under a name have the cached blobs of the same name: before it was pushed, a
        client was told that they are here, and has not sent them. Whether all of them are there now.

        Where they are not, the name is taken all the same: the client is told the truth the next time.
        """
        proxies = self._ways.proxies(image.repository)
        if not proxies:
            return False
        sources = [(proxy.id, image.package) for proxy in proxies]
        for digest in digests:
            if (
                await self._catalog.mount_blob(Digest(digest), sources, target.id, image.package, self._lease)
                is None
            ):
                await self._catalog.claim_package(target.id, image.package)
                return False
        return True

    def _wanted(self, way: Way, digest: Digest, referred: bool) -> FileRequest:
        """A blob. What manifests refer to is fetched once for all images of the repository, one after the
        other; each asks for it under its own name, as another one may be without it.
        """
        repository, package = way.proxy.id, way.package

        async def store(new: NewBlob, source: Source) -> Blob:
            return await self._catalog.add_blob(new, repository, package, self._lease)

        async def find() -> Blob | None:
            blob = await self._catalog.find_linked_blob(repository, package, digest)
            return blob if blob is not None or not referred else await self._mount(way, digest)

        return FileRequest(
            key=f"{repository}/{way.path('blobs', digest)}",
            sources=[
                Source(origin.upstream if referred else DeniedAsNotFound(origin), origin.url("blobs", digest))
                for origin in way.origins
            ],
            expect=Expect(digest=digest),
            media_type="application/octet-stream",
            store=store,
            find=find,
            max_bytes=self._max_bytes,
            registry=way.proxy.format,
        )

    async def _mount(self, way: Way, digest: Digest) -> Blob | None:
        """Let an image have a layer that another one of the same repository has already."""
        holders = [
            holder
            for holder in await self._catalog.list_blob_holders(digest, _HOLDERS)
            if holder[0] == way.proxy.id
        ]
        if not holders:
            return None
        return await self._catalog.mount_blob(digest, holders, way.proxy.id, way.package, self._lease)


def _meaning(
    meant: Descriptor, url: str, cached: Cached | None, validators: Mapping[str, str] | None = None
) -> Fetched | Unchanged:
    if cached is not None and Descriptor.decode(cached.document).digest == meant.digest:
        return UNCHANGED
    return Fetched(
        body=b"", media_type=_TAG, upstream_url=url, document=meant.encode(), validators=validators or {}
    )


def _unseen(descriptor: Descriptor) -> Blob:
    return Blob(0, descriptor.digest, descriptor.size, 0)
