"""PyPI's JSON API: `/pypi/<project>/json` and `/pypi/<project>/<version>/json`, for scripts and update bots.

Of a hosted project it is made of the rows and of the core metadata of one file; of an upstream's it is passed
on. Its links are whole URLs of this server, so there is a variant for each address under which it is reached;
nothing that is stored has one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import orjson
from blacksheep import Response
from packaging.version import InvalidVersion
from packaging.version import Version as Parsed

from nora.auth.authorizer import Authorizer
from nora.catalog.blocks import Hidden
from nora.catalog.records import PackageFile, Version
from nora.errors import UpstreamFailed, VersionNotFound
from nora.formats.base import Services
from nora.formats.pypi.held import held_files
from nora.formats.pypi.hosted import METADATA, YANKED, distributions, iso_time, status_of
from nora.formats.pypi.names import ProjectName, is_filename, normalize_version, quote_filename
from nora.formats.pypi.parts import without_in_json
from nora.formats.pypi.resource import Resource
from nora.formats.pypi.settings import PypiSettings
from nora.formats.pypi.sources import absent
from nora.formats.pypi.upstream import Index
from nora.formats.sources import HostedPart
from nora.http.encodings import Encoding, compress
from nora.http.render_cache import MakeEncoded
from nora.http.send import Header
from nora.model import Repository
from nora.outbound import Reply
from nora.proxy.answers import NO_CACHE, age_headers
from nora.proxy.base import Document, Fetched
from nora.proxy.offload import offload
from nora.proxy.upstreams import document_fetch
from nora.resolve import Candidate, Source

MEDIA_TYPE: Final = "application/json"
_SIMPLE: Final = "/simple"
_FIELD_WORK: Final = 64
_ROW_WORK: Final = 512
"""How much more work a byte of core metadata before the description, and a file, is than most bytes are."""


class _Passed(NamedTuple):
    """A document of a source that is passed on."""

    document: Document
    held: tuple[int, int] | None
    """Of a source that is not asked: its rows, and the revision of the project in them. Only files that are
    here are listed."""
    hidden: Hidden | None = None
    """What is blocked of it."""

    @property
    def key(self) -> tuple[object, ...]:
        """Changes with every change of what is passed on."""
        return self.document.cached.blob.id, self.held, self.hidden and self.hidden.key


class HostedRows(NamedTuple):
    """A project in a hosted repository, as its document is made of it."""

    files: Sequence[PackageFile]
    versions: Sequence[Version]
    is_offered: bool
    """Whether its files may be had (PEP 792)."""


class JsonApi:
    """The endpoints of the JSON API."""

    def __init__(self, services: Services, authorizer: Authorizer, index: Index) -> None:
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._resolver = services.resolver
        self._index = index
        self._render_cache = services.render_cache
        self._max_bytes = services.settings(PypiSettings).max_index_size

    async def get(self, resource: Resource) -> Response:
        """GET and HEAD of a project, or of one of its versions."""
        project = resource.project
        version = normalize_version(resource.version) if resource.version else ""

        async def look(hosted: Repository) -> HostedPart | None:
            package = await self._catalog.find_package(hosted.id, project)
            if package is None:
                return None
            blocks = self._catalog.blocks()
            blocks.check(hosted.id, project, (version,))
            return HostedPart(hosted, package, blocks.hidden(hosted.id, project))

        async def ask(candidate: Candidate) -> _Passed | None:
            blocks = self._catalog.blocks()
            blocks.check(candidate.source.id, project, (version,))
            if not candidate.is_last and await self._index.page(candidate.source, project) is None:
                return None  # what has no page is not there, with a JSON API or without
            document = await self._document(candidate.source, project, version)
            if document is not None:
                hidden = blocks.hidden(candidate.source.id, project)
                return _Passed(document, await self._held(candidate.source, project), hidden)
            if candidate.is_last:
                return None
            raise VersionNotFound(f"there is no {project} {version}".rstrip())

        resolution = await self._resolver.resolve(resource.repository, project)
        parts = await self._resolver.every_hosted(resource.repository, look)
        if parts:
            return await self._hosted(resource, parts, version)
        passed = await self._resolver.every(resolution, ask)
        if not passed:
            raise absent(resolution)
        return await self._passed_on(resource, passed)

    async def _hosted(self, resource: Resource, parts: Sequence[HostedPart], version: str) -> Response:
        base, project = resource.base_url, resource.project

        async def make(encoding: Encoding) -> bytes:
            read = [await self._rows(part, project) for part in parts]
            shown = version or _newest([one for rows in read for one in rows.versions])
            if not any(shown == one.name for rows in read for one in rows.versions):
                raise VersionNotFound(f"there is no {project} {version}".rstrip())
            raw = await self._core_metadata([row for rows in read for row in rows.files], shown)
            offered = [rows for rows in read if rows.is_offered]  # PEP 792
            work = _work(raw or b"", sum(len(rows.files) for rows in offered))
            page = partial(render, project, shown, read, raw, base, whole=not version)
            serial = max(part.package.revision for part in parts)
            return await offload(make_document, page, serial, encoding.value, weight=work)

        key = (
            *((part.repository.id, part.package.id, part.package.revision) for part in parts),
            *(part.hidden.key for part in parts if part.hidden is not None),
            version,
            base,
        )
        return await self._respond(resource, key, make, (NO_CACHE,))

    async def _rows(self, part: HostedPart, project: ProjectName) -> HostedRows:
        files = await self._catalog.list_package_files(part.repository.id, project)
        versions = await self._catalog.list_versions(part.repository.id, project)
        if (hidden := part.hidden) is not None:
            files = [one for one in files if not hidden.has(one.version, one.blob.digest)]
            versions = [one for one in versions if not hidden.has(one.name)]
        return HostedRows(files, versions, status_of(part.package)[0] != "quarantined")

    async def _core_metadata(self, rows: Sequence[PackageFile], version: str) -> bytes | None:
        for row in rows:
            if row.version == version and row.path.endswith(METADATA):
                return await self._blobs.read(row.blob)
        return None

    async def _held(self, source: Source, project: ProjectName) -> tuple[int, int] | None:
        if self._index.is_online(source):
            return None
        package = await self._catalog.find_package(source.id, project)
        return source.id, 0 if package is None else package.revision

    async def _passed_on(self, resource: Resource, passed: Sequence[_Passed]) -> Response:
        base = resource.base_url
        documents = [one.document for one in passed]

        async def body(one: _Passed) -> bytes:
            raw = await self._blobs.read(one.document.cached.blob)
            if one.hidden is not None:
                raw = await offload(without_in_json, raw, one.hidden)
            if one.held is None:
                return raw
            rows = await self._catalog.list_package_files(one.held[0], resource.project)
            return await offload(only_held, raw, frozenset(dict(held_files(resource.project, rows))))

        async def make(encoding: Encoding) -> bytes:
            bodies = [await body(one) for one in passed]
            links = f"{base}/simple/{resource.project}/"
            return await offload(rewrite, links, encoding.value, *bodies)

        public = self._authorizer.is_public(resource.repository)
        key = (*(one.key for one in passed), base)
        return await self._respond(resource, key, make, age_headers(documents, public=public))

    async def _respond(
        self, resource: Resource, key: tuple[object, ...], make: MakeEncoded, headers: Sequence[Header]
    ) -> Response:
        return await self._render_cache.variant(
            resource, ("json", key), make, media_type=MEDIA_TYPE, headers=headers
        )

    async def _document(self, source: Source, project: ProjectName, version: str) -> Document | None:
        """As a source has it beside its simple API. Raises UpstreamFailed."""
        path = f"{project}/{version}/json" if version else f"{project}/json"
        upstream = self._index.upstream(source)
        if not upstream.url.endswith(_SIMPLE):
            return None

        async def parse(reply: Reply) -> Fetched:
            try:
                await offload(check, reply.body)
            except ValueError:
                raise UpstreamFailed(f"the JSON of {project} cannot be used") from None
            return Fetched(body=reply.body, media_type=MEDIA_TYPE, upstream_url=reply.url)

        url = f"{upstream.url.removesuffix(_SIMPLE)}/pypi/{path}"
        fetch = document_fetch(upstream, url, {"accept": MEDIA_TYPE}, parse, max_bytes=self._max_bytes)
        return await self._index.cached(source, path, fetch, package=project)


def check(body: bytes) -> None:
    """Raises ValueError for what is no document of this API, or cannot be passed on."""
    page = orjson.loads(body)
    if not isinstance(page, dict) or not isinstance(page.get("info"), dict):
        raise ValueError("there is no info")
    try:
        orjson.dumps(page)
    except TypeError as error:  # it reads what is nested more deeply than it writes
        raise ValueError("it cannot be written again") from error


def only_held(body: bytes, filenames: Collection[str]) -> bytes:
    """An upstream's document with those of its files."""
    page: dict[str, Any] = orjson.loads(body)

    def held(files: object) -> list[object]:
        listed = files if isinstance(files, list) else []
        return [one for one in listed if isinstance(one, dict) and str(one.get("filename")) in filenames]

    page["urls"] = held(page.get("urls"))
    if isinstance(page.get("releases"), dict):
        kept = {version: held(files) for version, files in page["releases"].items()}
        page["releases"] = {version: files for version, files in kept.items() if files}
    return orjson.dumps(page)


