"""The web API beside publishing: yank, search, and what there is to know of a crate, as tools ask for it.

Everything is made of the lines of the index, and of what was said at publication.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.catalog.records import Version
from nora.errors import BadRequest, VersionNotFound
from nora.formats.base import Services
from nora.formats.cargo.hosted import about, spelling
from nora.formats.cargo.index import YANKED, Part, lines, parts_file
from nora.formats.cargo.names import CrateName, canonical, parse_version, version_order
from nora.formats.cargo.owners import require_owner
from nora.formats.cargo.releases import RULES, YANK
from nora.formats.cargo.resource import Resource
from nora.formats.cargo.sources import Finder, Sources, absent
from nora.formats.releases import Releases
from nora.http.fields import json_answer
from nora.model import Principal, Repository
from nora.proxy.offload import offload
from nora.resolve import Candidate
from nora.resolve.listing import Names

MOST_FOUND: Final = 100
USUALLY_FOUND: Final = 10
LONGEST_QUERY: Final = 200


class Api:
    """The endpoints."""

    def __init__(self, services: Services, authorizer: Authorizer, finder: Finder) -> None:
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._finder = finder
        self._releases = Releases(services.catalog, RULES)
        self._resolver = services.resolver
        self._listed = Names(services.catalog)

    async def yank(self, resource: Resource) -> Response:
        """`cargo yank`."""
        target, version = await self._owned(resource, "yank")
        await self._releases.mark(target, resource.crate, version, YANK, "")
        return json_answer({"ok": True})

    async def unyank(self, resource: Resource) -> Response:
        """`cargo yank --undo`."""
        target, version = await self._owned(resource, "unyank")
        await self._releases.unmark(target, resource.crate, version)
        return json_answer({"ok": True})

    async def _owned(self, resource: Resource, verb: str) -> tuple[Repository, str]:
        crate, version, target = resource.crate, parse_version(resource.version), resource.writable
        resource.audit("write", f"{crate.spelled} {version} {verb}")
        package = await self._catalog.find_package(target.id, crate)
        if package is None:
            raise absent(crate)
        require_owner(self._authorizer, resource, package)
        return target, version

    # -- search ----------------------------------------------------------------------------------------

    async def search(self, resource: Resource) -> Response:
        """`cargo search`: crates whose names have all words of the query, hosted or cached here."""
        query = resource.parameter("q") or ""
        if len(query) > LONGEST_QUERY:
            raise BadRequest(f"q is a text of at most {LONGEST_QUERY} characters")
        words = [canonical(word) for word in query.replace("+", " ").split()]  # cargo joins words by it
        per_page = min(_number(resource, "per_page", USUALLY_FOUND), MOST_FOUND)
        first = (_number(resource, "page", 1) - 1) * per_page
        names = [
            name
            for name in await self._names(resource.repository, resource.principal)
            if all(word in name for word in words)
        ]
        names.sort(key=lambda name: (name not in words, name))
        found = [await self._found(resource.repository, name) for name in names[first : first + per_page]]
        crates = [one for one in found if one is not None]
        return json_answer({"crates": crates, "meta": {"total": len(names)}})

    async def _names(self, repository: Repository, principal: Principal) -> Iterable[str]:
        names = await self._listed.of(repository)
        if not principal.scopes:
            return names
        return [name for name in names if self._authorizer.may_read(principal, repository, name)]

    async def _found(self, repository: Repository, name: str) -> Mapping[str, Any] | None:
        """What a search shows of a crate; nobody is asked for it."""

        async def look(hosted: Repository) -> Mapping[str, Any] | None:
            package = await self._catalog.find_package(hosted.id, name)
            versions = [] if package is None else await self._catalog.list_versions(hosted.id, name)
            live = [one.name for one in versions if one.state != YANKED]
            if not versions:
                return None
            newest = _newest(live or [one.name for one in versions])
            said = next(about(one) for one in versions if one.name == newest)
            return _shown(spelling(versions) or name, newest, said.get("description", ""))

        async def held(candidate: Candidate) -> Mapping[str, Any] | None:
            rows = await self._catalog.list_package_files(candidate.source.id, name)
            here = [(row.path.split("/")[1], row.version) for row in rows if row.version is not None]
            return _shown(here[0][0], _newest([version for _, version in here]), "") if here else None

        found = await self._resolver.find_hosted(repository, look)
        if found is None:
            found = await self._resolver.held(await self._resolver.resolve(repository, name), held)
        return found

    # -- what there is to know of a crate --------------------------------------------------------------

    async def crate(self, resource: Resource) -> Response:
        """A crate with all of its versions."""
        sources, entries = await self._entries(resource)
        said = await self._about(resource.crate, sources)
        live = [one["num"] for one in entries if not one["yanked"]] or [one["num"] for one in entries]
        stable = [one for one in live if "-" not in one.partition("+")[0]]
        name = entries[0]["crate"]
        crate = {
            "id": name,
            "name": name,
            "max_version": _newest(live),
            "newest_version": entries[-1]["num"],
            "max_stable_version": _newest(stable) if stable else None,
            **{
                field: said.get(field) for field in ("description", "homepage", "documentation", "repository")
            },
            "keywords": said.get("keywords", []),
            "categories": said.get("categories", []),
            "versions": [entry["id"] for entry in entries],
        }
        return json_answer({"crate": crate, "versions": entries[::-1], "keywords": [], "categories": []})

    async def versions(self, resource: Resource) -> Response:
        """All versions of a crate."""
        _, entries = await self._entries(resource)
        return json_answer({"versions": entries[::-1], "meta": {"total": len(entries)}})

    async def version(self, resource: Resource) -> Response:
        """One version of a crate."""
        _, entries = await self._entries(resource)
        return json_answer({"version": _of(entries, resource)})

    async def dependencies(self, resource: Resource) -> Response:
        """What a version needs."""
        sources = await self._finder.find(resource.repository, resource.crate)
        parts = await self._finder.parts(resource.crate, sources)
        weight = sum(one.weight for one in parts)
        found = await offload(find_dependencies, parts, resource.version, weight=weight)
        if found is None:
            raise _no_version(resource)
        return json_answer({"dependencies": found})

    async def _entries(self, resource: Resource) -> tuple[Sources, list[dict[str, Any]]]:
        sources = await self._finder.find(resource.repository, resource.crate)
        parts = await self._finder.parts(resource.crate, sources)
        entries = await offload(version_entries, parts, weight=sum(one.weight for one in parts))
        if not entries:
            raise absent(resource.crate)
        return sources, entries

    async def _about(self, crate: CrateName, sources: Sources) -> Mapping[str, Any]:
        for part in sources.hosted:
            versions: list[Version] = await self._catalog.list_versions(part.repository.id, crate)
            newest = _newest([one.name for one in versions])
            return next(about(one) for one in versions if one.name == newest)
        return {}


def version_entries(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The versions that sources have, the first published first. It may run in another process."""
    return [
        {
            "id": number,
            "crate": line.name,
            "num": line.version,
            "checksum": line.checksum,
            "yanked": bool(line.fields.get("yanked")),
            "dl_path": f"/api/v1/crates/{line.name}/{line.version}/download",
            "features": {**_object(line.fields.get("features")), **_object(line.fields.get("features2"))},
            "rust_version": line.fields.get("rust_version"),
            "links": line.fields.get("links"),
            "created_at": line.fields.get("pubtime"),
        }
        for number, line in enumerate(lines(parts_file(parts)), 1)
    ]


