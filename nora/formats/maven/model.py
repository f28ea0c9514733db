"""What a POM says to Maven: its parent, the POMs that it imports, and what the artifact depends on.

Not the whole of Maven's model: what leads to other POMs. Read as `maven-metadata.xml` is, with limits and
without document types (see nora.formats.maven.metadata_xml).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from xml.parsers.expat import ExpatError

from nora.errors import InvalidPackageFile, quoted
from nora.formats.maven.xml import read_xml

LARGEST: Final = 4 << 20
"""Bytes."""
MOST_ELEMENTS: Final = 100_000
DEEPEST: Final = 64
LONGEST_TEXT: Final = 1000
MOST_SUBSTITUTIONS: Final = 64
_OWN: Final = frozenset({"groupId", "artifactId", "version"})
_PARENT: Final = "project/parent"
_PROPERTIES: Final = "project/properties"
_DEPENDENCY: Final = "project/dependencies/dependency"
_MANAGED: Final = "project/dependencyManagement/dependencies/dependency"
_unknown_entity = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z][A-Za-z0-9]{0,31};")
"""Of HTML, in names of people: Maven knows them, and nothing that is read here has any."""
_property = re.compile(r"\$\{([^${}]{1,200})\}")


@dataclass(frozen=True, slots=True, order=True)
class Coordinates:
    """Of a POM."""

    group: str
    artifact: str
    version: str

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


@dataclass(frozen=True, slots=True)
class Dependency:
    """As it is written, with properties in it."""

    group: str
    artifact: str
    version: str
    type: str
    classifier: str
    scope: str
    is_optional: bool

    @classmethod
    def of(cls, said: Mapping[str, str]) -> Dependency:
        """By the names of the elements."""
        return cls(
            said.get("groupId", ""),
            said.get("artifactId", ""),
            said.get("version", ""),
            said.get("type") or "jar",
            said.get("classifier", ""),
            said.get("scope", ""),
            said.get("optional") == "true",
        )

    def filled(self, properties: Mapping[str, str]) -> Dependency:
        """With the values of properties."""
        return replace(
            self,
            group=interpolate(self.group, properties),
            artifact=interpolate(self.artifact, properties),
            version=interpolate(self.version, properties),
            type=interpolate(self.type, properties),
            classifier=interpolate(self.classifier, properties),
            scope=interpolate(self.scope, properties),
        )

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What managed versions are found by."""
        return self.group, self.artifact, self.type, self.classifier


@dataclass(slots=True)
class Model:
    """What a POM says itself, without its parents."""

    own: dict[str, str] = field(default_factory=dict)
    """groupId, artifactId and version."""
    parent: Coordinates | None = None
    properties: dict[str, str] = field(default_factory=dict)
    dependencies: list[Dependency] = field(default_factory=list)
    managed: list[Dependency] = field(default_factory=list)


def read_model(body: bytes) -> Model:
    """Raises InvalidPackageFile for what is no POM, or not one that is read."""
    if len(body) > LARGEST:
        raise InvalidPackageFile(f"the POM has {len(body)} bytes: {LARGEST} at most")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:  # whatever its declaration says: old ones say nothing, or what is not so
        body = body.decode("latin-1").encode()
    body = _unknown_entity.sub(b"?", body)
    reader = _Reader()
    try:
        read_xml(body, reader)
    except ExpatError as error:
        raise InvalidPackageFile(f"the POM is no XML: {error}") from None
    return reader.found


def properties_of(chain: list[Model]) -> dict[str, str]:
    """Of a POM and its parents, of which the nearest counts."""
    found: dict[str, str] = {}
    for model in reversed(chain):
        found |= model.properties
    project = own_coordinates(chain)
    for name, value in (
        ("groupId", project.group),
        ("artifactId", project.artifact),
        ("version", project.version),
    ):
        found |= {f"project.{name}": value, f"pom.{name}": value, name: value}
    parent = chain[0].parent
    if parent is not None:
        found |= {"project.parent.version": parent.version, "project.parent.groupId": parent.group}
    return found


def own_coordinates(chain: list[Model]) -> Coordinates:
    """Of the first one: what it does not say is its parent's."""
    own, parent = chain[0].own, chain[0].parent
    return Coordinates(
        own.get("groupId") or (parent.group if parent else ""),
        own.get("artifactId", ""),
        own.get("version") or (parent.version if parent else ""),
    )


def interpolate(text: str, properties: Mapping[str, str]) -> str:
    """A text with the values of its properties, as far as they are known. Never longer than LONGEST_TEXT."""
    for _ in range(MOST_SUBSTITUTIONS):
        found = next((one for one in _property.finditer(text) if one[1] in properties), None)
        if found is None:
            break
        text = text[: found.start()] + properties[found[1]] + text[found.end() :]
        if len(text) > LONGEST_TEXT:
            break
    return text[:LONGEST_TEXT]


class _Reader:
    def __init__(self) -> None:
        self.found = Model()
        self._path: list[str] = []
        self._elements = 0
        self._text = ""
        self._said: dict[str, str] = {}

    def doctype(self, *_: object) -> None:
        raise InvalidPackageFile("the POM has a document type, which may define entities")

    def start(self, name: str, _: object) -> None:
        self._elements += 1
        self._path.append(name.rpartition(":")[2][:200])
        self._text = ""
        if self._path[0] != "project":
            raise InvalidPackageFile(f"the root of the POM is <{quoted(name)}> and not <project>")
        if self._elements > MOST_ELEMENTS or len(self._path) > DEEPEST:
            raise InvalidPackageFile("the POM has too many elements, or too many in each other")

    def text(self, data: str) -> None:
        if len(self._text) < LONGEST_TEXT:
            self._text += data[:LONGEST_TEXT]

    def end(self, _: str) -> None:
        path, text = "/".join(self._path), self._text.strip()[:LONGEST_TEXT]
        above, _, name = path.rpartition("/")
        self._path.pop()
        self._text = ""
        if above == "project" and name in _OWN:
            self.found.own[name] = text
        elif above == _PROPERTIES:
            self.found.properties[name] = text
        elif above in (_PARENT, _DEPENDENCY, _MANAGED):
            self._said[name] = text
        elif path in (_PARENT, _DEPENDENCY, _MANAGED):
            said, self._said = self._said, {}
            if path == _PARENT:
                self.found.parent = Coordinates(
                    said.get("groupId", ""), said.get("artifactId", ""), said.get("version", "")
                )
            else:
                where = self.found.dependencies if path == _DEPENDENCY else self.found.managed
                where.append(Dependency.of(said))
