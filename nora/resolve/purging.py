"""Purges: administrators remove what is cached of a name, of a version, of a file, or certain bytes.

Only what came from upstreams: what was published here is deleted, not purged. A purge of a whole name forgets
whose it is, too, so that it is open again. What must not come back is blocked as well (see `blocking`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nora.catalog.records import Part, Purged
from nora.errors import BadRequest, NotFound, quoted
from nora.resolve.repositories import find_repository

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.model import Digest, Repository
    from nora.resolve.patterns import Fold

REWRITES = 20
"""Attempts to change what is remembered of a package while others change it."""


def _nothing(package: str, version: str) -> tuple[str, ...]:
    """For formats without such documents."""
    return ()


def _one(version: str) -> tuple[str, ...]:
    """For formats in which other spellings are other versions."""
    return ()


def _unchanged(document: bytes, paths: Collection[str]) -> bytes:
    """For formats that remember nothing of files."""
    return document


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRules:
    """What a format knows of the parts of its packages."""

    fold_version: Callable[[str], str] = str
    """A version as all spellings of it that are the same are spelled. It takes any text."""
    spellings: Callable[[str], tuple[str, ...]] = _one
    """Others that installers take for a version which is spelled so."""
    documents: Callable[[str, str], tuple[str, ...]] = _nothing
    """Where documents about a version of a package may be cached, beside its files: by both names."""
    forget: Callable[[bytes, Collection[str]], bytes] = _unchanged
    """The document of a cached package without what it says of the files at these paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be purged: a name, or a version, a file or bytes, of a name or wherever they are."""

    name: str = ""
    version: str = ""
    file: str = ""
    digest: Digest | None = None
    source: str = ""
    """One upstream of the repository, by its address; empty: all of them."""


class Purging:
    """What administrators do to caches."""

    def __init__(
        self,
        catalog: Catalog,
        repositories: Mapping[str, Repository],
        folds: Mapping[str, Fold],
        rules: Mapping[str, PartRules],
        forget_absences: Callable[[str], None],
    ) -> None:
        """`folds` and `rules` say by format how names and parts are spelled; `forget_absences` is told which
        package may be asked for again."""
        self._catalog = catalog
        self._repositories = repositories
        self._folds = folds
        self._rules = rules
        self._forget_absences = forget_absences

    async def purge(self, repository: str, wanted: Wanted) -> Purged:
        """Remove it, in every worker. Raises BadRequest, NotFound when nothing of it is cached."""
        found = find_repository(self._repositories, repository)
        if wanted.version and not wanted.name:
            raise BadRequest("say of which name the version is")
        if not (wanted.name or wanted.file or wanted.digest):
            raise BadRequest("say what to purge: a name, a file or a digest")
        if len([one for one in (wanted.version, wanted.file, wanted.digest) if one]) > 1:
            raise BadRequest("say one of version, file and digest")
        if wanted.digest is not None:
            check_digest(wanted.digest)
        purged = Purged()
        for source in _sources(found, wanted.source):
            purged += await self.purge_source(source, wanted)
        if not purged:
            raise NotFound(f"nothing of that is cached in {found.name}")
        return purged

    async def purge_source(self, source: Repository, wanted: Wanted) -> Purged:
        """Remove it of the rows of one source; nothing where it is not there."""
        if not wanted.name:
            return await self._purge_anywhere(source, wanted)
        name = self._folds.get(source.format, str)(wanted.name)
        rules = self._rules.get(source.format) or PartRules()
        version = rules.fold_version(wanted.version) if wanted.version else None
        part = Part(
            version=version,
            file=wanted.file or None,
            digest=wanted.digest,
            paths=() if version is None else rules.documents(name, version),
        )
        return await self._purge_part(source, name, part)

    async def _purge_anywhere(self, source: Repository, wanted: Wanted) -> Purged:
        if wanted.digest is not None:
            purged = Purged()
            for name in await self._catalog.list_cached_holders(source.id, wanted.digest):
                purged += await self._purge_part(source, name, Part(digest=wanted.digest))
            return purged
        file = await self._catalog.find_file(source.id, wanted.file, blocked=True)
        if file is None or file.package is None:
            return await self._catalog.purge_paths(source.id, [wanted.file])
        return await self._purge_part(source, file.package, Part(file=file.path))

    async def _purge_part(self, source: Repository, name: str, part: Part) -> Purged:
        purged = await self._catalog.purge_cached(source.id, name, part)
        self._forget_absences(name)
        rules = self._rules.get(source.format) or PartRules()
        for _ in range(REWRITES if purged.paths else 0):
            package = await self._catalog.find_package(source.id, name)
            document = b"" if package is None else rules.forget(package.document, purged.paths)
            if package is None or document == package.document:
                break
            if await self._catalog.update_package(source.id, name, document, before=package.document):
                break
        return purged


def check_digest(digest: Digest) -> None:
    """That it is of some bytes: what is kept of tags has none. Raises BadRequest."""
    if digest.encoded == hashlib.new(digest.algorithm).hexdigest():
        raise BadRequest("that is the digest of no bytes: whatever made it was given nothing")


def _sources(repository: Repository, address: str) -> Iterable[Repository]:
    """The upstreams of a repository that are meant, with the rows that proxies had themselves."""
    proxies = [one for one in repository.readable if one.kind == "proxy"]
    if not proxies:
        raise BadRequest(
            f"{repository.name} caches nothing: what was published there is removed by DELETE, or by the "
            "commands of its format"
        )
    sources = [one for proxy in proxies for one in proxy.sources]
    if not address:
        return [*sources, *proxies]
    meant = [one for one in sources if address.rstrip("/") in one.name.partition(" ")[2].split(" ")]
    if not meant:
        addresses = ", ".join(one.name.partition(" ")[2] for one in sources)
        raise NotFound(f"{repository.name} has no upstream {quoted(address)}, but {addresses}")
    return meant
