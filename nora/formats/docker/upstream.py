"""Upstream registries: which of them is asked for an image, what it is called there, what they say of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from nora._speedups import is_digest
from nora.config import Upstream as UpstreamSetting
from nora.errors import PackageNotFound, UpstreamFailed, UpstreamRefused, quoted
from nora.formats.base import Services
from nora.formats.docker.documents import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    IMAGE_TYPES,
    INDEX_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
)
from nora.formats.docker.names import Image
from nora.formats.docker.settings import DockerSettings
from nora.formats.docker.upstream_auth import RegistryAuthorization, registry_authorization
from nora.model import Digest, Repository
from nora.outbound import Headers, Method, Outbound, Reply, Stream
from nora.proxy.base import Address, CacheKey, Policy, Upstream
from nora.proxy.policy import DocumentPolicies
from nora.resolve import Candidate, Resolution, Source

if TYPE_CHECKING:
    from nora.catalog.records import Cached

ACCEPT = f"{OCI_INDEX}, {DOCKER_LIST}, {OCI_MANIFEST}, {DOCKER_MANIFEST}"
"""An upstream that does not hear of an index gives the image of some platform instead."""

_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
"""What Docker Hub is called: in names of images, and where it is asked."""
_OFFICIAL = "library/"
_SPELLINGS = 4096
"""Images of which is remembered what upstreams call them."""


@dataclass(frozen=True, slots=True)
class Remote:
    """An upstream as the configuration has it."""

    source: Source
    upstream: Upstream
    authorization: RegistryAuthorization
    prefix: str | None
    """Names of images that begin with it are asked of this upstream only, without it."""
    namespaces: frozenset[str]
    """What containerd may call it in `?ns=`, and what names may begin with as well."""
    is_hub: bool

    @classmethod
    def of(cls, source: Source, upstream: Upstream, authorization: RegistryAuthorization) -> Remote:
        """The upstream of a source."""
        setting = source.setting
        parts = urlsplit(setting.url)
        host = parts.hostname or ""
        is_hub = host in _HUB
        own = _HUB if is_hub else {host, parts.netloc, _component(parts.netloc)}
        prefix = setting.prefix.strip("/") if setting.prefix else None
        named = {name for name in (prefix, setting.namespace) if name}
        namespaces = own | named | {_component(name) for name in named}
        return cls(source, upstream, authorization, prefix or None, frozenset(namespaces), is_hub)

    def package(self, name: str) -> str:
        """What an image that the upstream calls `name` is called here: with the prefix of the upstream, and
        Docker Hub's official images by their short names."""
        if self.prefix is not None:
            return f"{self.prefix}/{name}"
        return name.removeprefix(_OFFICIAL) if self.is_hub else name

    def name(self, package: str) -> str:
        """What the upstream calls a package of its rows: the contrary of `package`."""
        if self.prefix is not None:
            package = package.removeprefix(f"{self.prefix}/")
        return _OFFICIAL + package if self.is_hub and "/" not in package else package


async def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Origin:
    """An image at an upstream, and in the rows that keep what came from there."""

    remote: Remote
    package: str
    """As it is called here."""
    may_hide: bool
    """Whether the upstream is believed when it denies what it does not have: registries answer 401 and 403
    for both, so as not to tell which images there are. Not while somebody else would be asked next, but for
    Docker Hub, which is known to do it."""
    is_online: bool
    is_seen: Callable[[], Awaitable[bool]] = _never
    """Whether anything of it is in the rows."""

    @property
    def repository(self) -> Repository:
        """Where its rows are."""
        return self.remote.source.repository

    @property
    def upstream(self) -> Upstream:
        """Who is asked."""
        return self.remote.upstream

    @property
    def unseen(self) -> Upstream:
        """Who is asked as long as nothing of the image was seen: what it denies is absent then."""
        return DeniedAsNotFound(self)

    @property
    def name(self) -> str:
        """As the upstream calls it."""
        return self.remote.name(self.package)

    async def means_absent(self, error: UpstreamFailed) -> bool:
        """Whether this is how the upstream says that there is no such image, or none for NORA. Of an image
        that it has let NORA have it is a failure."""
        is_denial = isinstance(error, UpstreamRefused) and self.remote.authorization.is_known
        return is_denial and self.may_hide and not await self.is_seen()

    def url(self, kind: str, reference: str) -> str:
        """Of a thing of the image: `manifests`, `blobs`, `tags`, `referrers`."""
        return f"{self.upstream.url}/v2/{self.name}/{kind}/{reference}"

    def path(self, kind: str, reference: str) -> str:
        """Where something of the image is among the files of its repository."""
        return f"{self.package}/{kind}/{reference}"

    def key(self, kind: str, reference: str) -> CacheKey:
        """Where a document about the image is kept."""
        return CacheKey(
            repository=self.repository,
            path=self.path(kind, reference),
            package=self.package,
            is_lenient=self.may_hide,
        )

    def addresses(
        self, kind: str, reference: str, *, unseen: bool, headers: Headers | None = None
    ) -> list[Address]:
        """Where a file of the image may be asked for; nowhere while nobody may be asked."""
        if not self.is_online:
            return []
        return [Address(self.unseen if unseen else self.upstream, self.url(kind, reference), headers or {})]


