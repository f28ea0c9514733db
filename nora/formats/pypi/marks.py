"""Files that are replaced under their name, as indexes other than PyPI allow: what tells their bytes apart.

The *mark* of a file is the beginning of a hash of it. It is in the address of a file of an upstream that
replaces files, so that what is said to be immutable is, and in the rows of what was taken out of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from nora.blobs.checksums import strongest
from nora.catalog.records import Cached
from nora.formats.pypi.index import IndexUnreadable, ListedFile, decode

LENGTH: Final = 32
VOLATILE: Final = b'{"volatile":true}'
"""The document in the row of a page on which a file was seen to be replaced, and of those after it."""


def mark_of(hashes: Mapping[str, str]) -> str:
    """Of a file that has these hashes; empty where none is known."""
    algorithm = "sha256" if "sha256" in hashes else strongest(hashes)
    return "" if algorithm is None else hashes[algorithm][:LENGTH]


def marks_of(digest: str, document: bytes) -> set[str]:
    """Of the bytes that are here: `digest` is their sha256, `document` what `remember_hashes` has given."""
    return {digest[:LENGTH], mark_of(_read(document).get("hashes", {}))} - {""}


def remember_hashes(hashes: Mapping[str, str]) -> bytes:
    """The document of a file that was listed with these hashes: where the sha256 is not among them, nothing
    but them tells later whether another file is listed."""
    return b"{}" if "sha256" in hashes or not hashes else orjson.dumps({"hashes": dict(hashes)})


def remember_mark(mark: str) -> bytes:
    """The document of core metadata: that of the file of this mark."""
    return orjson.dumps({"of": mark}) if mark else b"{}"


def is_of(metadata: bytes, digest: str, document: bytes) -> bool:
    """Whether core metadata, by its document, is that of a file that is here, as far as that is known."""
    mark = mark_in(metadata)
    return not mark or mark in marks_of(digest, document)


def mark_in(metadata: bytes) -> str:
    """Of the file that core metadata is that of, by its document; empty where it is not known."""
    found: str = _read(metadata).get("of", "")
    return found


def own_metadata(additions: Mapping[str, Any], filename: str, hashes: Mapping[str, str]) -> str | None:
    """The sha256 of the core metadata that NORA has taken out of a wheel that is listed with these hashes.
    `additions` is the document of the package in the rows of the source."""
    found: str | None = additions.get("metadata", {}).get(filename)
    return found if additions.get("of", {}).get(filename, mark_of(hashes)) == mark_of(hashes) else None


def noted(additions: Mapping[str, Any], filename: str, found: tuple[str, str] | None) -> dict[str, Any]:
    """The document of the package with the sha256 of core metadata and the mark of its wheel, or without."""
    metadata, of = ({**additions.get(name, {})} for name in ("metadata", "of"))
    metadata.pop(filename, None)
    of.pop(filename, None)
    if found is not None:
        metadata[filename], of[filename] = found
    return {**additions, "metadata": metadata, "of": of} if metadata or additions else {}


def known_hashes(document: bytes) -> Mapping[str, str]:
    """As `remember_hashes` was told them."""
    found: Mapping[str, str] = _read(document).get("hashes", {})
    return found


def is_volatile(page: Cached | None) -> bool:
    """Whether a file of this page, or of one before it, was seen to be replaced."""
    return page is not None and page.document == VOLATILE


def is_replaced(before: bytes, after: bytes) -> bool:
    """Whether a page in its stored form lists other bytes under a name than the one before it."""
    try:
        known = {file.filename: file for file in decode(before).files}
        return any(_is_other(known.get(file.filename), file) for file in decode(after).files)
    except IndexUnreadable:  # one that an older version of NORA has stored
        return False


def _is_other(before: ListedFile | None, after: ListedFile) -> bool:
    if before is None:
        return False
    if common := before.hashes.keys() & after.hashes.keys():
        return differ(before.hashes, after.hashes, common)
    return None not in (before.size, after.size) and before.size != after.size


def differ(one: Mapping[str, str], other: Mapping[str, str], algorithms: Iterable[str]) -> bool:
    """Whether the hashes of two files say that they are not the same."""
    return any(one[name] != other[name] for name in algorithms)


def _read(document: bytes) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {} if document == b"{}" else orjson.loads(document)
    return found
