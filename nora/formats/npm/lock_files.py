"""What package-lock.json, pnpm-lock.yaml and yarn.lock name: versions of packages, and their hashes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from nora.errors import InvalidName, quoted
from nora.formats.mirroring import LockFileInvalid, Missing, Table, parse_json, table, text_of
from nora.formats.npm.indented import Entry, parse, split_yaml, split_yarn
from nora.formats.npm.integrity import hashes_of
from nora.formats.npm.names import PackageName, parse_version

NODE_MODULES: Final = "node_modules/"
_OWN: Final = ("file:", "link:", "workspace:", "portal:", "patch:")
"""What is beside the lock file, or is made of what the lock file names as well."""
_FOREIGN: Final = ("git", "http:", "https:", "ssh:", "github:", "gitlab:", "bitbucket:")
_NEEDED_PNPM: Final = (5, 3)


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a package that is wanted."""

    package: PackageName
    version: str
    hashes: tuple[tuple[str, str], ...] = ()
    """Algorithm and hexadecimal digest."""


Locked = Version | Missing


def read_npm(text: str) -> list[Locked]:
    """A package-lock.json or npm-shrinkwrap.json. Raises LockFileInvalid."""
    found = parse_json(text)
    if found.get("lockfileVersion") not in (1, 2, 3):
        raise LockFileInvalid(
            "no lockfileVersion 1, 2 or 3: `npm install --package-lock-only` makes such a file"
        )
    packages = table(found.get("packages"))
    listed = _packages(packages) if packages is not None else _dependencies(found)
    return [one for one in listed if one is not None]


def read_pnpm(text: str) -> list[Locked]:
    """A pnpm-lock.yaml from pnpm 6 on. Raises LockFileInvalid."""
    entries = parse(text, split_yaml)
    said = next((one.value for one in entries if one.key == "lockfileVersion"), "")
    version = tuple(map(int, re.findall(r"[0-9]{1,4}", said)[:2]))
    if version < _NEEDED_PNPM:
        raise LockFileInvalid(
            "no lockfileVersion from 5.3 on: `pnpm install --lockfile-only` makes such a file"
        )
    packages = [one for entry in entries if entry.key == "packages" for one in entry.below]
    return [found for one in packages if (found := _pnpm(one, is_old=version < (6,))) is not None]


def read_yarn(text: str) -> list[Locked]:
    """A yarn.lock of yarn 1, or of yarn 2 and later. Raises LockFileInvalid."""
    if "\n__metadata:" in text or text.startswith("__metadata:"):
        entries = parse(text, split_yaml)
        return [found for one in entries if (found := _berry(one)) is not None]
    if "yarn lockfile v1" not in text[:1000]:
        raise LockFileInvalid("no yarn.lock: it has neither `# yarn lockfile v1` nor `__metadata:`")
    return [found for one in parse(text, split_yarn) if (found := _yarn(one)) is not None]


def _packages(packages: Table) -> Iterator[Locked | None]:
    """Of version 2 and 3: by the path of the folder."""
    for path, entry in packages.items():
        said = table(entry)
        if said is None:
            raise LockFileInvalid(f"packages[{quoted(path)!r}] is no object")
        _, folder, name = path.rpartition(NODE_MODULES)
        # A workspace, a link to one, or a part of the file of another package.
        if not folder or said.get("link") is True or said.get("inBundle") is True:
            continue
        yield _npm(text_of(said, "name") or name, text_of(said, "version"), said)


def _dependencies(found: Table) -> Iterator[Locked | None]:
    """Of version 1: by name, with those of its own below."""
    left = [found]
    while left:
        for name, entry in (table(left.pop().get("dependencies")) or {}).items():
            said = table(entry)
            if said is None:
                raise LockFileInvalid(f"dependencies[{quoted(name)!r}] is no object")
            left.append(said)
            if said.get("bundled") is not True:
                alias, version = _aliased(text_of(said, "version"))
                yield _npm(alias or name, version, said)


