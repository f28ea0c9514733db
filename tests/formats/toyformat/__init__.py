"""A complete format: toys have names and versions, a version is one file, and upstreams speak the same."""

from dataclasses import dataclass
from functools import partial

import orjson
from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.auth.endpoints import package_router
from nora.blobs.base import Expect
from nora.catalog.records import NewFile, Release
from nora.config import ProxiedSettings, kinds
from nora.config.declare import setting
from nora.errors import NotFound
from nora.formats.base import Format, Handler, Services
from nora.formats.release_commands import release_commands
from nora.formats.releases import ReleaseApi, ReleaseRules
from nora.formats.upstream_index import UpstreamIndex
from nora.http.body import stream_body
from nora.http.context import PathContext
from nora.http.fields import json_answer
from nora.http.paths import Repositories
from nora.http.router import Endpoint
from nora.http.send import blob_response
from nora.model import Repository
from nora.outbound import Reply
from nora.proxy.answers import file_response
from nora.proxy.base import Address, Fetched
from nora.proxy.listed_files import ListedFiles, UpstreamFile
from nora.proxy.upstreams import document_fetch
from nora.resolve import Ask, Candidate, Look
from nora.resolve.listing import package_names

RULES = ReleaseRules(prefix="/toys/{toy}", parse_package=str, parse_version=str, path_of="{}/{}".format)


@dataclass(frozen=True, slots=True)
class ToySettings(ProxiedSettings):
    largest: int = setting(2**30, kinds.size(1), "Largest toy.")


class Toys:
    def __init__(self, services: Services) -> None:
        self.services = services
        self.settings = services.settings(ToySettings)
        self.index = UpstreamIndex(services, self.settings)
        self.files = ListedFiles(services.catalog, services.leases.seconds, services.cache.used)
        self.authorizer = Authorizer(services.authenticator, services.access)

    async def names(self, context: PathContext) -> Response:
        found = {name async for name in package_names(self.services.catalog, context.repository)}
        may_read = partial(self.authorizer.may_read, context.principal, context.repository)
        return json_answer({"toys": sorted(filter(may_read, found))})

    async def page(self, context: PathContext) -> Response:
        async def look(hosted: Repository) -> dict[str, list] | None:
            rows = await self.services.catalog.list_package_files(hosted.id, context.name)
            return {str(one.version): [one.blob.digest.encoded, one.blob.size] for one in rows} or None

        return json_answer({"versions": await self.find(context, look, self.versions)})

    async def get(self, context: PathContext) -> Response:
        services, request, version = self.services, context.request, context.target.get("version")
        context.count_as("download")

        async def look(hosted: Repository) -> Response | None:
            file = await services.catalog.find_file(hosted.id, f"{context.name}/{version}")
            return file and await blob_response(
                request, services.blobs, services.memory, file.blob,
                media_type=b"application/octet-stream", headers=(), etag=f'"{file.blob.digest}"'.encode(),
            )  # fmt: skip

        async def ask(candidate: Candidate) -> Response | None:
            if (versions := await self.versions(candidate)) is None:
                return None
            if version not in versions:
                raise NotFound(f"there is no {version} of {candidate.name}")
            (sha256, size), rows = versions[version], candidate.source.repository
            upstream, path = self.index.upstream(candidate.source), f"{candidate.name}/{version}"
            is_online = self.index.is_online(candidate.source)
            file = UpstreamFile(
                path=path, package=candidate.name, version=version, media_type="application/octet-stream",
                hashes={"sha256": sha256}, size=size,
                addresses=[Address(upstream, f"{upstream.url}/{path}")] if is_online else [],
            )  # fmt: skip
            wanted = self.files.request(rows, file, max_bytes=self.settings.largest)
            return await file_response(request, services, wanted, headers=(), etag=None, what=path)

        return await self.find(context, look, ask)

    async def put(self, context: PathContext) -> Response:
        services, toy, target = self.services, context.name, context.writable
        version = context.target.get("version")
        context.count_as("upload")
        context.audit("write", f"{toy} {version}")
        await services.claims.require(context, toy)
        body = stream_body(context.request, limit=self.settings.largest, idle_seconds=60)
        async with services.blobs.ingest(body, Expect(max_size=self.settings.largest)) as new:
            files = (NewFile(path=f"{toy}/{version}", media_type="application/octet-stream", blob=new.blob),)
            release = Release(repository_id=target.id, package=toy, version=version, files=files)
            (live,) = await services.catalog.publish(release, services.leases.seconds)
            new.settle(live)
        services.cache.forget_absences(toy)
        return json_answer({"sha256": live.digest.encoded}, 201)

    async def find(self, context: PathContext, look: Look[object], ask: Ask[object]) -> object:
        resolver, where = self.services.resolver, (context.repository, context.name)
        found = await resolver.find_hosted(context.repository, look)
        if found is None and (found := await resolver.first(await resolver.resolve(*where), ask)) is None:
            raise NotFound(f"there is no {context.name}")
        return found

    async def versions(self, candidate: Candidate) -> dict[str, list] | None:
        async def parse(reply: Reply) -> Fetched:
            return Fetched(body=reply.body, media_type="application/json", upstream_url=reply.url)

        source, toy, upstream = candidate.source, candidate.name, self.index.upstream(candidate.source)
        fetch = document_fetch(upstream, f"{upstream.url}/{toy}", {}, parse, max_bytes=2**20)
        document = await self.index.cached(source, f"{toy}/", fetch, package=toy)
        return document and orjson.loads(await self.services.blobs.read(document.cached.blob))["versions"]


def build(services: Services, repositories: dict[str, Repository]) -> Handler:
    toys = Toys(services)
    endpoints = (
        Endpoint("GET HEAD", "/toys/", "read", toys.names),
        Endpoint("GET HEAD", "/toys/{toy}", "read", toys.page),
        Endpoint("GET HEAD", "/toys/{toy}/{version}", "read", toys.get),
        Endpoint("PUT", "/toys/{toy}/{version}", "write", toys.put),
        *ReleaseApi(services, toys.authorizer, RULES).endpoints(),
    )
    known = Repositories(repositories["toys"], repositories)
    return package_router(endpoints, known, toys.authorizer, PathContext, package="toy", parse=str)


FORMAT = Format(
    name="toys", title="Toys", mount="/toys/", settings=ToySettings, can_proxy=True, build=build,
    render_error=lambda error, request: json_answer({"error": str(error)}, error.status),
    commands=release_commands(RULES),
)  # fmt: skip
