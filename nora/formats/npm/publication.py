"""What `npm publish` says of a version, checked, and as the rows have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from nora.errors import BadRequest, quoted
from nora.formats.npm.body import ATTACHMENTS
from nora.formats.npm.hosted import DEPRECATED, SIGSTORE
from nora.formats.npm.integrity import check_hashes, integrity
from nora.formats.npm.names import PackageName, parse_tag, parse_version

LARGEST_MANIFEST: Final = 1 << 20
LARGEST_README: Final = 256 << 10
MOST_TAGS: Final = 20
_OBJECTS: Final = (
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "scripts",
    "engines",
)
_SCRIPTS: Final = ("preinstall", "install", "postinstall")
_NOT_KEPT: Final = frozenset({"readme", ATTACHMENTS, DEPRECATED, "_npmUser", "maintainers"})


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a tarball."""

    files: int
    unpacked: int
    """Bytes of all files."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A version that is to be published."""

    name: PackageName
    version: str
    manifest: Mapping[str, Any]
    """As it was sent."""
    tags: tuple[str, ...]
    readme: bytes
    """Empty where there is none."""
    provenance: bytes
    """A bundle of signatures (sigstore); empty where there is none."""
    length: int | None
    """Bytes of the tarball, as the document says."""

    def document(self, hashes: Mapping[str, str], contents: Contents, user: str | None) -> bytes:
        """What is remembered of the version: `user` has published it. Raises BadRequest."""
        dist = self.manifest.get("dist", {})
        check_hashes(dist, hashes)
        manifest = {key: value for key, value in self.manifest.items() if key not in _NOT_KEPT}
        scripts = self.manifest.get("scripts") or {}
        if any(scripts.get(name) for name in _SCRIPTS):
            manifest["hasInstallScript"] = True
        if user is not None:
            manifest["_npmUser"] = {"name": user, "email": ""}
        manifest["_id"] = f"{self.name}@{self.version}"
        manifest["dist"] = {
            "integrity": integrity(hashes["sha512"]),
            "shasum": hashes["sha1"],
            "fileCount": contents.files,
            "unpackedSize": contents.unpacked,
        }
        return orjson.dumps(manifest)


def parse_publication(document: dict[str, Any], name: PackageName, tarball: str) -> Publication:
    """`name` is that of the path, `tarball` that of the file. Raises BadRequest and its kinds, saying what is
    wrong."""
    for field in ("_id", "name"):
        if document.get(field, name) != name:
            raise BadRequest(f"{field} is {quoted(document[field])!r}, the path has {name!r}")
    versions = document.get("versions")
    if not isinstance(versions, dict) or len(versions) != 1:
        raise BadRequest("versions has one version: the one that is published")
    [(version, manifest)] = versions.items()
    parse_version(version)
    if "+" in version:
        raise BadRequest(f"{version} has build metadata, which does not tell versions apart")
    _check_manifest(manifest, name, version)
    expected = f"{name}-{version}.tgz"
    if tarball not in (expected, name.file(version)):
        raise BadRequest(f"the tarball is named {quoted(tarball)!r}, not {expected!r}")
    attachments = document.get(ATTACHMENTS)
    found = attachments if isinstance(attachments, dict) else {}
    readme = manifest.get("readme") or document.get("readme") or ""
    return Publication(
        name,
        version,
        manifest,
        _tags(document.get("dist-tags"), version),
        readme.encode("utf-8", "replace")[:LARGEST_README] if isinstance(readme, str) else b"",
        _provenance(found, f"{name}-{version}{SIGSTORE}"),
        _length(found.get(tarball)),
    )


def _check_manifest(manifest: Any, name: PackageName, version: str) -> None:
    if not isinstance(manifest, dict):
        raise BadRequest(f"the manifest of {version} is not a JSON object")
    for field, expected in (("name", name), ("version", version)):
        if manifest.get(field) != expected:
            raise BadRequest(
                f"the manifest says that the {field} is {quoted(manifest.get(field))!r}, not {expected!r}"
            )
    for field in _OBJECTS:
        if not isinstance(manifest.get(field) or {}, dict):
            raise BadRequest(f"{field} of the manifest is not a JSON object")
    if not isinstance(manifest.get("dist", {}), dict):
        raise BadRequest("dist of the manifest is not a JSON object")
    if manifest.get("private") is True:
        raise BadRequest("the package is private: true, so that it is not published by mistake")
    if len(orjson.dumps({**manifest, "readme": ""})) > LARGEST_MANIFEST:
        raise BadRequest(f"the manifest has more than {LARGEST_MANIFEST} bytes")


def _tags(said: Any, version: str) -> tuple[str, ...]:
    if said is None:
        return ("latest",)
    if not isinstance(said, dict) or len(said) > MOST_TAGS:
        raise BadRequest(f"dist-tags is an object of at most {MOST_TAGS} tags")
    for tag, target in said.items():
        parse_tag(tag)
        if target != version:
            raise BadRequest(f"the tag {tag} is for {quoted(target)!r}, and {version} is what is published")
    return tuple(said) or ("latest",)


def _provenance(attachments: Mapping[str, Any], name: str) -> bytes:
    found = attachments.get(name)
    data = found.get("data") if isinstance(found, dict) else None
    if data is None:
        return b""
    try:
        orjson.loads(data)
    except (orjson.JSONDecodeError, TypeError):
        raise BadRequest(f"{name} is no bundle in JSON") from None
    return str(data).encode()


def _length(attachment: Any) -> int | None:
    length = attachment.get("length") if isinstance(attachment, dict) else None
    return length if type(length) is int else None
