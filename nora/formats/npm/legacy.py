"""What was published to the NORA written in Rust (nora.formats.legacy).

npm/<package>/tarballs/<file>            published, or from an upstream; `.sha256` beside it
npm/<package>/versions/<version>.json    published: the manifest of the version
npm/<package>/dist-tags/<tag>            the version
npm/<package>/pkg.json                   what is said of the package: its readme
npm/<package>/metadata.json              made of these; or a copy of an upstream's; or, by versions before
                                         0.9.4, all that there is of what was published
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from nora.errors import InvalidName, InvalidTag
from nora.formats.legacy import (
    Call,
    Group,
    Left,
    Legacy,
    LegacyInvalid,
    LegacyTree,
    Names,
    Publication,
    Refused,
    StoredFile,
)
from nora.formats.npm.names import PackageName, parse_tag, parse_version, version_order

_JSON: Final = {"content-type": "application/json"}
_END: Final = ".json"
_NAME: Final = "\0tarball\0"
"""Where the bytes of the tarball go in the document."""


def _read(tree: LegacyTree, names: Names) -> Iterator[Group]:
    for folder in tree.folders("npm"):
        inner = [f"{folder}/{one}" for one in tree.folders(f"npm/{folder}")]
        for name in inner if folder.startswith("@") else [folder]:
            try:
                yield _package(tree, names, PackageName.of(name))
            except (InvalidName, InvalidTag, LegacyInvalid) as error:
                yield [Refused(f"npm {name}", str(error))]


def _package(tree: LegacyTree, names: Names, package: PackageName) -> Group:
    key = f"npm/{package}"
    published = [name.removesuffix(_END) for name in tree.files(f"{key}/versions") if name.endswith(_END)]
    has_document = tree.has(f"{key}/metadata.json")
    if not published and not has_document:
        return []
    if (left := names.decide(package, published=True if published else None)) is not None:
        return [left]
    document = {} if published else tree.json(f"{key}/metadata.json")
    manifests = document.get("versions") or {}
    tags = document.get("dist-tags") or {}
    if not isinstance(manifests, dict) or not isinstance(tags, dict):
        raise LegacyInvalid(f"{key}/metadata.json is no document of a package")
    if published:
        tags = {
            tag: tree.read(f"{key}/dist-tags/{tag}", 1024).decode() for tag in tree.files(f"{key}/dist-tags")
        }
    about = tree.json(f"{key}/pkg.json") if tree.has(f"{key}/pkg.json") else document
    readme = about.get("readme")
    newest = tags.get("latest")
    group: list[Publication | Refused | Left] = []
    for version in sorted(published or manifests, key=lambda one: (one == newest, version_order(one))):
        try:
            said = tree.json(f"{key}/versions/{version}{_END}") if published else manifests[version]
            text = readme if version == newest and isinstance(readme, str) else ""
            group.append(_version(tree, package, version, said, text))
        except (InvalidName, LegacyInvalid) as error:
            group.append(Refused(f"npm {package} {version}", str(error)))
    return [*group, *(_tag(package, tag, version) for tag, version in sorted(tags.items()))]


def _version(tree: LegacyTree, package: PackageName, version: str, said: Any, readme: str) -> Publication:
    """Raises LegacyInvalid, InvalidName."""
    parse_version(version)
    if not isinstance(said, dict):
        raise LegacyInvalid(f"the manifest of {version} is no object in JSON")
    dist = said.get("dist")
    dist = dist if isinstance(dist, dict) else {}
    file = tree.file(f"npm/{package}/tarballs/{package.file(version)}", _hashes(dist))
    kept = {name: dist[name] for name in ("integrity", "shasum") if dist.get(name)}
    manifest = {**said, "name": said.get("name", package), "version": version, "dist": kept}
    body = _publication(package, version, manifest, readme, file)
    path = f"/npm/{quote(package.escaped, safe='@%')}"
    there = f"/r/npm-hosted/npm/{quote(package, safe='@/')}/-/{quote(package.file(version))}"
    calls = [Call("PUT", path, body, _JSON)]
    if said.get("deprecated"):
        calls.append(_deprecation(package, version, manifest))
    return Publication(f"npm {package} {version}", calls, file.size, (there, file.sha256))


def _publication(
    package: PackageName, version: str, manifest: Mapping[str, Any], readme: str, file: StoredFile
) -> list[bytes | StoredFile]:
    """What `npm publish` sends. Tags come after all versions: until then the last one is the latest."""
    attachment = {"content_type": "application/octet-stream", "data": _NAME, "length": file.size}
    document = {
        "_id": package,
        "name": package,
        "dist-tags": {},
        "versions": {version: {**manifest, "readme": readme} if readme else manifest},
        "_attachments": {f"{package}-{version}.tgz": attachment},
    }
    before, _, after = orjson.dumps(document).rpartition(orjson.dumps(_NAME)[1:-1])
    return [before, StoredFile(file.path, file.size, file.sha256, as_base64=True), after]


def _deprecation(package: PackageName, version: str, manifest: Mapping[str, Any]) -> Call:
    """What `npm deprecate` sends."""
    document = {"_id": package, "name": package, "versions": {version: manifest}}
    return Call("PUT", f"/npm/{quote(package.escaped, safe='@%')}", [orjson.dumps(document)], _JSON)


def _tag(package: PackageName, tag: str, version: Any) -> Publication | Refused:
    title = f"npm {package} dist-tag {tag}"
    try:
        parse_tag(tag)
        parse_version(str(version).strip())
    except (InvalidName, InvalidTag) as error:
        return Refused(title, str(error))
    path = f"/npm/-/package/{quote(package.escaped, safe='@%')}/dist-tags/{quote(tag)}"
    return Publication(title, [Call("PUT", path, [orjson.dumps(str(version).strip())], _JSON)], 0)


def _hashes(dist: Mapping[str, Any]) -> dict[str, str]:
    """What a manifest says of its tarball. Raises LegacyInvalid."""
    found = {}
    if isinstance(shasum := dist.get("shasum"), str) and shasum:
        found["sha1"] = shasum
    for one in str(dist.get("integrity") or "").split():
        name, _, text = one.partition("-")
        if name in ("sha512", "sha256", "sha1"):
            try:
                found[name] = b64decode(text.partition("?")[0], validate=True).hex()
            except Error as error:
                raise LegacyInvalid(f"the integrity of its manifest is no digest: {error}") from None
    return found


LEGACY = Legacy(("npm",), _read)
