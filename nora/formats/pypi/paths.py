"""Paths of PyPI's interface, taken apart after exactly one decoding. Others look at what they name."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from nora.errors import BadRequest, NotFound


class PathKind(Enum):
    """What a path names; the value is its form."""

    LIST = "/simple/"
    PROJECT = "/simple/{project}/"
    FILE = "/simple/{project}/{filename}"
    UPLOAD = "/legacy/"
    XML_RPC = "/pypi"
    PROJECT_JSON = "/pypi/{project}/json"
    RELEASE_JSON = "/pypi/{project}/{version}/json"
    PROVENANCE = "/integrity/{project}/{version}/{filename}/provenance"
    STATUS = "/pypi/{project}/status"
    REFRESH = "/pypi/{project}/refresh"
    YANK = "/pypi/{project}/{version}/yank"
    UNYANK = "/pypi/{project}/{version}/unyank"
    ADMIN_PROJECT = "/pypi/{project}"
    ADMIN_RELEASE = "/pypi/{project}/{version}"
    ADMIN_FILE = "/pypi/{project}/{version}/{filename}"


class Target(NamedTuple):
    """What a path names, in the words of the path."""

    kind: PathKind
    repository: str | None
    """Of `/r/<repository>/…`; None for the default one."""
    project: str = ""
    version: str = ""
    filename: str = ""
    is_directory: bool = True
    """Whether the path ends with a slash."""


REMEMBERED_LENGTH = 256
_VERBS = {
    (2, "json"): PathKind.PROJECT_JSON,
    (2, "status"): PathKind.STATUS,
    (2, "refresh"): PathKind.REFRESH,
    (3, "json"): PathKind.RELEASE_JSON,
    (3, "yank"): PathKind.YANK,
    (3, "unyank"): PathKind.UNYANK,
}
"""Below `/pypi/`, by the number of segments and the last one."""
_ROWS = (PathKind.XML_RPC, PathKind.ADMIN_PROJECT, PathKind.ADMIN_RELEASE, PathKind.ADMIN_FILE)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_BAD_CHARACTER = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]").search


def parse_path(raw: bytes) -> Target:
    """Raises BadRequest for what is no path of names, NotFound for one that means nothing here."""
    return _known(raw) if len(raw) <= REMEMBERED_LENGTH else _parse(raw)


def _parse(raw: bytes) -> Target:
    segments = [_decoded(part) for part in raw.split(b"/")[1:]]
    repository = None
    if segments[:1] == ["r"]:
        repository, segments = "".join(segments[1:2]), segments[2:]
    is_directory = len(segments) > 1 and not segments[-1]
    if is_directory:
        segments.pop()
    found = _match(segments)
    if found is None or not all(segments):
        raise NotFound("there is nothing here; see the simple repository API for what is")
    kind, project, version, filename = found
    return Target(kind, repository, project, version, filename, is_directory)


_known = lru_cache(maxsize=4096)(_parse)
"""A page is asked for again and again."""


def _match(segments: list[str]) -> tuple[PathKind, str, str, str] | None:
    match segments:
        case ["simple", project, filename]:
            return PathKind.FILE, project, "", filename
        case ["simple", project]:
            return PathKind.PROJECT, project, "", ""
        case ["simple"]:
            return PathKind.LIST, "", "", ""
        case ["legacy"]:
            return PathKind.UPLOAD, "", "", ""
        case ["pypi", *rest]:
            return _match_json(rest)
        case ["integrity", project, version, filename, "provenance"]:
            return PathKind.PROVENANCE, project, version, filename
    return None


def _match_json(segments: list[str]) -> tuple[PathKind, str, str, str] | None:
    kind = _VERBS.get((len(segments), segments[-1])) if segments else None
    names = segments if kind is None else segments[:-1]
    if kind is None and len(names) < len(_ROWS):
        kind = _ROWS[len(names)]
    project, version, filename = [*names, "", "", ""][:3]
    return None if kind is None else (kind, project, version, filename)


def _decoded(part: bytes) -> str:
    """A segment after one decoding: it may hold neither a separator nor what a file system understands."""
    if b"%" in part:
        if _BAD_ESCAPE(part):
            raise BadRequest("the path has an escape that is none")
        part = unquote_to_bytes(part)
    try:
        text = part.decode()
    except UnicodeDecodeError:
        raise BadRequest("the path is not UTF-8") from None
    if _BAD_CHARACTER(text) or text in (".", ".."):
        raise BadRequest("the path has a segment that is no name")
    return text
