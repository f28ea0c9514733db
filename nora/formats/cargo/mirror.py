"""`nora mirror cargo`: the file of a crate in the index, then the crates of the versions that are wanted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from nora.errors import BadRequest, InvalidName, quoted
from nora.formats.cargo.names import CrateName, parse_version, prefix_of, version_order
from nora.formats.mirroring import (
    Document,
    LockFileInvalid,
    MirrorTool,
    Missing,
    Registry,
    Table,
    Unusable,
    Want,
    parse_toml,
    table,
    tables,
    text_of,
)

_checksum = re.compile(r"[0-9a-f]{64}").fullmatch
_OLD_CHECKSUM: Final = "checksum {name} {version} ({source})"
"""The key of `[metadata]` in lock files until 2020."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a crate that is wanted."""

    name: str
    """As the lock file spells it."""
    version: str
    sha256: str = ""
    """Empty where the lock file does not tell."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Some versions of a crate: those that are named, or all, or the newest."""

    name: str
    versions: tuple[Version, ...] = ()
    all_versions: bool = False

    @property
    def title(self) -> str:
        """As reports name it."""
        return f"{self.name} {', '.join(one.version for one in self.versions)}".strip()


@dataclass(frozen=True, slots=True)
class Index:
    """What a client asks first: where the crates are."""

    crates: tuple[Wanted, ...]
    title: str = "the configuration of the index"

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        document = await registry.document("/cargo/index/config.json")
        template = text_of(document.json, "dl")
        if not template:
            raise Unusable("the configuration of the index does not say where crates are (dl)")
        path = registry.path_of(template, document)
        if "{" not in path:
            path += "/{crate}/{version}/download"
        return [Crate(one, path) for one in self.crates]


@dataclass(frozen=True, slots=True)
class Crate:
    """The file of a crate in the index, and the versions that are wanted of it."""

    wanted: Wanted
    template: str
    """The path of a file, with `{crate}`, `{version}` and more in it."""

    @property
    def title(self) -> str:
        """See Want."""
        return self.wanted.title

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        name = CrateName.of(self.wanted.name)
        listed = _listed(await registry.document(f"/cargo/index/{name.index_path}"))
        versions: Iterable[Version] = self.wanted.versions
        if self.wanted.all_versions:
            versions = [Version(self.wanted.name, one) for one in listed]
        elif not versions:
            versions = _newest(self.wanted.name, listed)
        return [self._file(one, listed.get(one.version)) for one in versions]

    def _file(self, wanted: Version, line: Table | None) -> Want:
        title = f"{wanted.name} {wanted.version}"
        if line is None:
            return Missing(title, "the index has no such version")
        known = text_of(line, "cksum")
        if not _checksum(known) or wanted.sha256 not in ("", known):
            return Missing(title, f"its sha256 is {quoted(known)} here, and {wanted.sha256} in the lock file")
        spelled = text_of(line, "name") or wanted.name
        path = self.template
        for field, value in (
            ("{crate}", spelled),
            ("{version}", wanted.version.replace("+", "%2B")),
            ("{prefix}", prefix_of(spelled)),
            ("{lowerprefix}", prefix_of(spelled.lower())),
            ("{sha256-checksum}", known),
        ):
            path = path.replace(field, value)
        return File(title, path, known)


@dataclass(frozen=True, slots=True)
class File:
    """The file of a version."""

    title: str
    path: str
    sha256: str

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        await registry.file(self.path, {"sha256": (self.sha256,)})
        return ()


def read_cargo(text: str) -> Sequence[Want]:
    """What a Cargo.lock names. Raises LockFileInvalid."""
    found = parse_toml(text)
    if not isinstance(found.get("package"), list):
        raise LockFileInvalid("no Cargo.lock: `cargo generate-lockfile` makes one")
    missing: list[Want] = []
    crates: dict[str, list[Version]] = {}
    for package in tables(found["package"]):
        name, version, source = (text_of(package, key) for key in ("name", "version", "source"))
        if not source:
            continue  # of the workspace
        if not source.startswith(("registry+", "sparse+")):
            reason = f"it comes from {quoted(source)}, not from a registry"
            missing.append(Missing(f"{quoted(name)} {quoted(version)}", reason))
            continue
        old = _OLD_CHECKSUM.format(name=name, version=version, source=source)
        checksum = text_of(package, "checksum") or text_of(table(found.get("metadata")) or {}, old)
        crates.setdefault(name, []).append(_version(name, version, checksum))
    wanted = tuple(Wanted(name, tuple(versions)) for name, versions in crates.items())
    return [*missing, *([Index(wanted)] if wanted else [])]


def _version(name: str, version: str, checksum: str) -> Version:
    """Raises LockFileInvalid."""
    if checksum and not _checksum(checksum):
        raise LockFileInvalid(f"{quoted(name)} {quoted(version)}: {quoted(checksum)!r} is no checksum")
    try:
        CrateName.of(name)
        return Version(name, parse_version(version), checksum)
    except InvalidName as error:
        raise LockFileInvalid(str(error)) from None


def _packages(names: Sequence[str], all_versions: bool) -> Sequence[Want]:
    return [Index(tuple(_package(name, all_versions) for name in names))]


def _package(text: str, all_versions: bool) -> Wanted:
    """`serde`, or `serde@1.0.219`."""
    name, _, version = text.partition("@")
    if version and all_versions:
        raise BadRequest(f"{quoted(text)!r} is one version, and --all-versions says all of them")
    CrateName.of(name)
    return Wanted(name, (Version(name, parse_version(version)),) if version else (), all_versions)


def _listed(document: Document) -> Mapping[str, Table]:
    """The lines of the index, by version. Raises Unusable."""
    try:
        lines = [orjson.loads(line) for line in document.body.splitlines() if line.strip()]
    except ValueError:
        raise Unusable(f"{document.url} is no file of an index") from None
    return {text_of(line, "vers"): line for line in tables(lines)}


def _newest(name: str, listed: Mapping[str, Table]) -> Sequence[Version]:
    """The newest version that cargo would take: no pre-release unless there is nothing else. Raises
    Unusable."""
    offered = [version for version, line in listed.items() if line.get("yanked") is not True]
    final = [one for one in offered if "-" not in one.partition("+")[0]]
    if not offered:
        raise Unusable("all versions are yanked")
    return [Version(name, max(final or offered, key=version_order))]


TOOLS: Final = (
    MirrorTool(
        name="cargo", needs="Cargo.lock: cargo generate-lockfile", read=read_cargo, packages=_packages
    ),
)
