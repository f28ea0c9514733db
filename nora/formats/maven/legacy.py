"""What was deployed to the NORA written in Rust (nora.formats.legacy).

It kept what was deployed and what came from upstreams in one place, so somebody has to say what is whose.
Checksums beside files are compared; of metadata only the prefixes of plugins are sent, as by `mvn deploy`.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from nora.errors import InvalidName
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
    is_sidecar,
    put_again,
)
from nora.formats.maven.metadata_xml import LARGEST
from nora.formats.maven.names import METADATA, ArtifactFile, Extra, PackageName, parse_path


def _read(tree: LegacyTree, names: Names) -> Iterator[Group]:
    groups: set[str] = set()
    metadata: list[str] = []
    told: set[PackageName] = set()
    for folder, files in tree.walk("maven"):
        found: list[Publication | Refused | Left] = []
        for name in files:
            if is_sidecar(name, files):
                continue
            path = f"{folder}/{name}".removeprefix("maven/")
            if name == METADATA:
                metadata.append(path)
                continue
            one = _file(tree, names, path, told)
            if one is not None:
                found.append(one)
            if isinstance(one, Publication):
                groups.add(path.rsplit("/", 3)[0])
        yield found
    for path in metadata:
        if path.rpartition("/")[0] in groups:
            yield _plugins(tree, path)


def _file(
    tree: LegacyTree, names: Names, path: str, told: set[PackageName]
) -> Publication | Refused | Left | None:
    """None: nothing is to be said of it, or was said of its package already."""
    try:
        found = parse_path(path.split("/"))
    except InvalidName as error:
        return Refused(f"maven {path}", str(error))
    if isinstance(found, Extra):
        return None
    if not isinstance(found, ArtifactFile):
        return Refused(f"maven {path}", "it is no file of a version: group/artifact/version/file")
    if (left := names.decide(found.package, published=None)) is not None:
        is_new = found.package not in told
        told.add(found.package)
        return left if is_new else None
    return put_again(tree, "maven", "/maven2/", path)


def _plugins(tree: LegacyTree, path: str) -> Group:
    try:
        body = tree.read(f"maven/{path}", LARGEST)
    except LegacyInvalid as error:
        return [Refused(f"maven {path}", str(error))]
    if b"<plugins>" not in body:
        return []
    return [Publication(f"maven {path}", [Call("PUT", f"/maven2/{quote(path)}", [body])], len(body))]


LEGACY = Legacy(("maven",), _read)
