"""A hosted crate: what is written in its rows.

package document   {"owners": [login, …]}, when somebody was made one
version            state `yanked`; document {"line": what the index says but for `yanked`, "about": the rest}
file               <name>/<version without build metadata>.crate: two that differ in that alone are one
                   ….crate.readme     what Cargo.toml calls the readme, if it is in the crate
"""

from __future__ import annotations

from typing import Any

import orjson

from nora.catalog.base import Catalog
from nora.catalog.records import Package, Version
from nora.formats.cargo.names import CrateName, without_build
from nora.model import Repository

README = ".readme"
REMEMBERED = 4096


def path_of(crate: str, version: str) -> str:
    """Where the file of a version is among the files of its repository."""
    return f"{crate}/{without_build(version)}.crate"


def path_of_file(crate: str, filename: str) -> str:
    """Where a file that is called `<name>-<version>.crate` is."""
    return path_of(crate, filename[len(crate) + 1 :].removesuffix(".crate"))


def owners_of(package: Package | None) -> list[str]:
    """Who was made an owner; nobody: whoever may write may publish."""
    found: list[str] = [] if package is None else orjson.loads(package.document).get("owners", [])
    return found


def about(version: Version) -> dict[str, Any]:
    """What a version says of itself beside the index."""
    found: dict[str, Any] = orjson.loads(version.document).get("about", {})
    return found


class Spellings:
    """How hosted crates spell their names: all versions do it as the first one did."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[tuple[int, int], str | None] = {}

    async def of(self, hosted: Repository, package: Package) -> str | None:
        """None for a name that has no version."""
        key = package.id, package.revision
        if key not in self._known:
            versions = await self._catalog.list_versions(hosted.id, package.name)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[key] = spelling(versions)
        return self._known[key]

    async def find(self, hosted: Repository, crate: CrateName, *, exactly: bool = False) -> Package | None:
        """The crate, if it has versions. `exactly`: where it is spelled like this but for capitals, as paths
        of the index are."""
        package = await self._catalog.find_package(hosted.id, crate)
        spelled = None if package is None else await self.of(hosted, package)
        if spelled is None or (exactly and spelled.lower() != crate.indexed):
            return None
        return package


def spelling(versions: list[Version]) -> str | None:
    """How these versions spell the name of their crate."""
    return str(orjson.loads(versions[0].document)["line"]["name"]) if versions else None
