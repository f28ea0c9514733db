"""Modules in the NORA written in Rust (nora.formats.legacy). It hosted none: what it has came from upstreams,
unless somebody says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from nora.errors import InvalidName
from nora.formats.go.names import ModulePath, parse_version
from nora.formats.legacy import (
    Call,
    Group,
    Legacy,
    LegacyInvalid,
    LegacyTree,
    Names,
    Publication,
    Refused,
)

_VERSIONS: Final = "/@v"
_ZIP: Final = ".zip"


def _read(tree: LegacyTree, names: Names) -> Iterator[Group]:
    for folder, files in tree.walk("go"):
        if not folder.endswith(_VERSIONS):
            continue
        escaped = folder.removeprefix("go/").removesuffix(_VERSIONS)
        try:
            module = ModulePath.unescaped(escaped)
        except InvalidName as error:
            yield [Refused(f"go {escaped}", str(error))]
            continue
        if (left := names.decide(module, published=False)) is not None:
            yield [left]
            continue
        yield [_version(tree, folder, module, name) for name in files if name.endswith(_ZIP)]


def _version(tree: LegacyTree, folder: str, module: ModulePath, name: str) -> Publication | Refused:
    title = f"go {module} {name.removesuffix(_ZIP)}"
    try:
        parse_version(name.removesuffix(_ZIP))
        file = tree.file(f"{folder}/{name}")
    except (InvalidName, LegacyInvalid) as error:
        return Refused(title, str(error))
    path = f"/go/{quote(module.escaped)}/@v/{quote(name)}"
    return Publication(title, [Call("PUT", path, [file])], file.size, (f"/r/go-hosted{path}", file.sha256))


LEGACY = Legacy(("go",), _read)
