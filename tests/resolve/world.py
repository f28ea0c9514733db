"""What tests of the resolver share: its parts, and sources that answer what a test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from nora.catalog.records import NewBlob, NewCached
from nora.catalog.sqlite import SQLiteCatalog
from nora.config import Config
from nora.errors import NoraError
from nora.model import Digest, Repository, RepositorySpec
from nora.resolve import Candidate, Resolution, Resolver, Sources

BLOB = NewBlob(Digest(f"sha256:{'0' * 64}"), 0, "0" * 32, 1)


class World:
    def __init__(
        self,
        config: Config,
        catalog: SQLiteCatalog,
        specs: Sequence[RepositorySpec],
        folds: Mapping[str, Callable[[str], str]],
    ) -> None:
        self.config = config
        self.catalog = catalog
        self._specs = specs
        self._folds = folds
        self.repositories: dict[str, Repository] = {}
        self.asked: list[str] = []

    async def begin(self) -> World:
        self.repositories = await self.catalog.sync_repositories(self._specs)
        self.sources = Sources(self.config, self.repositories, self._folds)
        self.resolver = Resolver(
            self.catalog, self.repositories.values(), self.sources, self.config.proxy, self._folds
        )
        return self

    async def resolve(self, repository: str, name: str, *also: str) -> Resolution:
        return await self.resolver.resolve(self.repositories[repository], name, also=also)

    async def hosts(self, repository: str, name: str, *also: str) -> list[str]:
        """The first labels of the hosts that may be asked, in order."""
        return [label(one) for one in (await self.resolve(repository, name, *also)).candidates]

    async def had(self, candidate: Candidate) -> None:
        """What a format does when a source has a name: keep something of it."""
        entry = NewCached(
            path=f"{candidate.name}/",
            package=candidate.name,
            media_type="text/plain",
            blob=BLOB,
            upstream_url=candidate.source.setting.url,
            fetched_at=0.0,
            fresh_until=0.0,
        )
        await self.catalog.put_cached(candidate.source.id, entry, 60.0)

    async def first(
        self, repository: str, name: str, answers: Mapping[str, str | NoraError | None]
    ) -> str | None:
        """What comes of the answers of the sources, by the first label of their hosts."""
        resolution = await self.resolve(repository, name)
        return await self.resolver.first(resolution, self._asking(answers))

    async def every(
        self, repository: str, name: str, answers: Mapping[str, str | NoraError | None]
    ) -> list[str]:
        resolution = await self.resolve(repository, name)
        return await self.resolver.every(resolution, self._asking(answers))

    def _asking(self, answers: Mapping[str, str | NoraError | None]):  # type: ignore[no-untyped-def]
        self.asked.clear()

        async def ask(candidate: Candidate) -> str | None:
            self.asked.append(label(candidate))
            answer = answers[label(candidate)]
            if isinstance(answer, NoraError):
                raise answer
            if answer is not None:
                await self.had(candidate)
            return answer

        return ask


def label(candidate: Candidate) -> str:
    return (urlsplit(candidate.source.setting.url).hostname or "").partition(".")[0]