def rewrite(base: str, encoding: str, body: bytes, *more: bytes) -> bytes:
    """An upstream's document with links to our files. What is no file that we would serve is left out.

    `more` are those of sources that are trusted alike: their files are joined, of two with one name the first
    counts; the rest is the first document's.
    """
    page = _relinked_page(body, base)
    for other in (_relinked_page(one, base) for one in more):
        for version, files in other.get("releases", {}).items():
            page.setdefault("releases", {}).setdefault(version, []).extend(files)
        if other["info"].get("version") == page["info"].get("version"):
            page["urls"] += other["urls"]
    for files in (page["urls"], *page.get("releases", {}).values()) if more else ():
        files[:] = {file["filename"]: file for file in reversed(files)}.values()
        files.reverse()
    return _encoded(orjson.dumps(page), encoding)


def _relinked_page(body: bytes, base: str) -> dict[str, Any]:
    page: dict[str, Any] = orjson.loads(body)
    releases = page.pop("releases", None)
    if isinstance(releases, dict):
        page["releases"] = {version: _relinked(files, base) for version, files in releases.items()}
    page["urls"] = _relinked(page.get("urls"), base)
    return page


def _relinked(files: object, base: str) -> list[dict[str, Any]]:
    return [
        {**file, "url": base + quote_filename(file["filename"])}
        for file in (files if isinstance(files, list) else ())
        if isinstance(file, dict) and isinstance(file.get("filename"), str) and is_filename(file["filename"])
    ]


