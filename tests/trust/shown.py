"""What a site has under a name, for the tests that look at projects and images beside the matrix."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.oci_upstream import Manifest
from tests.support.wheels import Built, Release


@dataclass(frozen=True, slots=True)
class Project:
    """Of PyPI."""

    wheels: tuple[Built, ...]

    @property
    def hashes(self) -> frozenset[str]:
        return frozenset(one.sha256 for one in self.wheels)


@dataclass(frozen=True, slots=True)
class Image:
    """With the tag `latest`."""

    image: Manifest
    referrer: Manifest | None = None
    listed: frozenset[frozenset[str]] = frozenset((frozenset(("latest",)),))
    """Its lists of tags."""

    @property
    def digest(self) -> str:
        return self.image.digest

    @property
    def layer(self) -> str:
        return str(self.image.document["layers"][0]["digest"])


def wheel(name: str, version: str, maker: str) -> Built:
    """One whose bytes, and whose metadata, tell who has made it."""
    return Release(project=name, version=version, seed=maker, summary=f"made by {maker}").wheel()
