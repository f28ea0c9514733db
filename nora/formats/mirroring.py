"""Mirroring: what a lock file names is asked for through a running NORA, which fetches and keeps it.

A format says in `Format.mirror` which tools it serves. `read` makes of the text of a lock file what is
wanted; each of that asks the registry for what the tool itself would ask for, and may want more: a document
first, then the files that it names. nora.mirror runs them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final, NoReturn, Protocol

import orjson

from nora.errors import BadRequest, NoraError, NotFound, quoted

Hashes = Mapping[str, Collection[str]]
"""By algorithm, as hashlib calls it, hexadecimal digests one of which a file must have."""
Table = Mapping[str, Any]
"""An object of a lock file or of a document; what is in it is not checked."""
LARGEST_DOCUMENT: Final = 256 * 2**20
_toml_place = re.compile(r"(.*) \(at line (\d+), column \d+\)", re.DOTALL).fullmatch


class LockFileInvalid(BadRequest):
    """A lock file cannot be read, or is none of its kind."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {problem}" if line else problem)


class Unusable(NoraError):
    """The registry answers what cannot be used for this."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a registry answers, whole."""

    url: str
    """Where it came from: what it names may be relative to that."""
    headers: Mapping[str, str]
    """By name, in lower case."""
    body: bytes

    @property
    def json(self) -> Table:
        """Raises Unusable for anything but an object."""
        try:
            found = orjson.loads(self.body)
        except ValueError as error:
            raise Unusable(f"{self.url} is no JSON: {quoted(error)}") from None
        return table(found) or _unusable(f"{self.url} is not the document that it should be")


class Registry(Protocol):
    """A running NORA, as a client of the format. What is missing raises a NoraError that says why."""

    async def document(self, path: str, accept: str = "*/*", max_bytes: int = LARGEST_DOCUMENT) -> Document:
        """What is at a path such as `/simple/flask/`."""
        ...

    async def file(self, path: str, hashes: Hashes, take: Collection[str] = ()) -> Mapping[str, str]:
        """Let it fetch a file, and compare what comes: with every algorithm that is given. What the digests
        are, by these algorithms and those of `take`. Raises DigestMismatch."""
        ...

    async def save(self, path: str, into: IO[bytes], largest: int) -> None:
        """Write a file of at most so many bytes to another one, for what has to look into it."""
        ...

    def path_of(self, url: str, document: Document) -> str:
        """Where a URL leads that a document names. Raises Unusable where that is not in this registry."""
        ...


class Want(Protocol):
    """Something to ask a registry for. Hashable: what is equal is asked for once."""

    @property
    def title(self) -> str:
        """As reports name it: `flask 3.1.0`."""
        ...

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """Ask for it; what has to be asked for then. Raises NoraError: it is missing, and why."""
        ...


@dataclass(frozen=True, slots=True)
class Missing:
    """Wanted, and known not to be had before anybody is asked."""

    title: str
    reason: str

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """Raises NotFound."""
        raise NotFound(self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorTool:
    """A program whose lock files are mirrored."""

    name: str
    """As people call it: `nora mirror <name>`."""
    needs: str
    """What to give, in one line."""
    read: Callable[[str], Sequence[Want]] | None = None
    """What a lock file wants, by its text. Raises LockFileInvalid."""
    packages: Callable[[Sequence[str], bool], Sequence[Want]] | None = None
    """What is wanted by packages that are named, in all their versions or not. Raises BadRequest."""
    images: Callable[[Sequence[str], Sequence[str]], Sequence[Want]] | None = None
    """What is wanted by images that are named, for these platforms or for all. Raises BadRequest."""


def table(found: object) -> Table | None:
    """An object, if it is one."""
    return found if isinstance(found, dict) else None


def tables(found: object) -> list[Table]:
    """The objects of a list. What is none, or no list, is left out."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def text_of(found: Table, name: str) -> str:
    """A text of an object; empty where there is none."""
    value = found.get(name)
    return value if isinstance(value, str) else ""


def parse_json(text: str) -> Table:
    """A lock file in JSON. Raises LockFileInvalid."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise LockFileInvalid(f"no JSON: {quoted(error.msg)}", error.lineno) from None
    return table(found) or _invalid("no object in JSON")


def parse_toml(text: str) -> Table:
    """A lock file in TOML. Raises LockFileInvalid."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _toml_place(str(error))
        problem, line = (place[1], int(place[2])) if place else (str(error), len(text.splitlines()))
        raise LockFileInvalid(f"no TOML: {quoted(problem)}", line) from None
    except (RecursionError, ValueError) as error:  # nested without end; a number of too many digits
        raise LockFileInvalid(f"no TOML that is taken: {quoted(error)}") from None


def unique(wants: Iterable[Want]) -> list[Want]:
    """Each of them once, in their order."""
    return list(dict.fromkeys(wants))


def _invalid(problem: str) -> NoReturn:
    raise LockFileInvalid(problem)


def _unusable(problem: str) -> NoReturn:
    raise Unusable(problem)
