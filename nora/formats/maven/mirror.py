"""`nora mirror maven`: the artifacts that a build has resolved, and the POMs that Maven reads to get there.

Those are more than the artifacts have: parents, imported POMs, and the POMs of what dependencies ask for in
other versions, which lose against what was resolved, but are read before they do. Of the last, one that is
not there is no fault: Maven goes on without it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from nora.errors import (
    BadRequest,
    DigestMismatch,
    InvalidName,
    InvalidPackageFile,
    NoraError,
    NotFound,
    quoted,
)
from nora.formats.maven.checksums import LARGEST as LARGEST_CHECKSUM
from nora.formats.maven.checksums import parse_checksum
from nora.formats.maven.dependency_list import Artifact, parse_artifact, read_dependency_list
from nora.formats.maven.metadata import RepositoryMetadata, parse_metadata
from nora.formats.maven.metadata_xml import MetadataUnreadable
from nora.formats.maven.model import (
    Coordinates,
    Dependency,
    Model,
    interpolate,
    own_coordinates,
    properties_of,
    read_model,
)
from nora.formats.maven.names import METADATA, SNAPSHOT, PackageName, is_snapshot, is_version
from nora.formats.mirroring import LockFileInvalid, MirrorTool, Registry, Unusable, Want

MOST_PARENTS: Final = 32
MOST_IMPORTS: Final = 16
"""POMs that import each other: so many."""
_TRANSITIVE: Final = frozenset({"", "compile", "runtime"})
_build = re.compile(r"-[0-9]{8}\.[0-9]{6}-[0-9]+$")
Managed = dict[tuple[str, str, str, str], str]
"""Versions by the keys of dependencies."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a version, compared with the checksum that lies beside it, as Maven does."""

    artifact: Artifact

    @property
    def title(self) -> str:
        """See Want."""
        return f"{self.artifact} ({self.artifact.extension})"

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        path = await _path(registry, self.artifact)
        found = await registry.file(path, {}, take=("sha1",))
        await _check_sha1(registry, path, found["sha1"])
        return ()


