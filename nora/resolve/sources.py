"""The sources behind proxy repositories: each upstream as the configuration has it, beside its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nora.config import Upstream
from nora.resolve.patterns import Fold, Matchers, matchers

if TYPE_CHECKING:
    from nora.config import Config
    from nora.model import Repository


@dataclass(frozen=True, slots=True)
class Source:
    """An upstream of a proxy repository."""

    repository: Repository
    """What keeps what came from it: nothing else is in its rows."""
    proxy: str
    """The name of the repository that it belongs to."""
    setting: Upstream
    fold: Fold
    names: Matchers
    """Names that it alone is asked for; with any, it is asked for no others."""
    merge: Matchers
    """Names of which it has a part, beside the sources before it."""

    @property
    def id(self) -> int:
        """Of its rows."""
        return self.repository.id

    def is_named(self, *names: str) -> bool:
        """Whether it is the source of a name that the configuration says."""
        return self._fits(self.names, names)

    def is_merged(self, *names: str) -> bool:
        """Whether what it has under a name is joined with what sources before it have."""
        return self._fits(self.merge, names)

    def _fits(self, patterns: Matchers, names: Iterable[str]) -> bool:
        return bool(patterns) and any(one.fullmatch(self.fold(name)) for name in names for one in patterns)


class Sources:
    """The sources of all proxy repositories."""

    def __init__(
        self, config: Config, repositories: Mapping[str, Repository], folds: Mapping[str, Fold]
    ) -> None:
        """`folds` says by format how its names are spelled, for formats that take some names as the same."""
        self._sources = {
            source.id: source
            for one in repositories.values()
            for source in _sources_of(one, config, folds.get(one.format, str))
        }
        self._online = {source.id: config.is_online(source.proxy) for source in self._sources.values()}

    def of(self, repository: Repository) -> tuple[Source, ...]:
        """Those behind a repository (proxy or group), in the order in which they are asked."""
        return tuple(self._sources[one.id] for one in repository.proxied)

    def is_online(self, repository: Repository) -> bool:
        """Whether the source that has these rows may be asked for anything."""
        return self._online.get(repository.id, False)

    @property
    def repositories(self) -> tuple[Repository, ...]:
        """The rows of all of them."""
        return tuple(one.repository for one in self._sources.values())


def _sources_of(proxy: Repository, config: Config, fold: Fold) -> Iterable[Source]:
    settings = config.upstreams_of(proxy.name) if proxy.kind == "proxy" else ()
    for repository, setting in zip(proxy.sources, settings, strict=True):
        yield Source(
            repository,
            proxy.name,
            setting,
            fold,
            matchers(setting.names, fold),
            matchers(setting.merge, fold),
        )
