"""The parts of a cached artifact, for purges and blocks."""

from __future__ import annotations

from typing import Final

from nora.errors import InvalidName
from nora.formats.maven.names import METADATA, PackageName
from nora.resolve.purging import PartRules


def documents(package: str, version: str) -> tuple[str, ...]:
    """The builds of a snapshot."""
    try:
        return (f"{PackageName.of(package).directory}/{version}/{METADATA}",)
    except InvalidName:
        return ()


PARTS: Final = PartRules(documents=documents)
