"""Manifests: pull, push and delete by tag and by digest (distribution-spec end-3, end-7, end-9)."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress

from blacksheep import Request, Response

from nora.blobs.base import Expect
from nora.catalog.records import Blob, File, NewBlob, NewFile, Release, TagWrite
from nora.errors import BlobNotFound, Conflict, MissingReferences, PackageNotFound, VersionNotFound, quoted
from nora.formats.base import Services
from nora.formats.docker.documents import parse_if_match
from nora.formats.docker.names import Image, Tag, parse_reference
from nora.formats.docker.publish import ParsedManifest, parse_manifest
from nora.formats.docker.pull_through import Pulled, PullThrough
from nora.formats.docker.resource import API_VERSION, Resource, link_base
from nora.formats.docker.settings import DockerSettings
from nora.formats.docker.upstream import Remotes
from nora.http.body import read_body
from nora.http.pulls import answer_with
from nora.http.send import blob_response
from nora.model import Action, Digest, Repository
from nora.resolve import Candidate


class Manifests:
    """The endpoints of one manifest."""

    def __init__(self, services: Services, remotes: Remotes, pull: PullThrough) -> None:
        self._remotes = remotes
        self._pull = pull
        self._resolver = services.resolver
        self._claims = services.claims
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._memory = services.memory
        self._settings = services.settings(DockerSettings)
        self._lease = services.leases.seconds
        self._base = link_base(services.config)
        self._idle_seconds = services.config.server.idle_timeout

    @staticmethod
    def deleting(reference: str) -> Action:
        """What a DELETE is. Who may only clean their own tags takes no content away, nor `latest`, which is
        what everybody gets who names none."""
        return "delete" if ":" in reference or reference == "latest" else "untag"

    async def get(self, resource: Resource) -> Response:
        """GET and HEAD of a manifest, by a tag or its digest."""
        """GET and HEAD: the bytes exactly as they were pushed, here or at an upstream."""
        image = resource.image
        reference = parse_reference(resource.reference)

        def look(hosted: Repository) -> Awaitable[File | None]:
            return self._find(hosted.id, image, reference)

        stamp = None
        if resource.may_be_kept:
            stamp = self._resolver.hosted_stamp(image.repository, image.package)
        file = await self._resolver.find_hosted(image.repository, look)
        if file is None:
            found = await self._pull_through(resource, reference)
        else:
            pushed = reference if isinstance(reference, Digest) else file.version or file.blob.digest
            found = Pulled(pushed, file.media_type, file.blob, place=(file.repository_id, file.path))
            resource.keep_while(stamp)
        resource.count_as("download")
        if found.place is not None:
            answer_with(resource.request, *found.place)
        digest = found.digest.encode()
        return await blob_response(
            resource.request,
            self._blobs,
            self._memory,
            found.blob,
            media_type=found.media_type.encode(),
            headers=(API_VERSION, (b"docker-content-digest", digest), *found.headers),
            etag=b'"%b"' % digest,
        )

    async def _pull_through(self, resource: Resource, reference: Digest | Tag) -> Pulled:
        only_head = resource.request.method == "HEAD"

        async def ask(candidate: Candidate) -> Pulled | None:
            return await self._pull.manifest(candidate, reference, only_head=only_head)

        found = await self._resolver.first(await self._remotes.resolve(resource.image), ask)
        if found is None:
            raise await self._absent(resource.image, resource.reference)
        return found

    async def put(self, resource: Resource) -> Response:
        """Store a manifest under its digest, and under the tag of the URL or those of `?tag=`."""
        image = resource.image
        target = image.target
        reference = parse_reference(resource.reference)
        named = reference if isinstance(reference, Digest) else None
        wanted = [resource.reference] if named is None else []
        tags = [Tag(text) for text in dict.fromkeys([*wanted, *resource.query.get("tag", ())])]
        await self._claims.require(resource, image.package, self._remotes.spelled(image))
        body = await read_body(resource.request, self._settings.max_manifest_size, self._idle_seconds)
        manifest = parse_manifest(
            body,
            resource.header(b"content-type"),
            named,
            required=self._settings.required_content,
            max_references=self._settings.max_references,
        )
        resource.audit_image("write", manifest.digest, tags)
        writes = self._tag_writes(resource.request, tags)
        try:
            await self._store(image, target, body, manifest, writes)
        except MissingReferences as missing:
            if not await self._pull.promote_cached_blobs(image, target, missing.digests):
                raise
            await self._store(image, target, body, manifest, writes)
        resource.count_as("upload")
        return Response(201, self._created(image, manifest, tags[len(wanted) :]))

    async def delete(self, resource: Resource) -> Response:
        """Remove a tag, or by its digest a manifest and every tag that points to it."""
        reference = parse_reference(resource.reference)
        if isinstance(reference, Tag):
            done = await self._delete_tag(resource, reference)
        else:
            done = await self._delete_version(resource, reference)
        if not done:
            raise await self._absent(resource.image, resource.reference)
        return Response(202, [API_VERSION])

    async def _delete_tag(self, resource: Resource, tag: Tag) -> bool:
        image, action = resource.image, self.deleting(tag)
        resource.audit_image(action, tags=[tag])
        if self._settings.is_immutable(tag):
            raise Conflict(f"the tag {tag} may not be removed: docker.immutable_tags has it")
        version = await self._catalog.delete_tag(image.target.id, image.package, tag)
        resource.audit_image(action, version or "", [tag])
        return version is not None

    async def _delete_version(self, resource: Resource, digest: Digest) -> bool:
        image = resource.image
        repository = image.target.id
        resource.audit_image("delete", digest)
        file = await self._find_digest(repository, image, digest, blocked=True)
        return file is not None and await self._catalog.delete_version(
            repository,
            image.package,
            file.version or digest,
            same_bytes=True,
            kept=self._settings.kept_tags,
        )

    def _find(self, repository: int, image: Image, reference: Digest | Tag) -> Awaitable[File | None]:
        if isinstance(reference, Tag):
            return self._catalog.find_tagged_file(repository, image.package, reference)
        return self._find_digest(repository, image, reference)

    async def _find_digest(
        self, repository: int, image: Image, digest: Digest, *, blocked: bool = False
    ) -> File | None:
        file = await self._catalog.find_file(repository, image.file_path(digest), blocked=blocked)
        if file is None and await self._catalog.find_package(repository, image.package) is not None:
            # Pushed under a digest of another algorithm, perhaps
            file = await self._catalog.find_version_file(repository, image.package, digest, blocked=blocked)
        return file

    async def _absent(self, image: Image, reference: str) -> PackageNotFound | VersionNotFound:
        hint = self._resolver.offline_hint(image.repository)
        if await self._remotes.is_known(image):
            return VersionNotFound(f"{image.full_name} has no manifest {reference[:140]}{hint}")
        return PackageNotFound(f"there is no image {image.full_name}{hint}")

    def _tag_writes(self, request: Request, tags: list[Tag]) -> tuple[TagWrite, ...]:
        """The tags to set, with the conditions of the request (RFC 9110, 13.1) and of the settings."""
        expected: str | tuple[str, ...] | None = None
        if if_match := request.get_headers(b"if-match"):
            expected = parse_if_match(b", ".join(if_match).decode("latin-1"))
        elif request.get_first_header(b"if-none-match") == b"*":
            expected = ""
        immutable = self._settings.is_immutable
        return tuple(TagWrite(tag, replace=not immutable(tag), expected=expected) for tag in tags)

    async def _store(
        self,
        image: Image,
        target: Repository,
        body: bytes,
        manifest: ParsedManifest,
        tags: tuple[TagWrite, ...],
    ) -> None:
        def release(blob: NewBlob | Blob) -> Release:
            return Release(
                repository_id=target.id,
                package=image.package,
                version=manifest.digest,
                files=(
                    NewFile(path=image.file_path(manifest.digest), media_type=manifest.media_type, blob=blob),
                ),
                document=manifest.document,
                kind=manifest.artifact_type,
                subject=manifest.subject,
                references=manifest.references,
                tags=tags,
                replace=True,
            )

        held = await self._catalog.find_linked_blob(target.id, image.package, manifest.digest)
        # Another tag for what is there: no bytes to write, even on a full disk
        if held is not None and await self._blobs.is_whole(held):
            with suppress(BlobNotFound):
                await self._catalog.publish(release(held), self._lease)
                return
        async with self._blobs.ingest(body, Expect(digest=manifest.digest)) as new:
            [live] = await self._catalog.publish(release(new.blob), self._lease)
            new.settle(live)

    def _created(self, image: Image, manifest: ParsedManifest, tags: list[Tag]) -> list[tuple[bytes, bytes]]:
        location = f"{self._base}/v2/{quoted(image.full_name)}/manifests/{manifest.digest}"
        headers = [
            API_VERSION,
            (b"location", location.encode()),
            (b"docker-content-digest", manifest.digest.encode()),
        ]
        if manifest.subject:
            headers.append((b"oci-subject", manifest.subject.encode()))
        if tags:
            headers.append((b"oci-tag", ", ".join(tags).encode()))
        return headers
