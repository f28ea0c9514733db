"""The parts of a cached project, for purges and blocks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import orjson

from nora.errors import InvalidName
from nora.formats.pypi.names import normalize_version
from nora.resolve.purging import PartRules


def fold_version(text: str) -> str:
    """As it is in the rows (PEP 440); what is no version stays as it is."""
    try:
        return normalize_version(text)
    except InvalidName:
        return text


def documents(project: str, version: str) -> tuple[str, ...]:
    """Those of the JSON API."""
    return (f"{project}/{version}/json",)


def forget(document: bytes, paths: Collection[str]) -> bytes:
    """Without the core metadata that was taken out of these files (see nora.formats.pypi.cached)."""
    said = orjson.loads(document)
    known: dict[str, str] = said.get("metadata", {})
    gone = {path.rpartition("/")[2] for path in paths}
    left = {name: digest for name, digest in known.items() if name not in gone}
    if len(left) == len(known):
        return document
    return orjson.dumps({**said, "metadata": left}, option=orjson.OPT_SORT_KEYS)


PARTS: Final = PartRules(fold_version=fold_version, documents=documents, forget=forget)