def _aliased(version: str) -> tuple[str, str]:
    """`npm:real@1.0.0`: the name that a package really has, and the version."""
    if not version.startswith("npm:"):
        return "", version
    name, _, version = version.removeprefix("npm:").rpartition("@")
    return name, version


def _npm(name: str, version: str, said: Table) -> Locked | None:
    for place in (version, text_of(said, "resolved")):
        if place.startswith(_OWN):
            return None
    if version.startswith(_FOREIGN) or text_of(said, "resolved").startswith("git"):
        return _elsewhere(name, text_of(said, "resolved") or version)
    return _version(name, version, integrity=text_of(said, "integrity"))


def _pnpm(entry: Entry, *, is_old: bool) -> Locked | None:
    resolution = entry.fields("resolution")
    tarball, key = resolution.get("tarball", ""), entry.key
    if "directory" in resolution or tarball.startswith(_OWN) or "@file:" in key or key.startswith("file:"):
        return None
    name, version = _old_pnpm_name(key) if is_old else _pnpm_name(key)
    name, version = entry.get("name") or name, entry.get("version") or version
    if "integrity" not in resolution or version.startswith(_FOREIGN):
        return _elsewhere(name, tarball or resolution.get("repo", "") or key)
    return _version(name, version, integrity=resolution["integrity"], line=entry.line)


def _pnpm_name(key: str) -> tuple[str, str]:
    """`/@scope/name@1.0.0(peer@2.0.0)`"""
    before, _, version = key.removeprefix("/").partition("(")[0].partition("@")
    if not before:  # of a scope
        before, _, version = version.partition("@")
        before = f"@{before}"
    return before, version


def _old_pnpm_name(key: str) -> tuple[str, str]:
    """`/@scope/name/1.0.0_peer@2.0.0`, behind the host of a registry perhaps"""
    path = key[1:] if key.startswith("/") else key.partition("/")[2]
    name, _, version = path.rpartition("/")
    return name, version.partition("_")[0]


def _berry(entry: Entry) -> Locked | None:
    if entry.key == "__metadata":
        return None
    resolution = entry.get("resolution")
    start = resolution.find("@", 1)
    if start < 0:
        raise LockFileInvalid(f"{quoted(entry.key)!r} has no resolution", entry.line)
    name, where = resolution[:start], resolution[start + 1 :]
    if where.startswith(_OWN):
        return None
    if not where.startswith("npm:"):
        return _elsewhere(name, where)
    # Its checksum is that of what yarn makes of the file: nobody else can compare it.
    return _version(name, where.removeprefix("npm:").partition("::")[0], line=entry.line)


def _yarn(entry: Entry) -> Locked | None:
    start = entry.key.find("@", 1)
    if start < 0:
        raise LockFileInvalid(f"{quoted(entry.key)!r} is no package with a range of versions", entry.line)
    name, wanted = entry.key[:start], entry.key[start + 1 :]
    resolved, version = entry.get("resolved"), entry.get("version")
    if wanted.startswith(_OWN):
        return None
    if wanted.startswith(_FOREIGN) or resolved.startswith("git"):
        return _elsewhere(name, resolved or wanted)
    return _version(
        _aliased(wanted)[0] or name,
        version,
        integrity=entry.get("integrity"),
        shasum=resolved.partition("#")[2],
        line=entry.line,
    )


def _version(name: str, version: str, *, integrity: str = "", shasum: str = "", line: int = 0) -> Version:
    """Raises LockFileInvalid."""
    hashes = hashes_of({"integrity": integrity, "shasum": shasum})
    if integrity and not hashes:
        raise LockFileInvalid(f"the integrity of {quoted(name)} cannot be read: {quoted(integrity)!r}", line)
    try:
        return Version(PackageName.of(name), parse_version(version), tuple(sorted(hashes.items())))
    except InvalidName as error:
        raise LockFileInvalid(str(error), line) from None


def _elsewhere(name: str, where: str) -> Missing:
    return Missing(quoted(name), f"it comes from {quoted(where)}, not from a registry")