class DeniedAsNotFound:
    """The upstream of an image of which nothing was seen yet: what it denies is absent."""

    def __init__(self, image: Origin) -> None:
        self._image = image
        self.url = image.upstream.url

    async def ask(
        self, method: Method, url: str, headers: Headers | None = None, *, max_bytes: int, body: bytes = b""
    ) -> Reply | None:
        """See nora.proxy.base.Upstream."""
        try:
            return await self._image.upstream.ask(method, url, headers, max_bytes=max_bytes, body=body)
        except UpstreamFailed as error:
            if await self._image.means_absent(error):
                return None
            raise

    @asynccontextmanager
    async def stream(
        self, url: str, headers: Headers | None = None, *, max_bytes: int
    ) -> AsyncIterator[Stream | None]:
        """See nora.proxy.base.Upstream."""
        async with AsyncExitStack() as stack:
            answer: Stream | None = None
            try:
                opened = self._image.upstream.stream(url, headers, max_bytes=max_bytes)
                answer = await stack.enter_async_context(opened)
            except UpstreamFailed as error:
                if not await self._image.means_absent(error):
                    raise
            yield answer

    def naming(self, document: Cached) -> Upstream:
        """See nora.proxy.base.Upstream. No document of an image names anything that is asked for here."""
        return self


