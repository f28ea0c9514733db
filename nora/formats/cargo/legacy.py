"""What was published to the NORA written in Rust (nora.formats.legacy).

    cargo/<crate>/<version>/<crate>-<version>.crate     published, or from an upstream
    cargo/index-entries/<prefix>/<crate>/<version>.json published: the line of the index
    cargo/index/<prefix>/<crate>                        lines of the index, of any crate

Its lines have names in lower case, and what a dependency is called in the code where the index has the name
of its crate; both are in the crate file as they should be.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from nora.errors import InvalidName, InvalidPackageFile
from nora.formats.cargo.names import CrateName, canonical, parse_version, prefix_of, version_order
from nora.formats.legacy import (
    Body,
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
    as_object,
    as_objects,
)

LARGEST_UNPACKED: Final = 4 << 30
_ABOUT: Final = ("description", "homepage", "documentation", "repository", "license")
_LISTS: Final = ("authors", "keywords", "categories")
Line = Mapping[str, Any]


def _read(tree: LegacyTree, names: Names) -> Iterator[Group]:
    for name in tree.folders("cargo"):
        versions = [
            one for one in tree.folders(f"cargo/{name}") if tree.has(f"cargo/{name}/{one}/{name}-{one}.crate")
        ]
        if versions:
            try:
                yield _crate(tree, names, name, versions)
            except (InvalidName, LegacyInvalid) as error:
                yield [Refused(f"cargo {name}", str(error))]


def _crate(tree: LegacyTree, names: Names, name: str, versions: list[str]) -> Group:
    crate = CrateName.of(name)
    entries = f"cargo/index-entries/{prefix_of(crate.indexed)}/{name}"
    published = {one.removesuffix(".json") for one in tree.files(entries)}
    if (left := names.decide(crate.spelled, published=bool(published))) is not None:
        return [left]
    listed = _listed(tree, crate)
    group: list[Publication | Refused | Left] = []
    for version in sorted(versions, key=version_order):
        title = f"cargo {name} {version}"
        try:
            line = tree.json(f"{entries}/{version}.json") if version in published else listed.get(version)
            if line is None:
                group.append(Refused(title, "there is no line of the index about it"))
            else:
                group.append(_version(tree, name, parse_version(version), line))
        except (InvalidName, InvalidPackageFile, LegacyInvalid) as error:
            group.append(Refused(title, str(error)))
    return group


def _listed(tree: LegacyTree, crate: CrateName) -> dict[str, Line]:
    """The lines of the index by version. Raises LegacyInvalid."""
    key = f"cargo/index/{crate.index_path}"
    if not tree.has(key):
        return {}
    try:
        lines = [orjson.loads(line) for line in tree.read(key).splitlines() if line.strip()]
        return {line["vers"]: line for line in lines}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise LegacyInvalid(f"{key} is no file of the index") from None


def _version(tree: LegacyTree, name: str, version: str, line: Line) -> Publication:
    """Raises LegacyInvalid, InvalidPackageFile."""
    checksum = line.get("cksum")
    expected = {"sha256": checksum} if isinstance(checksum, str) else {}
    file = tree.file(f"cargo/{name}/{version}/{name}-{version}.crate", expected)
    manifest = _manifest(file)
    package = manifest.get("package")
    package = package if isinstance(package, dict) else {}
    spelled = package.get("name")
    if not isinstance(spelled, str) or canonical(spelled) != canonical(name):
        raise LegacyInvalid(f"Cargo.toml of the crate does not say that its name is {name}")
    metadata = orjson.dumps(
        {
            "name": spelled,
            "vers": version,
            "deps": [_dependency(one, _names_in_code(manifest)) for one in as_objects(line.get("deps"))],
            "features": {**as_object(line.get("features")), **as_object(line.get("features2"))},
            "links": line.get("links"),
            "rust_version": line.get("rust_version") or package.get("rust-version"),
            **{one: package[one] for one in _ABOUT if isinstance(package.get(one), str)},
            **{one: package[one] for one in _LISTS if isinstance(package.get(one), list)},
        }
    )
    body: Body = [len(metadata).to_bytes(4, "little") + metadata + file.size.to_bytes(4, "little"), file]
    calls = [Call("PUT", "/cargo/api/v1/crates/new", body)]
    if line.get("yanked") is True:
        calls.append(Call("DELETE", f"/cargo/api/v1/crates/{spelled}/{quote(version)}/yank"))
    there = f"/r/cargo-hosted/cargo/api/v1/crates/{spelled}/{quote(version)}/download"
    return Publication(f"cargo {name} {version}", calls, file.size, (there, file.sha256))


def _dependency(said: Line, in_code: Mapping[str, str]) -> dict[str, Any]:
    """As `cargo publish` says it."""
    name, other = str(said.get("name")), said.get("package")
    renamed = None
    if isinstance(other, str):  # one of the two is what the code calls it
        name, renamed = (name, other) if in_code.get(other) == name else (other, name)
    return {
        "name": name,
        "version_req": said.get("req"),
        "explicit_name_in_toml": renamed,
        **{
            field: said[field]
            for field in ("features", "optional", "default_features", "target", "kind", "registry")
            if said.get(field) is not None
        },
    }


def _manifest(file: StoredFile) -> dict[str, Any]:
    """Cargo.toml of a crate file. Raises InvalidPackageFile, LegacyInvalid."""
    from nora.archives import Limits  # what reads archives is loaded with the first of them
    from nora.archives.tars import open_tar
    from nora.formats.cargo.archive import LARGEST_MANIFEST

    limits = Limits(bomb_floor=LARGEST_UNPACKED, bomb_ratio=1, member=LARGEST_MANIFEST)
    with open_tar(str(file.path), limits) as members:
        for member, archive in members:
            folder, _, inner = member.name.partition("/")
            if inner != "Cargo.toml" or not folder or not member.isfile() or member.size > limits.member:
                continue
            found = archive.extractfile(member)
            try:
                return tomllib.loads((b"" if found is None else found.read()).decode())
            except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
                raise LegacyInvalid(f"Cargo.toml of the crate cannot be read: {error}") from None
    raise LegacyInvalid("the crate has no Cargo.toml")


def _names_in_code(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The crates of dependencies that have another name in the code, by that."""
    places = [manifest, *(as_object(one) for one in as_object(manifest.get("target")).values())]
    found = {}
    for place in places:
        for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
            for name, said in as_object(place.get(kind)).items():
                if isinstance(package := as_object(said).get("package"), str):
                    found[name] = package
    return found


LEGACY = Legacy(("cargo",), _read)