def find_dependencies(parts: Sequence[Part], version: str) -> list[dict[str, Any]] | None:
    """The dependencies of a version; None where there is none. It may run in another process."""
    for line in lines(parts_file(parts)):
        if line.version == version:
            return dependencies_of(line.fields)
    return None


def dependencies_of(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The dependencies in a line of the index."""
    listed = fields.get("deps")
    return [
        {
            "crate_id": one.get("package") or one.get("name"),
            "req": one.get("req"),
            "optional": bool(one.get("optional")),
            "default_features": one.get("default_features", True),
            "features": one.get("features", []),
            "target": one.get("target"),
            "kind": one.get("kind") or "normal",
        }
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, dict)
    ]


def _object(value: Any) -> Mapping[str, Any]:
    """What upstreams write there may be anything."""
    return value if isinstance(value, dict) else {}


def _shown(name: str, version: str, description: str) -> Mapping[str, Any]:
    return {"name": name, "max_version": version, "description": description}


def _of(entries: Iterable[dict[str, Any]], resource: Resource) -> dict[str, Any]:
    for entry in entries:
        if entry["num"] == resource.version:
            return entry
    raise _no_version(resource)


def _no_version(resource: Resource) -> VersionNotFound:
    return VersionNotFound(f"there is no version {resource.version} of {resource.crate.spelled}")


def _newest(versions: Iterable[str]) -> str:
    """That of the highest precedence; what is no release only where there is nothing else."""
    return max(versions, key=lambda one: ("-" not in one.partition("+")[0], version_order(one)))


def _number(resource: Resource, name: str, otherwise: int) -> int:
    text = resource.parameter(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 8 and int(text)):
        raise BadRequest(f"{name} is a whole number from 1 on")
    return int(text)
