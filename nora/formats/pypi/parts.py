"""The parts of a cached project, for purges and blocks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import orjson
from packaging.version import Version

from nora.catalog.blocks import Hidden
from nora.errors import InvalidName
from nora.formats.pypi.index import Project, decode, encode
from nora.formats.pypi.names import normalize_version, version_of, version_order
from nora.resolve.purging import PartRules

MOST_NUMBERS: Final = 6
"""Of a release, up to which zeros at its end are thought of."""


def fold_version(text: str) -> str:
    """As it is in the rows (PEP 440); what is no version stays as it is."""
    try:
        return normalize_version(text)
    except InvalidName:
        return text


def spellings(version: str) -> tuple[str, ...]:
    """Those with other zeros at the end of the release, which make no other version (PEP 440)."""
    try:
        parsed = Version(version)
    except ValueError:  # InvalidVersion, or more digits than int() takes
        return ()
    release = ".".join(map(str, parsed.release))
    shortest = parsed.release
    while len(shortest) > 1 and not shortest[-1]:
        shortest = shortest[:-1]
    before = f"{parsed.epoch}!" if parsed.epoch else ""
    after = str(parsed)[len(before) + len(release) :]
    padded = (shortest + (0,) * count for count in range(max(0, MOST_NUMBERS - len(shortest)) + 1))
    found = (f"{before}{'.'.join(map(str, one))}{after}" for one in padded)
    return tuple(one for one in found if one != version)


def documents(project: str, version: str) -> tuple[str, ...]:
    """Those of the JSON API."""
    return (f"{project}/{version}/json",)


def forget(document: bytes, paths: Collection[str]) -> bytes:
    """Without the core metadata that was taken out of these files (see nora.formats.pypi.cached)."""
    said = orjson.loads(document)
    gone = {path.rpartition("/")[2] for path in paths}
    left = {
        name: {file: value for file, value in said[name].items() if file not in gone}
        for name in ("metadata", "of")
        if name in said
    }
    if left == {name: said[name] for name in left}:
        return document
    return orjson.dumps({**said, **left}, option=orjson.OPT_SORT_KEYS)


def without(stored: bytes, hidden: Hidden) -> bytes:
    """A page in its stored form without what is blocked."""
    page = decode(stored)
    files = [one for one in page.files if not hidden.has(version_of(one.filename), *_digests(one.hashes))]
    versions = tuple(one for one in page.versions if fold_version(one) not in hidden.versions)
    return encode(Project(page.name, files, versions, page.status, page.status_reason))


def without_in_json(body: bytes, hidden: Hidden) -> bytes:
    """A document of the JSON API of an upstream without what is blocked. Where that is the version that it is
    about, it says that it is about the newest that is left."""
    page: dict[str, Any] = orjson.loads(body)

    def offered(files: object) -> list[object]:
        return [one for one in (files if isinstance(files, list) else []) if not _is_hidden(one, hidden)]

    page["urls"] = offered(page.get("urls"))
    releases = page.get("releases")
    if isinstance(releases, dict):
        left = {name: offered(files) for name, files in releases.items()}
        left = {name: files for name, files in left.items() if fold_version(name) not in hidden.versions}
        page["releases"] = left
        if fold_version(str(page["info"].get("version"))) in hidden.versions and left:
            newest = max((name for name in left if left[name]), key=version_order, default="")
            page["info"]["version"], page["urls"] = newest, left.get(newest, [])
    return orjson.dumps(page)


def _is_hidden(file: object, hidden: Hidden) -> bool:
    if not isinstance(file, dict):
        return True
    digests = file.get("digests")
    told = digests if isinstance(digests, dict) else {}
    return hidden.has(version_of(str(file.get("filename"))), *_digests(told))


def _digests(hashes: Mapping[str, object]) -> list[str]:
    """The hashes of a page, as blocks have them."""
    return [f"{algorithm}:{value}" for algorithm, value in hashes.items()]


PARTS: Final = PartRules(fold_version=fold_version, spellings=spellings, documents=documents, forget=forget)
