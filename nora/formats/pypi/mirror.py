"""`nora mirror pip`, `uv` and `poetry`: the page of a project, then the files that are wanted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from nora.errors import BadRequest, InvalidName, quoted
from nora.formats.mirroring import (
    Document,
    Hashes,
    MirrorTool,
    Missing,
    Registry,
    Table,
    Want,
    table,
    tables,
    text_of,
)
from nora.formats.pypi.hosted import METADATA
from nora.formats.pypi.lock_files import (
    Locked,
    Release,
    by_project,
    parse_hash,
    read_poetry,
    read_requirements,
    read_uv,
)
from nora.formats.pypi.names import ProjectName, normalize_version, version_of, version_order

ACCEPT: Final = "application/vnd.pypi.simple.v1+json"
_named = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:==(?P<version>[A-Za-z0-9.!+_-]+))?").fullmatch


@dataclass(frozen=True, slots=True)
class Project:
    """The page of a project, and the releases that are wanted of it: the newest, where none is named."""

    name: ProjectName
    releases: tuple[Release, ...] = ()
    all_versions: bool = False

    @property
    def title(self) -> str:
        """See Want."""
        return f"{self.name} {', '.join(one.version for one in self.releases)}".strip()

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        document = await registry.document(f"/simple/{self.name}/", ACCEPT)
        listed = [one for one in tables(document.json.get("files")) if text_of(one, "url")]
        page = _Page(self.name, registry, document, {text_of(one, "filename"): one for one in listed})
        if self.all_versions:
            return [page.want(name) for name in page.files]
        releases = self.releases or page.newest()
        return [want for one in releases for want in page.wants(one)]


@dataclass(frozen=True, slots=True)
class File:
    """A file of a release, or the metadata beside it."""

    title: str
    path: str
    hashes: tuple[tuple[str, frozenset[str]], ...]
    beside: tuple[File, ...] = ()

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        await registry.file(self.path, dict(self.hashes))
        return self.beside


@dataclass(frozen=True, slots=True)
class _Page:
    """What a registry has of a project."""

    project: ProjectName
    registry: Registry
    document: Document
    files: dict[str, Table]

    def newest(self) -> tuple[Release, ...]:
        """The newest release that an installer would take: no pre-release unless there is nothing else."""
        offered = {
            version
            for name, one in self.files.items()
            if (version := version_of(name)) is not None and one.get("yanked", False) is False
        }
        final = {one for one in offered if re.fullmatch(r"[0-9.!]+(?:\.post[0-9]+)?", one)}
        found = max(final or offered, key=version_order, default=None)
        return () if found is None else (Release(self.project, found),)

    def wants(self, release: Release) -> Iterator[Want]:
        """The files of a release; what of it the page does not have is missing."""
        if release.files:
            for name, digest in release.files:
                yield self._named(name, digest)
            return
        names = [name for name in self.files if version_of(name) == release.version]
        if not names:
            yield Missing(f"{self.project} {release.version}", "the registry lists no file of this version")
        elif release.hashes:
            yield from self._hashed(release, names)
        else:
            yield from map(self.want, names)

    def want(self, name: str, hashes: Hashes | None = None) -> Want:
        """A file, compared with what is known of it: by the lock file, else by the page."""
        said = self.files[name]
        known = hashes or {key: {value} for key, value in self._hashes(said).items()}
        path = self.registry.path_of(text_of(said, "url"), self.document)
        frozen = tuple((key, frozenset(values)) for key, values in sorted(known.items()))
        file = File(name, path, frozen)
        metadata = table(said.get("core-metadata"))
        if metadata is None:
            return file
        beside = tuple((key, frozenset([value])) for key, value in sorted(_told(metadata).items()))
        return replace(file, beside=(File(name + METADATA, path + METADATA, beside),))

    def _named(self, name: str, digest: str) -> Want:
        if name not in self.files:
            return Missing(name, f"the page of {self.project} lists no such file")
        if not digest:
            return self.want(name)
        algorithm, wanted = parse_hash(digest)
        found = self._hashes(self.files[name]).get(algorithm, wanted)
        if found != wanted:
            return Missing(name, f"its {algorithm} is {quoted(found)} here, and {wanted} in the lock file")
        return self.want(name, {algorithm: {wanted}})

    def _hashed(self, release: Release, names: Sequence[str]) -> Iterator[Want]:
        """The files that have one of the hashes. Where the page tells none, the bytes will."""
        wanted: dict[str, set[str]] = {}
        for one in release.hashes:
            algorithm, digest = parse_hash(one)
            wanted.setdefault(algorithm, set()).add(digest)
        left, undecided = {*release.hashes}, []
        for name in names:
            known = {key: value for key, value in self._hashes(self.files[name]).items() if key in wanted}
            if not known:
                undecided.append(name)
            for algorithm, digest in known.items():
                if digest in wanted[algorithm]:
                    left.discard(f"{algorithm}:{digest}")
                    yield self.want(name, {algorithm: {digest}})
        for name in undecided:
            yield self.want(name, wanted)
        for one in () if undecided else sorted(left):
            yield Missing(f"{self.project} {release.version}", f"no file of it here has the hash {one}")

    @staticmethod
    def _hashes(said: Table) -> dict[str, str]:
        return _told(table(said.get("hashes")) or {})


def _told(hashes: Table) -> dict[str, str]:
    """The hashes that can be compared."""
    wanted = ("sha256", "sha384", "sha512")
    return {name: value for name in wanted if (value := text_of(hashes, name).lower())}


def _read(parse: Callable[[str], list[Locked]]) -> Callable[[str], Sequence[Want]]:
    def read(text: str) -> Sequence[Want]:
        found = parse(text)
        missing = [one for one in found if isinstance(one, Missing)]
        return [*missing, *(Project(name, tuple(some)) for name, some in by_project(found).items())]

    return read


def _packages(names: Sequence[str], all_versions: bool) -> Sequence[Want]:
    return [_package(name, all_versions) for name in names]


def _package(text: str, all_versions: bool) -> Want:
    found = _named(text)
    if found is None or (found["version"] and all_versions):
        raise BadRequest(f"{quoted(text)!r}: a package is named as flask, or as flask==3.1.0 for one version")
    try:
        name = ProjectName.of(found["name"])
        version = found["version"] and normalize_version(found["version"])
    except InvalidName as error:
        raise BadRequest(f"{quoted(text)!r}: {error}") from None
    return Project(name, (Release(name, version),) if version else (), all_versions)


def _tool(name: str, needs: str, parse: Callable[[str], list[Locked]]) -> MirrorTool:
    return MirrorTool(name=name, needs=needs, read=_read(parse), packages=_packages)


TOOLS: Final = (
    _tool("pip", "requirements.txt of exact versions, with or without --hash: pip freeze", read_requirements),
    _tool("uv", "uv.lock: uv lock", read_uv),
    _tool("poetry", "poetry.lock: poetry lock", read_poetry),
)