@dataclass(frozen=True, slots=True)
class Document:
    """`maven-metadata.xml` of an artifact, of which a range of versions is one."""

    package: PackageName

    @property
    def title(self) -> str:
        """See Want."""
        return f"{self.package} ({METADATA})"

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        await _metadata(registry, self.package.directory)
        return ()


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest release of an artifact, or all versions."""

    package: PackageName
    all_versions: bool

    @property
    def title(self) -> str:
        """See Want."""
        return str(self.package)

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        known = (await _metadata(registry, self.package.directory)).versions
        wanted = known.versions if self.all_versions else (known.release or known.latest,)
        return _whole([Artifact(self.package, one) for one in wanted if one])


class Poms:
    """The POMs of a run, each asked for once, nearly."""

    def __init__(self) -> None:
        self._models: dict[Coordinates, Model] = {}
        self._managed: dict[Coordinates, Managed] = {}
        """Of POMs that others import."""

    async def model(self, registry: Registry, at: Coordinates) -> Model:
        """What a POM says; it is compared with its checksum. Raises NoraError."""
        found = self._models.get(at)
        if found is None:
            package = PackageName.of(f"{at.group}:{at.artifact}")
            if not is_version(at.version):
                raise InvalidName(f"{quoted(at.version)!r} is no version")
            path = await _path(registry, Artifact(package, at.version, "pom"))
            body = (await registry.document(path)).body
            await _check_sha1(registry, path, hashlib.sha1(body, usedforsecurity=False).hexdigest())
            found = self._models[at] = read_model(body)
        return found

    async def chain(self, registry: Registry, at: Coordinates) -> list[Model]:
        """A POM and its parents. Raises NoraError."""
        found: list[Model] = []
        parent: Coordinates | None = at
        while parent is not None and len(found) < MOST_PARENTS:
            found.append(await self.model(registry, parent))
            parent = found[-1].parent
        return found

    async def managed(
        self, registry: Registry, chain: list[Model], importing: frozenset[Coordinates] = frozenset()
    ) -> Managed:
        """The versions that a POM manages, those of what it imports included; `importing` are those that
        import it. Raises NoraError."""
        properties = properties_of(chain)
        entries = [one.filled(properties) for model in chain for one in model.managed]
        found: Managed = {}
        for one in entries:
            found.setdefault(one.key, one.version)
        for one in entries:
            at = Coordinates(one.group, one.artifact, one.version)
            if one.scope == "import" and at not in importing and len(importing) < MOST_IMPORTS:
                if at not in self._managed:
                    imported = await self.chain(registry, at)
                    self._managed[at] = await self.managed(registry, imported, importing | {at})
                found = self._managed[at] | found
        return found


@dataclass(frozen=True, slots=True)
class Pom:
    """A POM, and those that it leads to."""

    at: Coordinates
    is_needed: bool
    """Whether Maven fails without it."""
    poms: Poms = field(compare=False, repr=False)

    @property
    def title(self) -> str:
        """See Want."""
        return f"{self.at} (pom)"

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        try:
            model = await self.poms.model(registry, self.at)
        except (NotFound, InvalidName):
            if self.is_needed:
                raise
            return ()
        return await _leads_to(registry, model, self.poms, is_needed=self.is_needed)


@dataclass(frozen=True, slots=True, eq=False)
class Project:
    """The POM of the build itself, which is in no registry: what it leads to."""

    model: Model
    poms: Poms = field(repr=False)

    @property
    def title(self) -> str:
        """See Want."""
        return f"{own_coordinates([self.model])} (what its POM leads to)"

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        return await _leads_to(registry, self.model, self.poms, is_needed=True)


async def _leads_to(registry: Registry, model: Model, poms: Poms, *, is_needed: bool) -> Sequence[Want]:
    """Parent, imports and dependencies of a POM."""
    wants: list[Want] = []
    chain = [model]
    try:
        if model.parent is not None:
            wants.append(Pom(model.parent, is_needed, poms))
            chain += await poms.chain(registry, model.parent)
        managed = await poms.managed(registry, chain)
    except NoraError:
        return [*wants, *_imports(chain, poms, is_needed=is_needed)]  # which say themselves what is wrong
    return [*wants, *_imports(chain, poms, is_needed=is_needed), *_dependencies(chain, managed, poms)]


def _imports(chain: list[Model], poms: Poms, *, is_needed: bool) -> list[Want]:
    properties = properties_of(chain)
    entries = [one.filled(properties) for model in chain for one in model.managed]
    return [
        Pom(Coordinates(one.group, one.artifact, one.version), is_needed, poms)
        for one in entries
        if one.scope == "import"
    ]


def _dependencies(chain: list[Model], managed: Managed, poms: Poms) -> list[Want]:
    properties = properties_of(chain)
    found: list[Want] = []
    for one in (entry.filled(properties) for model in chain for entry in model.dependencies):
        if one.scope in _TRANSITIVE and not one.is_optional:
            version = one.version or managed.get(one.key, "")
            found += _dependency(one, interpolate(version, properties), poms)
    return found


def _dependency(one: Dependency, version: str, poms: Poms) -> list[Want]:
    if version.startswith(("[", "(")):
        try:
            return [Document(PackageName.of(f"{one.group}:{one.artifact}"))]
        except InvalidName:
            return []
    return [Pom(Coordinates(one.group, one.artifact, version), False, poms)] if version else []


def _whole(artifacts: Sequence[Artifact]) -> list[Want]:
    """Artifacts with their POMs."""
    poms = Poms()
    wants: list[Want] = []
    for one in artifacts:
        if one.extension != "pom":
            wants.append(File(one))
        wants.append(Pom(Coordinates(one.package.group, one.package.artifact, one.version), True, poms))
    return wants


async def _path(registry: Registry, artifact: Artifact) -> str:
    """Where a file is. That of a snapshot is called after its newest build."""
    directory = f"{artifact.package.directory}/{_build.sub(f'-{SNAPSHOT}', artifact.version)}"
    version = artifact.version
    if is_snapshot(version):
        builds = (await _metadata(registry, directory)).builds.files
        newest = [one for one in builds if (one.extension, one.classifier) == _kind(artifact)]
        version = newest[0].value if newest else version
    classifier = f"-{artifact.classifier}" if artifact.classifier else ""
    return f"/maven2/{directory}/{artifact.package.artifact}-{version}{classifier}.{artifact.extension}"


def _kind(artifact: Artifact) -> tuple[str, str]:
    return artifact.extension, artifact.classifier


async def _metadata(registry: Registry, directory: str) -> RepositoryMetadata:
    document = await registry.document(f"/maven2/{directory}/{METADATA}")
    try:
        return parse_metadata(document.body)
    except MetadataUnreadable as error:
        raise Unusable(f"{document.url}: {error}") from None


async def _check_sha1(registry: Registry, path: str, found: str) -> None:
    """With the checksum beside a file, where there is one. Raises DigestMismatch."""
    try:
        document = await registry.document(f"{path}.sha1", max_bytes=LARGEST_CHECKSUM)
    except NotFound:
        return
    wanted = parse_checksum(document.body, "sha1")
    if found != wanted:
        raise DigestMismatch(f"its sha1 is {found}, and should be {wanted}")


def _read(text: str) -> Sequence[Want]:
    """A list, or the POM of the build."""
    if not text.lstrip().startswith("<"):
        return _whole(read_dependency_list(text))
    try:
        return [Project(read_model(text.encode()), Poms())]
    except InvalidPackageFile as error:
        raise LockFileInvalid(str(error)) from None


def _packages(names: Sequence[str], all_versions: bool) -> Sequence[Want]:
    return [want for name in names for want in _package(name, all_versions)]


def _package(text: str, all_versions: bool) -> Sequence[Want]:
    """`group:artifact`, or `group:artifact:version`."""
    if text.count(":") < 2:
        return [Newest(PackageName.of(text), all_versions)]
    if all_versions:
        raise BadRequest(f"{quoted(text)!r} is one version, and --all-versions says all of them")
    return _whole([parse_artifact(text)])


TOOLS: Final = (
    MirrorTool(
        name="maven",
        needs="what `mvn dependency:list` and `mvn dependency:resolve-plugins` print, and pom.xml",
        read=_read,
        packages=_packages,
    ),
)
