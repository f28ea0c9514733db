"""Paths, taken apart after exactly one decoding. Others look at what they name.

A pattern is a path with names in braces: `/api/{name}/{version}`. A name stands for one segment, which holds
neither a separator nor what a file system understands. Patterns of one length are tried from the most
specific to the least: `/api/{name}/json` before `/api/{name}/{version}`. A slash at the end makes no
difference, `Target.is_directory` tells it. Before all of this there may be `/r/<repository>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from nora.errors import BadRequest, NotFound, quoted
from nora.model import Repository

REMEMBERED_LENGTH: Final = 256
_REMEMBERED: Final = 4096
"""Paths of at most that length: the same ones are asked for again and again."""
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_BAD_CHARACTER = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]").search


class Target(NamedTuple):
    """What a path names, in the words of the path."""

    pattern: str
    """The one that it fits; empty when there is none."""
    repository: str | None = None
    """Of `/r/<repository>/…`; None for the default one."""
    values: Mapping[str, str] = {}
    """By the names of the pattern."""
    is_directory: bool = True
    """Whether the path ends with a slash."""

    def get(self, name: str) -> str:
        """A value; empty when the pattern has no such name."""
        return self.values.get(name, "")


class _Pattern:
    """A pattern, and how it is matched."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.segments = tuple(filter(None, text.split("/")))
        self.names = {place: one[1:-1] for place, one in enumerate(self.segments) if one.startswith("{")}
        self.rank = tuple(place in self.names for place in range(len(self.segments)))

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """The values of the names, when so many segments fit."""
        for place, (one, expected) in enumerate(zip(segments, self.segments, strict=True)):
            if one != expected and place not in self.names:
                return None
        return {name: segments[place] for place, name in self.names.items()}


class Paths:
    """All patterns of one format."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns: dict[int, list[_Pattern]] = {}
        for one in sorted(map(_Pattern, dict.fromkeys(patterns)), key=lambda pattern: pattern.rank):
            self._patterns.setdefault(len(one.segments), []).append(one)
        self._known = lru_cache(_REMEMBERED)(self._split)

    def split(self, raw: bytes) -> Target:
        """Raises BadRequest for what is no path of names."""
        return self._known(raw) if len(raw) <= REMEMBERED_LENGTH else self._split(raw)

    def _split(self, raw: bytes) -> Target:
        segments = [_decoded(part) for part in raw.split(b"/")[1:]]
        repository = None
        if segments[:1] == ["r"]:
            repository, segments = "".join(segments[1:2]), segments[2:]
        is_directory = bool(segments) and not segments[-1]
        if is_directory:
            segments.pop()
        if all(segments):
            for pattern in self._patterns.get(len(segments), ()):
                values = pattern.match(segments)
                if values is not None:
                    return Target(pattern.text, repository, values, is_directory)
        return Target("")


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


class Repositories:
    """The repositories of a format, as paths name them."""

    def __init__(self, default: Repository, named: Mapping[str, Repository]) -> None:
        self._default = default
        self._named = named

    def find(self, target: Target) -> Repository:
        """That of a path. Raises NotFound."""
        name = target.repository
        if name is None:
            return self._default
        found = self._named.get(name)
        if found is None:
            raise NotFound(f"there is no repository {quoted(name)} of the format {self._default.format}")
        return found
