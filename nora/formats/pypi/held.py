"""What is here of an upstream's project, where the upstream is not asked: its page lists no more than that.

An installer takes the newest version that a page lists, and fails when that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nora.catalog.records import PackageFile
from nora.errors import InvalidName
from nora.formats.pypi.hosted import METADATA
from nora.formats.pypi.index import ListedFile, Project, decode, encode
from nora.formats.pypi.marks import is_of
from nora.formats.pypi.names import ProjectName, is_filename, parse_filename, version_of


def held_files(project: str, rows: Sequence[PackageFile]) -> Iterator[tuple[str, PackageFile]]:
    """The wheels, sdists and relics among what is cached of a project, by file name."""
    start = len(project) + 1
    for row in rows:
        filename = row.path[start:]
        if row.path.startswith(f"{project}/") and is_filename(filename):
            yield filename, row


def held_page(project: ProjectName, page: bytes, rows: Sequence[PackageFile]) -> bytes:
    """The page of a project in its stored form, with the files that are here. `page`: what the upstream
    listed, in its stored form; empty: that is not here, and nothing but names and bytes of files is known."""
    return encode(held_project(project, decode(page) if page else None, rows))


def held_project(project: ProjectName, page: Project | None, rows: Sequence[PackageFile]) -> Project:
    """As `held_page`. The hashes are those of the bytes that are here: the upstream may have others by now,
    and has them under the same name."""
    held = dict(held_files(project, rows))
    metadata = {row.path[len(project) + 1 :]: row for row in rows if row.path.endswith(METADATA)}
    listed = [ListedFile(filename) for filename in held] if page is None else page.files
    files = [_as_held(one, held[one.filename], metadata) for one in listed if one.filename in held]
    versions = tuple(dict.fromkeys(filter(None, (version_of(one.filename) for one in files))))
    if page is None:
        return Project(project, files, versions)
    return Project(project, files, versions, page.status, page.status_reason)


def _as_held(listed: ListedFile, row: PackageFile, metadata: Mapping[str, PackageFile]) -> ListedFile:
    beside = metadata.get(listed.filename + METADATA)
    core_metadata: Mapping[str, str] | bool = _is_wheel(listed.filename)  # it can be taken out of it
    if beside is not None and is_of(beside.document, row.blob.digest.encoded, row.document):
        core_metadata = {"sha256": beside.blob.digest.encoded}
    return listed._replace(
        hashes={"sha256": row.blob.digest.encoded}, size=row.blob.size, core_metadata=core_metadata
    )


def _is_wheel(filename: str) -> bool:
    try:
        return parse_filename(filename).kind == "wheel"
    except InvalidName:
        return False
