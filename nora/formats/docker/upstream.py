"""Upstream registries: which of them is asked for an image, what it is called there, what they say of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

import orjson

from nora._speedups import is_digest
from nora.config import Upstream as UpstreamSetting
from nora.errors import UpstreamFailed, UpstreamRefused
from nora.formats.docker.documents import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from nora.formats.docker.upstream_auth import RegistryAuthorization
from nora.model import Digest
from nora.outbound import Headers, Method, Reply, Stream
from nora.proxy.base import Upstream

ACCEPT = f"{OCI_INDEX}, {DOCKER_LIST}, {OCI_MANIFEST}, {DOCKER_MANIFEST}"
"""An upstream that does not hear of an index gives the image of some platform instead."""

_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
"""What Docker Hub is called: in names of images, and where it is asked."""
_OFFICIAL = "library/"


@dataclass(frozen=True, slots=True)
class Origin:
    """An image at an upstream."""

    upstream: Upstream
    name: str
    """As the upstream calls it."""
    authorization: RegistryAuthorization
    is_hub: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called, there and by users: at Docker Hub `library/alpine` is `alpine` as well."""
        short = self.name.removeprefix(_OFFICIAL) if self.is_hub else self.name
        return tuple({self.name, short})

    def means_absent(self, error: UpstreamFailed) -> bool:
        """Whether this is how the upstream says that there is no such image, or none for NORA."""
        return isinstance(error, UpstreamRefused) and self.authorization.is_known

    def url(self, kind: str, reference: str) -> str:
        """Of a thing of the image: `manifests`, `blobs`, `tags`, `referrers`."""
        return f"{self.upstream.url}/v2/{self.name}/{kind}/{reference}"


class DeniedAsNotFound:
    """The upstream of an image of which nothing was seen yet: what it hides is absent."""

    def __init__(self, image: Origin) -> None:
        self._image = image
        self.url = image.upstream.url

    async def ask(
        self, method: Method, url: str, headers: Headers | None = None, *, max_bytes: int
    ) -> Reply | None:
        """See nora.proxy.base.Upstream."""
        try:
            return await self._image.upstream.ask(method, url, headers, max_bytes=max_bytes)
        except UpstreamFailed as error:
            if self._image.means_absent(error):
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
                if not self._image.means_absent(error):
                    raise
            yield answer


@dataclass(frozen=True, slots=True)
class Remote:
    """An upstream as the configuration has it."""

    upstream: Upstream | None
    """None while nobody may be asked."""
    authorization: RegistryAuthorization
    prefix: str | None
    """Names of images that begin with it are asked of this upstream only, without it."""
    namespaces: frozenset[str]
    """What containerd may call it in `?ns=`, and what names may begin with as well."""
    is_hub: bool

    @classmethod
    def of(
        cls, setting: UpstreamSetting, upstream: Upstream | None, authorization: RegistryAuthorization
    ) -> Remote:
        """The upstream of a setting."""
        parts = urlsplit(setting.url)
        host = parts.hostname or ""
        is_hub = host in _HUB
        own = _HUB if is_hub else {host, parts.netloc, _component(parts.netloc)}
        prefix = setting.prefix.strip("/") if setting.prefix else None
        named = {name for name in (prefix, setting.namespace) if name}
        namespaces = own | named | {_component(name) for name in named}
        return cls(upstream, authorization, prefix or None, frozenset(namespaces), is_hub)

    def origin(self, name: str) -> list[Origin]:
        """An image here. Docker Hub's official images are called `alpine` and are in `library/`."""
        if self.upstream is None:
            return []
        if self.is_hub and "/" not in name:
            name = _OFFICIAL + name
        return [Origin(self.upstream, name, self.authorization, self.is_hub)]


class Remotes:
    """The upstreams of one proxy repository, in order."""

    def __init__(self, remotes: Iterable[Remote], *, prefixed_only: bool = False) -> None:
        """With `prefixed_only` those without a prefix are never asked."""
        self._remotes = tuple(one for one in remotes if one.prefix is not None or not prefixed_only)
        self._general = tuple(remote for remote in self._remotes if remote.prefix is None)

    def origins(self, package: str) -> tuple[Sequence[Origin], bool]:
        """Where an image may be asked for, in order; and whether its name says that it is nowhere else."""
        remotes, name, nowhere_else = self._find(package)
        return [origin for remote in remotes for origin in remote.origin(name)], nowhere_else

    def are_same(self, package: str, other: str) -> bool:
        """Whether two names are always of the same image: the same upstreams are asked for the same."""
        return self._find(package)[:2] == self._find(other)[:2]

    def names(self, namespace: str, name: str) -> tuple[str, str] | None:
        """What an image of a namespace is called in this repository, and the name that says as well where it
        is asked for; None for one that is not mirrored.

        The images of the first upstream without prefix have their own names, whoever asks for them.
        """
        for remote in self._remotes:
            if namespace in remote.namespaces:
                asked = f"{remote.prefix or _component(namespace)}/{name}"
                if self._find(asked)[0] == (remote,):
                    return name if self._general[:1] == (remote,) else asked, asked
        return None

    def _find(self, package: str) -> tuple[tuple[Remote, ...], str, bool]:
        """The upstreams of a name, what they call it, and whether it says that it is nowhere else."""
        for remote in self._remotes:
            if remote.prefix is not None and package.startswith(f"{remote.prefix}/"):
                return (remote,), package[len(remote.prefix) + 1 :], True
        first, _, rest = package.partition("/")
        if rest:
            for remote in self._remotes:
                if first in remote.namespaces:
                    return (remote,), rest, True
        return self._general, package, False


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
        manifests: they should)."""
        digest = headers.get("docker-content-digest", "")
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        size = headers.get("content-length", "")
        if not (is_digest(digest) and media_type and size.isascii() and size.isdigit() and len(size) < 10):
            return None
        return cls(Digest(digest), media_type, int(size))
