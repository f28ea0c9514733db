"""The parts of a cached package, for purges and blocks."""

from __future__ import annotations

from typing import Final

from nora.formats.npm.signatures import attestations_path
from nora.resolve.purging import PartRules


def documents(package: str, version: str) -> tuple[str, ...]:
    """Attestations."""
    return (attestations_path(package, version),)


PARTS: Final = PartRules(documents=documents)
