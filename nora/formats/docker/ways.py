"""The ways to an image: which proxy repositories may have it, and which upstreams these ask for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

from nora.catalog.records import Cached
from nora.errors import PackageNotFound, UpstreamFailed, quoted
from nora.formats.base import Services
from nora.formats.docker.names import Image
from nora.formats.docker.settings import DockerSettings
from nora.formats.docker.upstream import Origin, Remote, Remotes
from nora.formats.docker.upstream_auth import RegistryAuthorization
from nora.model import Repository
from nora.proxy.base import CacheKey

_PLANS = 4096
"""Images whose upstreams are remembered."""

T = TypeVar("T")


class Way(NamedTuple):
    """A way to an image: the proxy repository that keeps it, and where that asks for it."""

    proxy: Repository
    package: str
    origins: Sequence[Origin]

    def path(self, kind: str, reference: str) -> str:
        """Where something of the image is among the files of the repository."""
        return f"{self.package}/{kind}/{reference}"

    def place(self, kind: str, reference: str) -> CacheKey:
        """Where a document about the image is."""
        return CacheKey(repository=self.proxy, path=self.path(kind, reference), package=self.package)


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
            if origin.means_absent(error):
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


class Ways:
    """The upstreams of all repositories of this format."""

    def __init__(self, services: Services, repositories: Sequence[Repository]) -> None:
        self._catalog = services.catalog
        self._routing = services.routing
        self._mirrored = {
            repository.id: proxies
            for repository in repositories
            if (proxies := [one for one in repository.readable if one.kind == "proxy"])
        }
        """The proxy repositories behind each repository that has any."""
        once = {proxy.id: proxy for behind in self._mirrored.values() for proxy in behind}
        denies = services.settings(DockerSettings).default_action == "deny"
        self._remotes = {
            number: Remotes(_remotes(services, proxy), prefixed_only=denies) for number, proxy in once.items()
        }
        self._plan = lru_cache(_PLANS)(self._make_plan)

    def proxies(self, repository: Repository) -> Sequence[Repository]:
        """The proxy repositories behind a repository, whoever has the name that is asked for."""
        return self._mirrored.get(repository.id, ())

    async def find(self, image: Image) -> list[Way]:
        """The ways to an image: none when its name is ours."""
        if image.repository.id not in self._mirrored:
            return []
        package = image.package
        found, others = self._plan(image.repository.id, package, image.asked)
        members = await self._routing.members(image.repository, package, *others)
        return [found[proxy.id] for proxy in members.proxies if proxy.id in found]

    def _make_plan(
        self, repository_id: int, package: str, asked: str
    ) -> tuple[dict[int, Way], tuple[str, ...]]:
        """The ways to an image whose name is not ours, and the other names that it goes by there."""
        found: dict[int, Way] = {}
        wanted = asked or package
        for proxy in self._mirrored[repository_id]:
            origins, nowhere_else = self._remotes[proxy.id].origins(wanted)
            if nowhere_else:
                found = {proxy.id: Way(proxy, self._kept(repository_id, proxy, package, wanted), origins)}
                break
            if not asked:  # else it would be another registry that answers
                found[proxy.id] = Way(proxy, package, origins)
        names = {name for way in found.values() for origin in way.origins for name in origin.names}
        return found, tuple((names | {wanted}) - {package})

    def _kept(self, repository_id: int, proxy: Repository, package: str, asked: str) -> str:
        """The name under which the image of one upstream is kept: not one that is asked of others too, which
        may have something else there."""
        is_first = proxy.id == self._mirrored[repository_id][0].id
        return package if is_first and self._remotes[proxy.id].are_same(package, asked) else asked

    async def namespaced(self, image: Image, namespace: str) -> Image:
        """An image of another registry, as containerd asks a mirror for it: `?ns=docker.io`. Nobody else is
        asked for it; what was pushed here as `docker.io/app` is that image, else what was pushed as `app`.

        Raises PackageNotFound when that registry is not mirrored here.
        """
        for proxy in self.proxies(image.repository):
            names = self._remotes[proxy.id].names(namespace, image.package)
            if names is not None and proxy.id in self._plan(image.repository.id, *names)[0]:
                package, asked = names
                package = asked if await self._is_here(image.repository, asked) else package
                return Image(image.full_name, image.repository, package, asked)
        raise PackageNotFound(f"{quoted(namespace)} is not mirrored here")

    async def _is_here(self, repository: Repository, package: str) -> bool:
        """Whether anything was pushed under a name."""
        for member in repository.readable:
            if member.kind == "hosted" and await self._catalog.find_package(member.id, package):
                return True
        return False


def _remotes(services: Services, proxy: Repository) -> list[Remote]:
    """The upstreams of a proxy repository; without anybody to ask while it is offline."""
    config = services.config
    settings = config.upstreams_of(proxy.name)
    made = {
        setting: RegistryAuthorization(
            setting,
            services.upstreams.outbound.get,
            timeout_seconds=config.timeouts_of(proxy.format).total,
            private=config.proxy.allow_private,
        )
        for setting in settings
    }
    upstreams = services.upstreams.of(proxy, made.__getitem__) or (None,) * len(settings)
    return [
        Remote.of(setting, upstream, made[setting])
        for setting, upstream in zip(settings, upstreams, strict=True)
    ]