class Remotes:
    """The upstreams of all repositories of this format."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._resolver = services.resolver
        self._settings = services.settings(DockerSettings)
        self._remotes: dict[int, Remote] = {}
        self._policies = DocumentPolicies(services.config.proxy, self._settings)
        self._spell = lru_cache(_SPELLINGS)(self._make_spelling)

    def policy(self, origin: Origin) -> Policy:
        """How long what an upstream says of an image is good for."""
        return self._policies.of(origin.remote.source)

    def spelled(self, image: Image) -> Mapping[int, str]:
        """What an image is called in the rows of each source that it may come from: those that its name
        does not send elsewhere, by a prefix or the name of a registry."""
        return self._spell(image.repository, image.package, image.asked)[0]

    async def resolve(self, image: Image) -> Resolution:
        """Which upstreams may be asked for an image."""
        if not self._resolver.has_sources(image.repository):
            return await self._resolver.resolve(image.repository, image.package)
        spelled, also = self._spell(image.repository, image.package, image.asked)
        if blocks := self._services.catalog.blocks():  # by whatever name an administrator has given
            for number, there in spelled.items():
                for name in (there, *also):
                    blocks.check(number, name)
        return await self._resolver.resolve(image.repository, image.package, spelled, also)

    def origin(self, candidate: Candidate) -> Origin:
        """The image at a candidate."""
        remote = self._remote(candidate.source)
        may_hide = candidate.is_last or remote.is_hub
        is_online = self._resolver.sources.is_online(candidate.source.repository)

        async def is_seen() -> bool:
            return await self._services.catalog.has_package(*candidate.key)

        return Origin(remote, candidate.name, may_hide, is_online, is_seen)

    async def namespaced(self, image: Image, namespace: str) -> Image:
        """An image of another registry, as containerd asks a mirror for it: `?ns=docker.io`. Nobody else is
        asked for it; what was pushed here as `docker.io/app` is that image, else what was pushed as `app`.

        Raises PackageNotFound when that registry is not mirrored here.
        """
        remotes = self._all(image.repository)
        for remote in remotes:
            if namespace in remote.namespaces:
                proxy = remote.source.proxy
                general = [one for one in remotes if one.prefix is None and one.source.proxy == proxy]
                asked = f"{remote.prefix or _component(namespace)}/{image.package}"
                if [*self._spell(image.repository, image.package, asked)[0]] != [remote.source.id]:
                    continue
                package = image.package if general[:1] == [remote] else asked
                package = asked if await self._is_here(image.repository, asked) else package
                return Image(image.full_name, image.repository, package, asked)
        raise PackageNotFound(f"{quoted(namespace)} is not mirrored here")

    async def is_known(self, image: Image) -> bool:
        """Whether anything of an image is here."""
        return await self._resolver.is_known(image.repository, image.package, self.spelled(image))

    def row_keys(self, image: Image) -> list[tuple[int, str]]:
        """Where rows of an image may be: ids of repositories and what it is called there."""
        return self._resolver.row_keys(image.repository, image.package, self.spelled(image))

    async def _is_here(self, repository: Repository, package: str) -> bool:
        """Whether anything was pushed under a name."""

        async def look(member: Repository) -> bool | None:
            return await self._services.catalog.has_package(member.id, package) or None

        return bool(await self._resolver.find_hosted(repository, look))

    def _make_spelling(
        self, repository: Repository, package: str, asked: str
    ) -> tuple[dict[int, str], tuple[str, ...]]:
        """By source what an image is called there, and further names under which upstreams see it asked."""
        found = self._named(repository, asked or package)
        remotes = {one.source.id: one for one in self._all(repository)}
        if found is None:
            general = [] if asked else [one for one in remotes.values() if one.prefix is None]
            found = {one.source.id: one.package(package) for one in general}
        names = {remotes[number].name(name) for number, name in found.items()}
        return found, tuple(names | {asked or package})

    def _named(self, repository: Repository, wanted: str) -> dict[int, str] | None:
        """The one source that a name itself says; None where it says none."""
        remotes = self._all(repository)
        for remote in remotes:
            if remote.prefix is not None and wanted.startswith(f"{remote.prefix}/"):
                return {remote.source.id: wanted}
        first, _, rest = wanted.partition("/")
        for remote in remotes if rest else ():
            if first in remote.namespaces:
                return {remote.source.id: remote.package(rest)}
        return None

    def _all(self, repository: Repository) -> list[Remote]:
        """The upstreams behind a repository that are asked for anything."""
        remotes = [self._remote(one) for one in self._resolver.sources_of(repository)]
        if self._settings.default_action == "deny":
            return [one for one in remotes if one.prefix is not None]
        return remotes

    def _remote(self, source: Source) -> Remote:
        found = self._remotes.get(source.id)
        if found is None:
            config, made = self._services.config, list[RegistryAuthorization]()

            def authorize(setting: UpstreamSetting, outbound: Outbound) -> RegistryAuthorization:
                made.append(registry_authorization(config, source.repository.format, setting, outbound))
                return made[-1]

            upstream = self._services.upstreams.of(source, authorize)
            found = self._remotes[source.id] = Remote.of(source, upstream, made[0])
        return found


def _component(namespace: str) -> str:
    """A host as it may stand in the name of an image, where there is no colon for its port."""
    return namespace.replace(":", "-")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What an upstream says of a manifest without sending it."""

    digest: Digest
    media_type: str
    size: int

    def encode(self) -> bytes:
        """As it is kept."""
        return orjson.dumps([self.digest, self.media_type, self.size])

    @staticmethod
    @lru_cache(4096)
    def decode(document: bytes) -> Descriptor:
        """From what `encode` made."""
        digest, media_type, size = orjson.loads(document)
        return Descriptor(Digest(digest), media_type, size)

    @classmethod
    def of(cls, headers: Headers) -> Descriptor | None:
        """From the headers of a manifest; None where they do not say all of it (distribution-spec, Pulling
        manifests: they should), or are of something else."""
        digest = headers.get("docker-content-digest", "")
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        size = headers.get("content-length", "")
        is_manifest = media_type in IMAGE_TYPES or media_type in INDEX_TYPES
        if not (is_digest(digest) and is_manifest and size.isascii() and size.isdigit() and len(size) < 10):
            return None
        return cls(Digest(digest), media_type, int(size))
