"""The parts of a cached image, for purges: what a tag means is a document, as are lists of referrers."""

from __future__ import annotations

from typing import Final

from nora.resolve.purging import PartRules


def documents(image: str, version: str) -> tuple[str, ...]:
    """What is cached about a tag, or about a manifest by its digest (see Origin.path)."""
    return f"{image}/tags/{version}", f"{image}/referrers/{version}"


PARTS: Final = PartRules(documents=documents)
