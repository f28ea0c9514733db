"""How documents of Maven are read that nobody has vouched for.

Straight from expat: no tree in memory, and limits of the reader that hold while the document is read. A
reader refuses a document type, hence there are no entities that grow or reach elsewhere.
"""

from __future__ import annotations

from typing import Protocol
from xml.parsers import expat


class Reader(Protocol):
    """What is told of the elements of a document, and raises what it will."""

    def doctype(self, *_: object) -> None:
        """There is a document type."""

    def start(self, name: str, _: object) -> None:
        """An element begins."""

    def text(self, data: str) -> None:
        """Some text of the element, which may come in parts."""

    def end(self, name: str) -> None:
        """It ends."""


def read_xml(body: bytes, reader: Reader) -> None:
    """Tell `reader` what is in a document. Raises ExpatError where that is no XML."""
    # UTF-8 whatever it says: no other encoding is needed for what is in it, and none is looked up.
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.Parse(body, True)
