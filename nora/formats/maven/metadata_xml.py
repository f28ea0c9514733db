"""The elements of `maven-metadata.xml`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from xml.parsers.expat import ExpatError

from nora.errors import quoted
from nora.formats.maven.xml import read_xml

LARGEST: Final = 10 * 2**20
"""Bytes of a document. One with 100,000 versions has 4 MiB."""
MOST_ELEMENTS: Final = 200_000
DEEPEST: Final = 32
"""Elements in each other; the grammar has 5."""
LONGEST_NAME: Final = 100
"""Characters of the name of an element: it is looked at again for each element inside."""
Fields = dict[str, str]
_VERSIONING: Final = "metadata/versioning"
_VERSION: Final = f"{_VERSIONING}/versions/version"
_SNAPSHOT: Final = f"{_VERSIONING}/snapshot"
_FILE: Final = f"{_VERSIONING}/snapshotVersions/snapshotVersion"
_PLUGIN: Final = "metadata/plugins/plugin"
_LAST_UPDATED: Final = f"{_VERSIONING}/lastUpdated"
_RECORDS: Final = frozenset({_SNAPSHOT, _FILE, _PLUGIN})
"""Elements of texts only."""


class MetadataUnreadable(ValueError):
    """A document is no `maven-metadata.xml`, or one that is not read; the message says why."""


@dataclass(slots=True)
class Elements:
    """What is in a document, as it is written there."""

    versions: list[str] = field(default_factory=list)
    snapshot: Fields = field(default_factory=dict)
    files: list[Fields] = field(default_factory=list)
    """Of a snapshot."""
    plugins: list[Fields] = field(default_factory=list)
    last_updated: str = ""


def read_metadata(body: bytes) -> Elements:
    """Elements of other kinds are passed over. Raises MetadataUnreadable."""
    if len(body) > LARGEST:
        raise MetadataUnreadable(f"it has {len(body)} bytes: {LARGEST} at most")
    reader = _Reader()
    try:
        read_xml(body, reader)
    except ExpatError as error:
        raise MetadataUnreadable(f"it is no XML: {error}") from None
    return reader.found


class _Reader:
    def __init__(self) -> None:
        self.found = Elements()
        self._count = 0
        self._path: list[str] = []
        self._text: list[str] = []
        self._record: Fields = {}

    def doctype(self, *_: object) -> None:
        raise MetadataUnreadable("it has a document type, which may define entities: remove <!DOCTYPE …>")

    def start(self, name: str, _: object) -> None:
        self._count += 1
        self._path.append(name)
        if self._path[0] != "metadata":
            raise MetadataUnreadable(f"its root is <{quoted(name)}> and not <metadata>")
        if len(name) > LONGEST_NAME:
            raise MetadataUnreadable(f"an element has a name of more than {LONGEST_NAME} characters")
        if self._count > MOST_ELEMENTS or len(self._path) > DEEPEST:
            raise MetadataUnreadable(
                f"it has more than {MOST_ELEMENTS} elements, or more than {DEEPEST} in each other"
            )
        self._text.clear()

    def text(self, part: str) -> None:
        self._text.append(part)

    def end(self, name: str) -> None:
        text = "".join(self._text).strip()
        self._text.clear()
        path = "/".join(self._path)
        self._path.pop()
        if path.rpartition("/")[0] in _RECORDS:
            self._record[name] = text
        elif path == _VERSION:
            self.found.versions.append(text)
        elif path == _LAST_UPDATED:
            self.found.last_updated = text
        elif path in _RECORDS:
            record, self._record = self._record, {}
            if path == _FILE:
                self.found.files.append(record)
            elif path == _PLUGIN:
                self.found.plugins.append(record)
            else:
                self.found.snapshot = record
