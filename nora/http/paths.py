"""Paths, taken apart after exactly one decoding. Others look at what they name.

A pattern is a path with names in braces: `/api/{name}/{version}`. A name stands for one segment, which holds
neither a separator nor what a file system understands. Patterns of one length are tried from the most
specific to the least: `/api/{name}/json` before `/api/{name}/{version}`. A slash at the end makes no
difference, `Target.is_directory` tells it. Before all of this there may be `/r/<repository>`.

A name that begins with `@` in its pattern, `{@package}`, may have a scope: it stands for `name`, and for the
two segments `@scope/name`, whose separator may be encoded (`@scope%2fname`). Each of the two is a segment as
any other.

A name that ends with dots, `{path...}`, stands for one segment or more, joined by slashes; a pattern has at
most one. What fits both such a pattern and one of a fixed length is named by the latter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from itertools import chain
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from nora.errors import BadRequest, NotFound, quoted
from nora.model import Repository

REMEMBERED_LENGTH: Final = 256
_REMEMBERED: Final = 4096
"""Paths of at most that length: the same ones are asked for again and again."""
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_BAD_CHARACTER = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]").search
_SCOPED = re.compile(rb"((?:@|%40)[^/%]+)%2[fF]([^/]+)").fullmatch
"""A scope and a name in one segment."""
_MAY_HAVE_SCOPE: Final = "{@"


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


class _Kind(Enum):
    """What a segment of a pattern stands for."""

    LITERAL = "itself"
    NAME = "any segment"
    BARE = "a name that may have a scope, without one"
    SCOPE = "the scope of a name"
    SCOPED = "what comes after the scope"
    SEVERAL = "one segment or more"


class _Pattern:
    """A pattern, and how it is matched: with one choice of which names have scopes."""

    def __init__(self, text: str, segments: Sequence[tuple[_Kind, str]]) -> None:
        self.text = text
        self.segments = segments
        self.rank = tuple(kind is not _Kind.LITERAL for kind, _ in segments)
        kinds = [kind for kind, _ in segments]
        self.long_name = kinds.index(_Kind.SEVERAL) if _Kind.SEVERAL in kinds else None
        """Where the name is that stands for one segment or more; None: there is none."""

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """The values of the names, when the segments fit: as many as the pattern has, or no fewer."""
        at = self.long_name
        if at is not None:
            end = at + len(segments) - len(self.segments) + 1
            if end <= at:
                return None
            segments = [*segments[:at], "/".join(segments[at:end]), *segments[end:]]
        values: dict[str, str] = {}
        for one, (kind, text) in zip(segments, self.segments, strict=True):
            if kind is _Kind.LITERAL:
                if one != text:
                    return None
            elif kind is _Kind.SCOPED:
                values[text] += f"/{one}"
            elif kind in (_Kind.BARE, _Kind.SCOPE) and one.startswith("@") != (kind is _Kind.SCOPE):
                return None
            else:
                values[text] = one
        return values


def _patterns_of(text: str) -> Iterator[_Pattern]:
    """One for each choice of which names have scopes."""
    choices: list[list[tuple[_Kind, str]]] = [[]]
    for segment in filter(None, text.split("/")):
        name = segment[1:-1].removeprefix("@")
        if not segment.startswith("{"):
            ways = [[(_Kind.LITERAL, segment)]]
        elif segment.startswith(_MAY_HAVE_SCOPE):
            ways = [[(_Kind.BARE, name)], [(_Kind.SCOPE, name), (_Kind.SCOPED, name)]]
        elif name.endswith("..."):
            ways = [[(_Kind.SEVERAL, name.removesuffix("..."))]]
        else:
            ways = [[(_Kind.NAME, name)]]
        choices = [before + way for before in choices for way in ways]
    return (_Pattern(text, one) for one in choices)


class Paths:
    """All patterns of one format."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns: dict[int, list[_Pattern]] = {}
        self._any_length: list[_Pattern] = []
        texts = tuple(dict.fromkeys(patterns))
        found = chain.from_iterable(map(_patterns_of, texts))
        for one in sorted(found, key=lambda pattern: pattern.rank):
            length = len(one.segments)
            same = self._patterns.setdefault(length, []) if one.long_name is None else self._any_length
            same.append(one)
        self._any_length.sort(key=lambda pattern: -pattern.rank.count(False))  # most of it said first
        self._has_scopes = any(_MAY_HAVE_SCOPE in text for text in texts)
        self._known = lru_cache(_REMEMBERED)(self._split)

    def split(self, raw: bytes) -> Target:
        """Raises BadRequest for what is no path of names."""
        return self._known(raw) if len(raw) <= REMEMBERED_LENGTH else self._split(raw)

    def _split(self, raw: bytes) -> Target:
        segments = [_decoded(part) for part in self._parts(raw)]
        repository = None
        if segments[:1] == ["r"]:
            repository, segments = "".join(segments[1:2]), segments[2:]
        is_directory = bool(segments) and not segments[-1]
        if is_directory:
            segments.pop()
        if all(segments):
            for pattern in chain(self._patterns.get(len(segments), ()), self._any_length):
                values = pattern.match(segments)
                if values is not None:
                    return Target(pattern.text, repository, values, is_directory)
        return Target("")

    def _parts(self, raw: bytes) -> Iterator[bytes]:
        """The segments as they are on the wire; `@scope%2fname` are two where names may have scopes."""
        for part in raw.split(b"/")[1:]:
            scoped = _SCOPED(part) if self._has_scopes else None
            yield from (part,) if scoped is None else scoped.groups()


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
        raise BadRequest(
            "the path has a segment that is no name: `..`, or one with a slash (%2F) or a control character"
        )
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
