"""What a POM says of its artifact to people."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from xml.parsers.expat import ExpatError

from nora.formats.maven.xml import read_xml

LARGEST: Final = 1 << 20
"""Bytes."""
MOST_ELEMENTS: Final = 20_000
DEEPEST: Final = 64
LONGEST_TEXT: Final = 500
MOST_DEPENDENCIES: Final = 200
_TEXTS: Final = {
    "name": "name",
    "description": "description",
    "url": "url",
    "licenses/license/name": "license",
}
_DEPENDENCY: Final = "dependencies/dependency"


@dataclass(slots=True)
class Pom:
    """Texts as they are written there: properties such as `${project.version}` stay."""

    texts: dict[str, str] = field(default_factory=dict)
    """`name`, `description`, `url` and `license`, where they are said."""
    dependencies: list[str] = field(default_factory=list)
    """`group:artifact version`, but those of tests."""


def read_pom(body: bytes) -> Pom:
    """As far as it can be read: what comes after a mistake is not there."""
    reader = _Reader()
    with suppress(ExpatError, _EndOfReading):
        read_xml(body[:LARGEST], reader)
    return reader.found


class _EndOfReading(Exception):
    """Nothing more is read."""


class _Reader:
    def __init__(self) -> None:
        self.found = Pom()
        self._path: list[str] = []
        self._elements = 0
        self._text = ""
        self._dependency: dict[str, str] = {}

    def doctype(self, *_: object) -> None:
        raise _EndOfReading

    def start(self, name: str, _: object) -> None:
        self._elements += 1
        self._path.append(name.rpartition(":")[2][:100])
        self._text = ""
        if self._elements > MOST_ELEMENTS or len(self._path) > DEEPEST:
            raise _EndOfReading

    def text(self, data: str) -> None:
        if len(self._text) < LONGEST_TEXT:
            self._text += data[:LONGEST_TEXT]

    def end(self, _: str) -> None:
        path, text = "/".join(self._path[1:]), " ".join(self._text.split())[:LONGEST_TEXT]
        parent, _, name = path.rpartition("/")
        if path in _TEXTS:
            self.found.texts.setdefault(_TEXTS[path], text)
        elif parent == _DEPENDENCY:
            self._dependency[name] = text
        elif path == _DEPENDENCY:
            self._depend()
        self._path.pop()
        self._text = ""

    def _depend(self) -> None:
        said, self._dependency = self._dependency, {}
        if said.get("scope") != "test" and len(self.found.dependencies) < MOST_DEPENDENCIES:
            name = f"{said.get('groupId', '')}:{said.get('artifactId', '')}"
            self.found.dependencies.append(f"{name} {said.get('version', '')}".strip())
