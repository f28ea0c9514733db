"""Pull-through: manifests and blobs of images that upstreams have.

A **tag** is a document without a body: what the upstream says the tag means now, asked by HEAD, which costs
nothing of a quota. A **manifest** is fetched once, by its digest, and published into the rows of the upstream
with its references; from then on it is there for good. A **blob** is a file of the cache, asked for only when
a manifest that is cached under the same name refers to it, so that the probes of a first push stay inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from nora.blobs.base import Expect
from nora.catalog.records import Blob, Cached, File, NewBlob, NewFile, Release
from nora.errors import Blocked, InvalidManifest, UpstreamFailed, VersionNotFound, quoted
from nora.formats.base import Services
from nora.formats.docker.names import Image, Tag
from nora.formats.docker.publish import parse_manifest
from nora.formats.docker.remote_listings import parse_tags
from nora.formats.docker.settings import DockerSettings
from nora.formats.docker.upstream import ACCEPT, Descriptor, Origin, Remotes
from nora.http.send import Header
from nora.model import Digest, Repository
from nora.outbound import host_of
from nora.proxy.answers import stale_headers
from nora.proxy.base import UNCHANGED, Fetch, Fetched, FileRequest, Received, Unchanged
from nora.resolve import Candidate

_HOLDERS = 64
"""Packages that hold a blob which are looked at for one of the same repository."""
_ATTEMPTS = 2
"""How often a tag is asked for while the manifest that it is said to mean is gone: it has moved since."""
_TAG = "application/vnd.nora.tag"
_PROBE_BYTES = 4 << 20

MayRead = Callable[[str], bool]
"""Whether who asks may read an image of the same repository, by its name."""


class Pulled(NamedTuple):
    """A manifest for an answer, from here or from an upstream."""

    digest: str
    media_type: str
    blob: Blob
    """For a HEAD of what is not here only its size is right."""
    headers: tuple[Header, ...] = ()
    place: tuple[int, str] | None = None
    """Repository and path of what is here."""


class PullThrough:
    """What upstreams have, and what is here of it."""

    def __init__(self, services: Services, remotes: Remotes) -> None:
        self._services = services
        self._remotes = remotes
        self._resolver = services.resolver
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._cache = services.cache
        self._settings = settings = services.settings(DockerSettings)
        self._max_bytes = min(settings.max_upload_size, services.config.proxy.max_file_size)
        self._lease = services.leases.seconds

    # -- manifests ---------------------------------------------------------------------------------

    async def manifest(
        self, candidate: Candidate, reference: Digest | Tag, *, only_head: bool
    ) -> Pulled | None:
        """A manifest of an image at a candidate, from here or from there (see nora.resolve.Ask)."""
        origin = self._remotes.origin(candidate)
        if blocks := self._catalog.blocks():
            for name in (candidate.name, origin.name):
                blocks.check(candidate.source.id, name, versions=(reference,))
        if isinstance(reference, Tag):
            found = await self._tagged(origin, reference, only_head)
        else:
            found = await self._by_digest(origin, reference, only_head)
        if found is None and await self.has_image(candidate):
            raise VersionNotFound(f"{candidate.name} has no manifest {reference}")
        return found

    async def has_image(self, candidate: Candidate) -> bool:
        """Whether an image is a candidate's although what was asked for is not there: then nobody after it
        is asked, who could have something else under this name. Raises UpstreamFailed."""
        if candidate.pinned or candidate.is_last:
            return candidate.pinned
        origin = self._remotes.origin(candidate)

        async def fetch(_: Cached | None) -> Fetched | None:
            url = f"{origin.url('tags', 'list')}?n=1"
            reply = await origin.unseen.ask(
                "GET", url, {"accept": "application/json"}, max_bytes=_PROBE_BYTES
            )
            if reply is None or not parse_tags(reply.body):
                return None
            return Fetched(body=b"", media_type=_TAG, upstream_url=url)

        document = await self._cache.document(origin.key("image", ""), self._remotes.policy(origin), fetch)
        return document is not None

    async def _tagged(self, origin: Origin, tag: Tag, only_head: bool) -> Pulled | None:
        key = origin.key("tags", tag)
        policy, fetch = self._remotes.policy(origin), self._tag_fetch(origin, tag)
        for attempt in range(_ATTEMPTS):
            document = await self._cache.document(key, policy, fetch)
            if document is None:
                return None
            meant = Descriptor.decode(document.cached.document)
            headers = stale_headers(document)
            file = await self._held(origin, meant.digest)
            if file is None and only_head and origin.is_online:
                return Pulled(meant.digest, meant.media_type, _unseen(meant), headers)
            file = file or await self._fetch(origin, meant.digest)
            if file is not None:
                place = (file.repository_id, file.path)
                return Pulled(meant.digest, file.media_type, file.blob, headers, place)
            if not origin.is_online or attempt == _ATTEMPTS - 1:
                break
            await self._cache.expire([origin.repository], key.path)
        # The tag says whose the name is
        raise VersionNotFound(f"{origin.package} has no manifest {meant.digest}, which {tag} means")

    async def _by_digest(self, origin: Origin, digest: Digest, only_head: bool) -> Pulled | None:
        file = await self._held(origin, digest)
        if file is None and only_head and origin.is_online:
            url = origin.url("manifests", digest)
            reply = await origin.unseen.ask("HEAD", url, {"accept": ACCEPT}, max_bytes=0)
            if reply is None:
                return None
            known = Descriptor.of({"docker-content-digest": digest, **reply.headers})
            if known is not None and known.digest == digest:
                return Pulled(digest, known.media_type, _unseen(known))
        file = file or await self._fetch(origin, digest, unseen=True)
        if file is None:
            return None
        return Pulled(digest, file.media_type, file.blob, place=(file.repository_id, file.path))

    async def _held(self, origin: Origin, digest: Digest) -> File | None:
        """A manifest that is here. Raises Blocked, also for one that is not."""
        file = await self._catalog.find_file(origin.repository.id, origin.path("manifests", digest))
        if file is not None:
            self._cache.used(file.id)
        elif blocks := self._catalog.blocks():
            blocks.check(origin.repository.id, origin.package, (digest,), (digest,))
        return file

    def _tag_fetch(self, origin: Origin, tag: Tag) -> Fetch:
        async def fetch(cached: Cached | None) -> Fetched | Unchanged | None:
            # What it let us have before is not said to be gone when it lets us in no more.
            upstream = origin.unseen if cached is None else origin.upstream
            url = origin.url("manifests", tag)
            reply = await upstream.ask("HEAD", url, {"accept": ACCEPT}, max_bytes=0)
            if reply is None:
                return None
            meant = Descriptor.of(reply.headers)
            if meant is None:
                return await self._ask_whole(origin, tag, cached)
            return _meaning(meant, url, cached)

        return fetch

    async def _ask_whole(self, origin: Origin, tag: Tag, cached: Cached | None) -> Fetched | Unchanged | None:
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
                raise UpstreamFailed(
                    f"{host_of(url)} gives {origin.package}:{tag} with a digest of other bytes"
                )
            release = self._release(origin, digest, reply.body, new.blob)
            [live] = await self._catalog.publish(release, self._lease)
            new.settle(live)
        meant = Descriptor(digest, release.files[0].media_type, len(reply.body))
        validators = {"etag": reply.headers["etag"]} if "etag" in reply.headers else {}
        return _meaning(meant, url, cached, validators)

    async def _fetch(self, origin: Origin, digest: Digest, *, unseen: bool = False) -> File | None:
        """Fetch a manifest by its digest, once for all who want it, and publish it."""

        async def store(new: NewBlob, received: Received) -> Blob:
            body = await self._blobs.read(Blob(0, new.digest, new.size, new.generation))
            [live] = await self._catalog.publish(self._release(origin, digest, body, new), self._lease)
            return live

        async def find() -> Blob | None:
            file = await self._held(origin, digest)
            return None if file is None else file.blob

        lenient = " lenient" if unseen and origin.may_hide else ""  # see CacheKey.is_lenient
        wanted = FileRequest(
            key=f"{origin.repository.id}/{origin.path('manifests', digest)}{lenient}",
            addresses=origin.addresses("manifests", digest, unseen=unseen, headers={"accept": ACCEPT}),
            expect=Expect(digest=digest),
            media_type="application/json",
            store=store,
            find=find,
            max_bytes=self._settings.max_manifest_size,
            registry=origin.repository.format,
            about=(origin.repository.id, origin.package, digest),
        )
        found = await self._cache.stored(wanted)
        return None if found is None else await self._held(origin, digest)

    def _release(self, origin: Origin, digest: Digest, body: bytes, blob: NewBlob) -> Release:
        """A manifest with its references, none of which has to be here. Raises UpstreamFailed."""
        try:
            most = self._settings.max_references
            manifest = parse_manifest(body, None, digest, required="none", max_references=most)
        except InvalidManifest as error:
            raise UpstreamFailed(
                f"{origin.package} at the upstream is no image that NORA knows: {quoted(error)}"
            ) from error
        path = origin.path("manifests", digest)
        return Release(
            repository_id=origin.repository.id,
            package=origin.package,
            version=digest,
            files=(NewFile(path=path, media_type=manifest.media_type, blob=blob),),
            document=manifest.document,
            kind=manifest.artifact_type,
            subject=manifest.subject,
            references=manifest.references,
            replace=True,
        )

    # -- blobs -------------------------------------------------------------------------------------

    async def find_blob(self, candidate: Candidate, digest: Digest) -> Blob | None:
        """A blob of an image that is cached already. Asks nobody."""
        return await self._catalog.find_linked_blob(*candidate.key, digest)

    async def blob(
        self, candidate: Candidate, digest: Digest, may_read: MayRead | None
    ) -> FileRequest | None:
        """A blob that is not cached, as the cache wants to have it described: when a manifest that is cached
        under the same name from the same upstream refers to it; else None. Asks nobody.

        It is fetched once for all images of the upstream, one after the other; each asks for it under its own
        name, as another one may be without it. `may_read`: see `_shared`.
        """
        repository, package = candidate.key
        if not await self._catalog.has_reference(repository, package, digest):
            return None
        origin = self._remotes.origin(candidate)

        async def store(new: NewBlob, received: Received) -> Blob:
            return await self._catalog.add_blob(new, repository, package, self._lease)

        async def find() -> Blob | None:
            blob = await self._catalog.find_linked_blob(repository, package, digest)
            return blob if blob is not None else await self._shared(repository, package, digest, may_read)

        return FileRequest(
            key=f"{repository}/{origin.path('blobs', digest)}",
            addresses=origin.addresses("blobs", digest, unseen=False),
            expect=Expect(digest=digest),
            media_type="application/octet-stream",
            store=store,
            find=find,
            max_bytes=self._max_bytes,
            registry=origin.repository.format,
            about=(repository, package, None),
        )

    async def _shared(
        self, repository: int, package: str, digest: Digest, may_read: MayRead | None
    ) -> Blob | None:
        """A layer that another image of the same upstream has already.

        Whoever has an image there can let it refer to the layers of others. So where not everybody may read
        all images (else `may_read` is None) the layer is for who may read that other one, and does not become
        the image's.
        """
        holders = await self._catalog.list_blob_holders(digest, _HOLDERS)
        same = [holder for holder in holders if holder[0] == repository]
        if same and may_read is None:
            return await self._catalog.mount_blob(digest, same, repository, package, self._lease)
        for _, other in same:
            if may_read is not None and may_read(other):
                with suppress(Blocked):  # the other image
                    return await self._catalog.find_linked_blob(repository, other, digest)
        return None

    async def promote_cached_blobs(self, image: Image, target: Repository, digests: Sequence[str]) -> bool:
        """Let what is pushed under a name have the cached blobs of the same name: before it was pushed, a
        client was told that they are here, and has not sent them. Whether all of them are there now.

        Where they are not, the name is taken all the same: the client is told the truth the next time.
        """
        if not self._resolver.has_sources(image.repository):
            return False
        held = [*self._remotes.spelled(image).items()]
        for digest in digests:
            mounted = await self._catalog.mount_blob(
                Digest(digest), held, target.id, image.package, self._lease
            )
            if mounted is None:
                await self._catalog.claim_package(target.id, image.package)
                return False
        return True


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
