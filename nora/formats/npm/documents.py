"""What clients get of a package: functions of packuments in their stored form, which may run elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import orjson

from nora.catalog.blocks import Hidden
from nora.errors import PackageNotFound, VersionNotFound
from nora.formats.npm.names import is_version
from nora.formats.npm.packument import Listed, Packument, offered_tags, tags_in
from nora.formats.npm.ranges import Range
from nora.http.encodings import Encoding, compress_pieces

_OF_ALL: Final = ("created", "modified")
"""Times that are of no version."""
_SCRIPTS: Final = ("preinstall", "install", "postinstall")
_ABBREVIATED: Final = (
    "name",
    "version",
    "deprecated",
    "dependencies",
    "acceptDependencies",
    "optionalDependencies",
    "devDependencies",
    "bundleDependencies",
    "bundledDependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "bin",
    "directories",
    "engines",
    "_hasShrinkwrap",
    "hasInstallScript",
    "funding",
    "cpu",
    "os",
    "libc",
    "dist",
)
"""Of a version (the registry's package-metadata.md), and `libc`, without which npm asks for everything."""


class Form(Enum):
    """How much of a package a document has. The value is its media type."""

    FULL = "application/json"
    ABBREVIATED = "application/vnd.npm.install-v1+json"


@dataclass(frozen=True, slots=True)
class Part:
    """One source of a package."""

    stored: bytes
    """In the stored form."""
    held: frozenset[str] | None = None
    """Of a source that is not asked: the versions that are here, the only ones that it offers."""
    hidden: Hidden | None = None
    """What is blocked of it."""

    def offers(self, one: Listed) -> bool:
        """Whether a version of it is there for clients."""
        if self.held is not None and one.version not in self.held:
            return False
        digests = (f"{algorithm}:{value}" for algorithm, value in one.hashes.items())
        return self.hidden is None or not self.hidden.has(one.version, *digests)


@dataclass(slots=True)
class Package:
    """A package of its sources: of a version that more than one has, that of the first counts."""

    about: dict[str, Any]
    tags: dict[str, str]
    time: dict[str, str]
    versions: dict[str, Listed] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Sequence[Part]) -> Package:
        """Raises PackageNotFound when nothing is left of it."""
        packuments = [Packument(part.stored) for part in parts]
        about = packuments[0].about
        found = cls(about, {}, {})
        for packument, part in zip(packuments, parts, strict=True):
            new = {
                one.version: one
                for one in packument.versions()
                if one.version not in found.versions and part.offers(one)
            }
            found.versions |= new
            found.tags |= {tag: to for tag, to in packument.tags.items() if tag not in found.tags}
            times = about if packument is packuments[0] else packument.about
            found.time |= {
                key: value
                for key, value in _times(times).items()
                if key not in found.time and (part.hidden is None or key in found.versions or key in _OF_ALL)
            }
        if not found.versions:
            raise PackageNotFound("nothing of the package is here")
        live = (version for version, one in found.versions.items() if b'"deprecated":' not in one.text)
        found.tags = offered_tags(found.tags, found.versions, live)
        return found


def make_document(form: str, encoding: str, name: str, base: str, parts: Sequence[Part]) -> bytes:
    """A variant of the document of a package. Raises PackageNotFound."""
    package = Package.of(parts)
    render = _full if Form(form) is Form.FULL else _abbreviated
    return compress_pieces(render(package, name, base), Encoding(encoding))


def make_version(encoding: str, name: str, base: str, wanted: str, parts: Sequence[Part]) -> bytes:
    """A variant of the manifest of one version: see `find_version`."""
    return compress_pieces((find_version(name, wanted, parts).served(base, name),), Encoding(encoding))


def find_version(name: str, wanted: str, parts: Sequence[Part]) -> Listed:
    """A version by its name, by a tag, or the newest one in a range. Raises VersionNotFound."""
    packuments = [Packument(part.stored) for part in parts]

    def find(version: str) -> Listed | None:
        for packument, part in zip(packuments, parts, strict=True):
            found = packument.find(version)
            if found is not None and part.offers(found):
                return found
        return None

    found = find(wanted)
    if found is None and (version := tags_of(parts).get(wanted)) is not None:
        found = find(version)
    if found is None and (within := looked_through(wanted)) is not None:
        names = {version for packument in packuments for version in packument.names()}
        found = next(filter(None, map(find, within.newest_first(names))), None)
    if found is None:
        raise VersionNotFound(f"{name} has no version, no tag and no version in a range {wanted}")
    return found


def looked_through(wanted: str) -> Range | None:
    """The range for which all versions have to be looked at; None for a version and for a tag."""
    return None if is_version(wanted) else Range.of(wanted)


def tags_of(parts: Sequence[Part]) -> dict[str, str]:
    """All tags. Empty where nothing is offered."""
    if len(parts) == 1 and parts[0].held is None and parts[0].hidden is None:
        return tags_in(parts[0].stored)
    try:
        return Package.of(parts).tags
    except PackageNotFound:
        return {}


def _full(package: Package, name: str, base: str) -> Iterator[bytes]:
    latest = package.versions[package.tags["latest"]]
    about = {"_id": name, "name": name} | package.about | {"dist-tags": package.tags}
    about["time"] = package.time
    if "description" not in about and (said := latest.manifest.get("description")):
        about["description"] = said
    yield from _with_versions(about, ((one, one.served(base, name)) for one in package.versions.values()))


def _abbreviated(package: Package, name: str, base: str) -> Iterator[bytes]:
    about: dict[str, Any] = {"name": name, "dist-tags": package.tags}
    if (modified := package.time.get("modified")) is not None:
        about["modified"] = modified
    yield from _with_versions(
        about, ((one, _short(one).served(base, name)) for one in package.versions.values())
    )


def _short(one: Listed) -> Listed:
    """A version with as much of its manifest as installers need."""
    manifest = one.manifest
    said = {key: manifest[key] for key in _ABBREVIATED if key in manifest}
    scripts = manifest.get("scripts")
    if isinstance(scripts, dict) and any(scripts.get(key) for key in _SCRIPTS):
        said.setdefault("hasInstallScript", True)
    said["dist"] = said.pop("dist")  # last
    return one._replace(text=orjson.dumps(said)[:-2])


def _with_versions(about: Mapping[str, Any], versions: Iterator[tuple[Listed, bytes]]) -> Iterator[bytes]:
    yield orjson.dumps(about)[:-1] + b',"versions":{'
    comma = b""
    for one, text in versions:
        yield b"%b%b:%b" % (comma, orjson.dumps(one.version), text)
        comma = b","
    yield b"}}"


def _times(about: Mapping[str, Any]) -> dict[str, str]:
    said = about.get("time")
    return said if isinstance(said, dict) else {}
