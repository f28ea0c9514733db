"""Files that were put into the NORA written in Rust (nora.formats.legacy). It fetched none from elsewhere,
and what is beside a file was put there by people as well."""

from __future__ import annotations

from collections.abc import Iterator

from nora.formats.legacy import Group, Legacy, LegacyTree, Names, put_again


def _read(tree: LegacyTree, names: Names) -> Iterator[Group]:
    for folder, files in tree.walk("raw"):
        for path in (f"{folder}/{name}".removeprefix("raw/") for name in files):
            left = names.decide(path, published=True)
            yield [left or put_again(tree, "raw", "/raw/", path, beside=False)]


LEGACY = Legacy(("raw",), _read)
