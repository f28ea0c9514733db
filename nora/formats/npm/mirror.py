"""`nora mirror npm`, `yarn` and `pnpm`: the packument of a package, then the tarballs that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from nora.errors import BadRequest, InvalidName, quoted
from nora.formats.mirroring import (
    Document,
    MirrorTool,
    Missing,
    Registry,
    Table,
    Want,
    table,
    text_of,
)
from nora.formats.npm.integrity import hashes_of
from nora.formats.npm.lock_files import Locked, Version, read_npm, read_pnpm, read_yarn
from nora.formats.npm.names import PackageName

ACCEPT: Final = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"
LATEST: Final = "latest"


@dataclass(frozen=True, slots=True)
class Package:
    """The packument of a package, and the versions that are wanted of it."""

    name: PackageName
    versions: tuple[Version, ...] = ()
    tag: str = ""
    """A tag, or a version that was typed, which is wanted instead."""
    all_versions: bool = False

    @property
    def title(self) -> str:
        """See Want."""
        return f"{self.name} {self.tag or ', '.join(one.version for one in self.versions)}".strip()

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        document = await registry.document(f"/npm/{self.name.escaped}", ACCEPT)
        listed = table(document.json.get("versions")) or {}
        tags = table(document.json.get("dist-tags")) or {}
        wanted = self.versions
        if self.all_versions:
            wanted = tuple(Version(self.name, one) for one in listed)
        elif self.tag:
            wanted = (Version(self.name, text_of(tags, self.tag) or self.tag),)
        return [_tarball(registry, document, one, table(listed.get(one.version))) for one in wanted]


@dataclass(frozen=True, slots=True)
class Tarball:
    """The file of a version."""

    title: str
    path: str
    hashes: tuple[tuple[str, str], ...]

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        await registry.file(self.path, {name: (digest,) for name, digest in self.hashes})
        return ()


def _tarball(registry: Registry, document: Document, wanted: Version, manifest: Table | None) -> Want:
    title = f"{wanted.package} {wanted.version}"
    dist = table((manifest or {}).get("dist")) or {}
    if manifest is None or not text_of(dist, "tarball"):
        return Missing(title, "the registry has no such version")
    known = hashes_of(dist)
    for algorithm, digest in wanted.hashes:
        if known.get(algorithm, digest) != digest:
            return Missing(
                title, f"its {algorithm} is {known[algorithm]} here, and {digest} in the lock file"
            )
    path = registry.path_of(text_of(dist, "tarball"), document)
    return Tarball(title, path, wanted.hashes or tuple(sorted(known.items())))


def _read(parse: Callable[[str], list[Locked]]) -> Callable[[str], Sequence[Want]]:
    def read(text: str) -> Sequence[Want]:
        missing: list[Want] = []
        packages: dict[PackageName, dict[Version, None]] = {}
        for one in parse(text):
            if isinstance(one, Missing):
                missing.append(one)
            else:
                packages.setdefault(one.package, {})[one] = None
        return [*missing, *(Package(name, tuple(versions)) for name, versions in packages.items())]

    return read


def _packages(names: Sequence[str], all_versions: bool) -> Sequence[Want]:
    return [_package(name, all_versions) for name in names]


def _package(text: str, all_versions: bool) -> Want:
    """`name`, `name@1.0.0` or `name@tag`."""
    at = text.find("@", 1)
    name, tag = (text, "") if at < 0 else (text[:at], text[at + 1 :])
    if tag and all_versions:
        raise BadRequest(f"{quoted(text)!r} is one version, and --all-versions says all of them")
    try:
        return Package(PackageName.of(name), tag=tag or LATEST, all_versions=all_versions)
    except InvalidName as error:
        raise BadRequest(f"{error}; with a version it is name@1.0.0") from None


def _tool(name: str, needs: str, parse: Callable[[str], list[Locked]]) -> MirrorTool:
    return MirrorTool(name=name, needs=needs, read=_read(parse), packages=_packages)


TOOLS: Final = (
    _tool("npm", "package-lock.json, version 1 to 3: npm install --package-lock-only", read_npm),
    _tool("yarn", "yarn.lock, of yarn 1 or later: yarn install", read_yarn),
    _tool("pnpm", "pnpm-lock.yaml, of pnpm 6 or later: pnpm install --lockfile-only", read_pnpm),
)
