"""A hosted package: what is written in its rows.

package document   {"maintainers": [{"name": …}, …], "users": {name: true}}, as far as anybody said it
version            state `deprecated`; document {the manifest, `dist` without an address, "deprecated": why}
tags               the distribution tags
file               <name>/-/<base>-<version>.tgz
                   ….tgz.readme     the readme of the version, if it has one
                   ….tgz.sigstore   the provenance that came with it (npm publish --provenance)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from nora.catalog.blocks import Hidden
from nora.catalog.records import Package, Version
from nora.formats.npm.integrity import hashes_of
from nora.formats.npm.names import PackageName, newest, version_order
from nora.formats.npm.packument import Listed, encode, listed
from nora.formats.npm.upstream import tarball_path

README: Final = ".readme"
SIGSTORE: Final = ".sigstore"
DEPRECATED: Final = "deprecated"


def path_of(name: str, version: str) -> str:
    """Where the tarball of a version is among the files of its repository."""
    return tarball_path(name, PackageName(name).file(version))


def revision_of(package: Package) -> str:
    """What CouchDB calls the revision of a document: changed by everything that changes."""
    return f"{package.revision}-{package.id:08x}"


def maintainers_of(package: Package, versions: Sequence[Version]) -> list[Any]:
    """Who may publish, when somebody was made a maintainer; else who has."""
    said: list[Any] = orjson.loads(package.document).get("maintainers", [])
    if said:
        return said
    users = (orjson.loads(one.document).get("_npmUser") for one in versions)
    return list({user["name"]: user for user in users if user}.values())


def owners_of(package: Package) -> list[str]:
    """Who was made a maintainer; nobody: whoever may write may publish."""
    return [one["name"] for one in orjson.loads(package.document).get("maintainers", [])]


def offered(versions: Sequence[Version], hidden: Hidden | None) -> list[Version]:
    """Those that are not blocked."""
    if hidden is None:
        return list(versions)
    return [one for one in versions if not hidden.has(one.name, *_digests(one))]


def latest_of(versions: Sequence[Version], hidden: Hidden | None) -> str | None:
    """What `latest` is where no tag says it: the newest version that is neither blocked nor deprecated, where
    there is one."""
    there = offered(versions, hidden)
    names = [one.name for one in there if one.state != DEPRECATED] or [one.name for one in there]
    return newest(names) if names else None


def hosted_stored(
    package: Package, versions: Sequence[Version], tags: Mapping[str, str], readme: str
) -> bytes:
    """The stored form of the packument of a hosted package."""
    ordered = sorted(versions, key=lambda one: (version_order(one.name), one.name))
    return encode(
        (_listed(package.name, one) for one in ordered),
        lambda: (_about(package, ordered, readme), tags),
    )


def iso_time(seconds: float) -> str:
    """A time as JavaScript writes it."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _digests(version: Version) -> list[str]:
    dist = orjson.loads(version.document)["dist"]
    return [f"{algorithm}:{value}" for algorithm, value in hashes_of(dist).items()]


def _listed(name: str, version: Version) -> Listed:
    manifest = orjson.loads(version.document)
    why = manifest.pop(DEPRECATED, None)
    if version.state == DEPRECATED:
        manifest[DEPRECATED] = why or "this version is deprecated"
    return listed(version.name, PackageName(name).file(version.name), manifest, hashes_of(manifest["dist"]))


def _about(package: Package, versions: Sequence[Version], readme: str) -> dict[str, Any]:
    times = {one.name: iso_time(one.published_at) for one in versions}
    document = orjson.loads(package.document)
    about: dict[str, Any] = {"_id": package.name, "_rev": revision_of(package), "name": package.name}
    if times:
        about["time"] = {"created": min(times.values()), "modified": max(times.values()), **times}
    about["maintainers"] = maintainers_of(package, versions)
    if users := document.get("users"):
        about["users"] = users
    if readme:
        about["readme"] = readme
    return about