def render(
    project: ProjectName,
    shown: str,
    parts: Sequence[HostedRows],
    raw: bytes | None,
    base: str,
    *,
    whole: bool,
) -> dict[str, Any]:
    """The document of a hosted project. `shown` is the version that `info` is of, `raw` its core metadata;
    `whole` says whether it is the project's own, which has all releases. Of files with one name that of the
    first repository counts."""
    from nora.formats.pypi.metadata import parse_metadata  # loaded with the first document

    links = f"{base}/simple/{project}/"
    releases: dict[str, list[dict[str, Any]]] = {one.name: [] for part in parts for one in part.versions}
    reasons: dict[str, Any] = {}
    seen: set[str] = set()
    for part in parts:
        own = {
            one.name: orjson.loads(one.document).get(YANKED) for one in part.versions if one.state == YANKED
        }
        reasons = own | reasons
        for row, document in distributions(part.files if part.is_offered else ()):
            if row.path not in seen:
                seen.add(row.path)
                entry = _entry(row, document, links)
                entry["yanked"], entry["yanked_reason"] = row.version in own, own.get(row.version or "")
                releases.setdefault(row.version or "", []).append(entry)
    info = {} if raw is None else dict(parse_metadata(raw).info)
    info |= {
        "name": info.get("name") or project,
        "version": shown,
        "package_url": links,
        "project_url": links,
        "release_url": links,
        "yanked": shown in reasons,
        "yanked_reason": reasons.get(shown),
    }
    page = {"info": info, "urls": releases.get(shown, []), "vulnerabilities": []}
    return {**page, "releases": releases} if whole else page


def _work(raw: bytes, files: int) -> int:
    """How many bytes a document of this core metadata and so many files is worth."""
    fields = raw.find(b"\n\n")
    return len(raw) + _FIELD_WORK * (len(raw) if fields < 0 else fields) + _ROW_WORK * files


def make_document(page: Callable[[], dict[str, Any]], serial: int, encoding: str) -> bytes:
    """A variant of the document of a hosted project."""
    return _encoded(orjson.dumps({**page(), "last_serial": serial}), encoding)


def _entry(row: PackageFile, document: dict[str, Any], links: str) -> dict[str, Any]:
    filename = row.path.rpartition("/")[2]
    is_wheel = document.get("kind") == "wheel"
    uploaded = iso_time(row.created_at)
    return {
        "comment_text": "",
        "core-metadata": {"sha256": document["metadata"]} if is_wheel else False,
        "digests": {"sha256": row.blob.digest.encoded},
        "downloads": -1,
        "filename": filename,
        "has_sig": False,
        "packagetype": "bdist_wheel" if is_wheel else "sdist",
        "python_version": filename.split("-")[-3] if is_wheel else "source",
        "requires_python": document.get("requires-python"),
        "size": row.blob.size,
        "upload_time": uploaded[:19],
        "upload_time_iso_8601": uploaded,
        "url": links + quote_filename(filename),
    }


def _newest(versions: Sequence[Version]) -> str:
    """As an installer would choose: final and not yanked, if there is one."""
    ranked = sorted(versions, key=_rank)
    return ranked[-1].name if ranked else ""


def _rank(version: Version) -> tuple[bool, bool, Parsed]:
    try:
        parsed = Parsed(version.name)
    except InvalidVersion:
        parsed = Parsed("0")
    return version.state != YANKED, not parsed.is_prerelease, parsed


def _encoded(body: bytes, encoding: str) -> bytes:
    return compress(body, Encoding(encoding))
