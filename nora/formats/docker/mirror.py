"""Pull-through: manifests and blobs of images that upstreams have.

A **tag** is a document without a body: what the upstream says the tag means now, asked by HEAD, which costs
nothing of a quota. A **manifest** is fetched once, by its digest, and published into the proxy repository
with its references; from then on it is there for good. A **blob** is a file of the cache. In a group it is
asked for only when a manifest that is cached under the same name refers to it, so that the probes of a first
push stay inside.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

from blacksheep import Response

from nora.blobs.base import Expect
from nora.catalog.base import Blob, Cached, File, NewBlob, Publication
from nora.errors import InvalidManifest, NotFound, PackageNotFound, UpstreamFailed
from nora.formats.base import Services
from nora.formats.docker.authorization import RegistryAuthorization
from nora.formats.docker.names import Image, Tag
from nora.formats.docker.publish import parse_manifest
from nora.formats.docker.resource import Resource
from nora.formats.docker.upstream import ACCEPT, Descriptor, Discreet, Origin, Remote, Remotes
from nora.http.send import Header
from nora.model import Digest, Repository
from nora.proxy.answers import file_response, stale_headers
from nora.proxy.base import UNCHANGED, Fetch, Fetched, Place, Source, Unchanged, Wanted
from nora.proxy.policy import document_policy

_HOLDERS = 64
"""Packages that hold a blob which are looked at for one of the same repository."""
_PLANS = 4096
"""Images whose upstreams are remembered."""
_TAG = "application/vnd.nora.tag"

T = TypeVar("T")


class Route(NamedTuple):
    """A proxy repository, and where it asks for an image."""

    proxy: Repository
    package: str
    origins: Sequence[Origin]

    def path(self, kind: str, reference: str) -> str:
        """Where something of the image is among the files of the repository."""
        return f"{self.package}/{kind}/{reference}"

    def place(self, kind: str, reference: str) -> Place:
        """Where a document about the image is."""
        return Place(repository=self.proxy, path=self.path(kind, reference), package=self.package)


@dataclass(frozen=True, slots=True)
class Pulled:
    """A manifest that an upstream has, for an answer."""

    digest: Digest
    media_type: str
    blob: Blob
    """For a HEAD of what is not here only its size is right."""
    headers: tuple[Header, ...] = ()


async def first_found(
    origins: Sequence[Origin], cached: Cached | None, ask: Callable[[Origin], Awaitable[T | None]]
) -> T | None:
    """What the first upstream has that has it; None when all say that they have not.

    While something is cached, a failure of one is not made up by another: that may have something else
    under the same name. Raises UpstreamFailed.
    """
    failure: UpstreamFailed | None = None
    refusal: UpstreamFailed | None = None
    for origin in origins:
        try:
            found = await ask(origin)
        except UpstreamFailed as error:
            if origin.hides(error):
                refusal = error
            elif cached is not None:
                raise
            else:
                failure = failure or error
        else:
            if found is not None:
                return found
    if failure is not None:
        raise failure
    if refusal is not None and cached is not None:
        raise refusal  # what it let us have before is not said to be gone
    return None


class Mirror:
    """The upstreams of all repositories of this format, and what is here of them."""

    def __init__(self, services: Services, repositories: Sequence[Repository]) -> None:
        self._services = services
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._cache = services.cache
        self._settings = settings = services.config.docker
        self._max_bytes = min(settings.max_upload_size, services.config.proxy.max_file_size)
        self._lease = services.leases.seconds
        self.policy = document_policy(services.config.proxy, settings)
        self._mirrored = {
            repository.id: proxies
            for repository in repositories
            if (proxies := [one for one in repository.readable if one.kind == "proxy"])
        }
        """The proxy repositories behind each repository that has any."""
        self._remotes = {
            proxy.id: Remotes(self._remotes_of(proxy))
            for proxies in self._mirrored.values()
            for proxy in proxies
        }

        self._plan = lru_cache(_PLANS)(self._make_plan)

    def _remotes_of(self, proxy: Repository) -> list[Remote]:
        services, config = self._services, self._services.config
        settings = config.upstreams_of(proxy.name)
        made = {
            setting: RegistryAuthorization(
                setting,
                services.upstreams.outbound.get,
                timeout_seconds=config.timeouts_of(proxy.format).total,
                is_guarded=not config.proxy.allow_private,
            )
            for setting in settings
        }
        upstreams = services.upstreams.of(proxy, made.__getitem__) or (None,) * len(settings)
        return [
            Remote.of(setting, upstream, made[setting])
            for setting, upstream in zip(settings, upstreams, strict=True)
        ]

    async def routes(self, image: Image) -> list[Route]:
        """Where an image may be asked for: nowhere when its name is ours."""
        if image.repository.id not in self._mirrored:
            return []
        package = image.package
        found, others = self._plan(image.repository.id, package)
        members = await self._services.routing.members(image.repository, package, *others)
        return [found[proxy.id] for proxy in members.proxies if proxy.id in found]

    def _make_plan(self, repository_id: int, package: str) -> tuple[dict[int, Route], tuple[str, ...]]:
        """Where an image would be asked for, and by which other names."""
        found: dict[int, Route] = {}
        for proxy in self._mirrored[repository_id]:
            origins, nowhere_else = self._remotes[proxy.id].origins(package)
            if nowhere_else:
                found = {proxy.id: Route(proxy, package, origins)}
                break
            found[proxy.id] = Route(proxy, package, origins)
        names = {origin.name for route in found.values() for origin in route.origins}
        return found, tuple(names - {package})

    def namespaced(self, image: Image, namespace: str) -> Image:
        """An image of another registry, as containerd asks a mirror for it: `?ns=docker.io`.

        Raises PackageNotFound when that registry is not mirrored here.
        """
        for proxy in self._mirrored.get(image.repository.id, ()):
            package = self._remotes[proxy.id].package(namespace, image.package)
            if package is not None:
                return Image(image.full_name, image.repository, package)
        raise PackageNotFound(f"{namespace[:255]} is not mirrored here")

    # -- manifests ---------------------------------------------------------------------------------

    async def manifest(self, resource: Resource, reference: Digest | Tag) -> Pulled | None:
        """A manifest, from here or from an upstream; None when nobody has it. Raises UpstreamFailed."""
        only_head = resource.request.method == "HEAD"
        for route in await self.routes(resource.image):
            if isinstance(reference, Tag):
                found = await self._tagged(route, reference, only_head)
            else:
                found = await self._by_digest(route, reference, only_head)
            if found is not None:
                return found
        return None

    async def _tagged(self, route: Route, tag: Tag, only_head: bool) -> Pulled | None:
        document = await self._cache.document(
            route.place("tags", tag), self.policy, self._tag_fetch(route, tag)
        )
        if document is None:
            return None
        meant = Descriptor.decode(document.cached.document)
        headers = stale_headers(document)
        file = await self._held(route, meant.digest)
        if file is None and only_head:
            return Pulled(meant.digest, meant.media_type, _unseen(meant), headers)
        file = file or await self._fetch(route, meant.digest)
        return None if file is None else Pulled(meant.digest, file.media_type, file.blob, headers)

    async def _by_digest(self, route: Route, digest: Digest, only_head: bool) -> Pulled | None:
        file = await self._held(route, digest)
        if file is None and only_head and self._services.upstreams.is_online(route.proxy):
            known = await first_found(route.origins, None, lambda origin: self._describe(origin, digest))
            if known is None or known.digest == digest:
                return None if known is None else Pulled(digest, known.media_type, _unseen(known))
        file = file or await self._fetch(route, digest, unseen=True)
        return None if file is None else Pulled(digest, file.media_type, file.blob)

    async def _held(self, route: Route, digest: Digest) -> File | None:
        return await self._catalog.find_file(route.proxy.id, route.path("manifests", digest))

    def _tag_fetch(self, route: Route, tag: Tag) -> Fetch:
        async def fetch(cached: Cached | None) -> Fetched | Unchanged | None:
            return await first_found(
                route.origins, cached, lambda origin: self._ask_tag(route, origin, tag, cached)
            )

        return fetch

    async def _ask_tag(
        self, route: Route, origin: Origin, tag: Tag, cached: Cached | None
    ) -> Fetched | Unchanged | None:
        url = origin.url("manifests", tag)
        reply = await origin.upstream.ask("HEAD", url, {"accept": ACCEPT}, max_bytes=0)
        if reply is None:
            return None
        meant = Descriptor.of(reply.headers)
        if meant is None:
            return await self._ask_whole(route, origin, url, cached)
        return _meaning(meant, url, cached)

    async def _ask_whole(
        self, route: Route, origin: Origin, url: str, cached: Cached | None
    ) -> Fetched | Unchanged | None:
        """What a tag means at an upstream that does not say it at a HEAD: a GET, conditional if it can be."""
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
                raise UpstreamFailed(f"{url} is not what its digest says")
            publication = self._publication(route, digest, reply.body, new.blob)
            new.settle(await self._catalog.publish(publication, self._lease))
        meant = Descriptor(digest, publication.media_type, len(reply.body))
        validators = {"etag": reply.headers["etag"]} if "etag" in reply.headers else {}
        return _meaning(meant, url, cached, validators)

    async def _describe(self, origin: Origin, digest: Digest) -> Descriptor | None:
        url = origin.url("manifests", digest)
        reply = await origin.upstream.ask("HEAD", url, {"accept": ACCEPT}, max_bytes=0)
        if reply is None:
            return None
        return Descriptor.of({"docker-content-digest": digest, **reply.headers})

    async def _fetch(self, route: Route, digest: Digest, *, unseen: bool = False) -> File | None:
        """Fetch a manifest by its digest, once for all who want it, and publish it."""

        async def store(new: NewBlob, source: Source) -> Blob:
            body = await self._blobs.read(Blob(0, new.digest, new.size, new.generation))
            return await self._catalog.publish(self._publication(route, digest, body, new), self._lease)

        async def find() -> Blob | None:
            file = await self._held(route, digest)
            return None if file is None else file.blob

        wanted = Wanted(
            key=f"{route.proxy.id}/{route.path('manifests', digest)}",
            sources=[
                Source(
                    Discreet(origin) if unseen else origin.upstream,
                    origin.url("manifests", digest),
                    {"accept": ACCEPT},
                )
                for origin in route.origins
            ],
            expect=Expect(digest=digest),
            media_type="application/json",
            store=store,
            find=find,
            max_bytes=self._settings.max_manifest_size,
        )
        found = await self._cache.file(wanted)
        if found is None:
            return None
        if not isinstance(found, Blob):
            await found.end()
        return await self._held(route, digest)

    def _publication(self, route: Route, digest: Digest, body: bytes, blob: NewBlob) -> Publication:
        """A manifest with its references, none of which has to be here. Raises UpstreamFailed."""
        try:
            manifest = parse_manifest(body, None, digest, required="none")
        except InvalidManifest as error:
            raise UpstreamFailed(
                f"{route.package} at the upstream is no image that NORA knows: {error}"
            ) from error
        return Publication(
            repository_id=route.proxy.id,
            package=route.package,
            version=digest,
            path=route.path("manifests", digest),
            media_type=manifest.media_type,
            blob=blob,
            document=manifest.document,
            artifact_type=manifest.artifact_type,
            references=manifest.references,
        )

    # -- blobs -------------------------------------------------------------------------------------

    async def find_blob(self, image: Image, digest: Digest) -> Blob | None:
        """A blob of an image that is cached already."""
        for route in await self.routes(image):
            blob = await self._catalog.find_linked_blob(route.proxy.id, route.package, digest)
            if blob is not None:
                return blob
        return None

    async def blob(
        self, resource: Resource, digest: Digest, *, headers: Sequence[Header], etag: bytes
    ) -> Response | None:
        """A blob that is not cached, from an upstream; None when nobody has it. Raises UpstreamFailed."""
        alone = resource.image.repository.kind == "proxy"
        for route in await self.routes(resource.image):
            referred = await self._catalog.has_reference(route.proxy.id, route.package, digest)
            if not (referred or alone):
                continue
            with suppress(NotFound):
                return await file_response(
                    resource.request,
                    self._services,
                    self._wanted(route, digest, referred),
                    headers=headers,
                    etag=etag,
                    what=f"blob {digest} of {resource.image.full_name}",
                )
        return None

    async def lend(self, image: Image, target: Repository, digests: Sequence[str]) -> bool:
        """Let what is pushed under a name have the cached blobs of the same name: before it was pushed, a
        client was told that they are here, and has not sent them. Whether all of them are there now.

        Where they are not, the name is taken all the same: the client is told the truth the next time.
        """
        proxies = self._mirrored.get(image.repository.id)
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

    def _wanted(self, route: Route, digest: Digest, referred: bool) -> Wanted:
        """A blob. What manifests refer to is fetched once for all images of the repository."""
        repository, package = route.proxy.id, route.package

        async def store(new: NewBlob, source: Source) -> Blob:
            return await self._catalog.add_blob(new, repository, package, self._lease)

        async def find() -> Blob | None:
            blob = await self._catalog.find_linked_blob(repository, package, digest)
            return blob if blob is not None or not referred else await self._mount(route, digest)

        return Wanted(
            key=f"{repository}/blobs/{digest}" if referred else f"{repository}/{route.path('blobs', digest)}",
            sources=[
                Source(origin.upstream if referred else Discreet(origin), origin.url("blobs", digest))
                for origin in route.origins
            ],
            expect=Expect(digest=digest),
            media_type="application/octet-stream",
            store=store,
            find=find,
            max_bytes=self._max_bytes,
        )

    async def _mount(self, route: Route, digest: Digest) -> Blob | None:
        """Let an image have a layer that another one of the same repository has already."""
        holders = [
            holder
            for holder in await self._catalog.list_blob_holders(digest, _HOLDERS)
            if holder[0] == route.proxy.id
        ]
        if not holders:
            return None
        return await self._catalog.mount_blob(digest, holders, route.proxy.id, route.package, self._lease)


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
