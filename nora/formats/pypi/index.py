"""The page of a project as a value: what an upstream lists, what is stored of it, and how listings merge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NamedTuple, cast, overload

import orjson
import zstandard

from nora.errors import InvalidName
from nora.formats.pypi.fields import (
    clean_hashes,
    clean_metadata,
    clean_size,
    clean_text,
    clean_time,
    clean_url,
    clean_version,
    clean_yanked,
)
from nora.formats.pypi.json_page import JsonPage
from nora.formats.pypi.names import ProjectName, is_filename, version_of

Status = Literal["active", "archived", "quarantined", "deprecated"]
"""PEP 792. Quarantined: no file is offered. Archived, quarantined: nothing is taken in."""

MAX_STORED = 1 << 30
"""Bytes of a stored form after decompression."""


class IndexUnreadable(ValueError):
    """What an upstream sent is no page of a project; the message says why."""


class ListedFile(NamedTuple):
    """A file as the page of its project lists it. A tuple: some pages have ten thousand of them."""

    filename: str
    """Safe, see `names.is_filename`."""
    url: str = ""
    """Where an upstream has it: absolute, http(s), without a fragment. Empty: it is hosted here."""
    hashes: Mapping[str, str] = {}
    """Lower-case hexadecimal by algorithm (`sha256`); may be empty."""
    requires_python: str | None = None
    core_metadata: Mapping[str, str] | bool = False
    """Whether `<filename>.metadata` is offered (PEP 658): its hashes, or True where they are not known."""
    yanked: str | bool = False
    """PEP 592: True, or the reason (never empty)."""
    size: int | None = None
    """Bytes."""
    upload_time: str | None = None
    """`2026-01-02T03:04:05.678901Z`: at most microseconds, always UTC (PEP 700)."""
    provenance: str | None = None
    """Absolute URL of its attestations (PEP 740)."""
    gpg_sig: bool | None = None
    mark: str = ""
    """What its address has in front of its name, where its upstream replaces files. Not stored."""


@dataclass(frozen=True, slots=True)
class Project:
    """The page of a project."""

    name: ProjectName
    files: Sequence[ListedFile] = ()
    """No file name twice."""
    versions: Sequence[str] = ()
    """Without duplicates; there may be some without files."""
    status: Status = "active"
    status_reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether new files are taken in (PEP 792)."""
        return self.status in ("active", "deprecated")

    @property
    def offered(self) -> Sequence[ListedFile]:
        """The files that may be had: none while the project is quarantined (PEP 792)."""
        return () if self.status == "quarantined" else self.files

    def find(self, filename: str) -> ListedFile | None:
        """The file of this name, if it may be had."""
        return next((file for file in self.offered if file.filename == filename), None)


def listing(
    name: ProjectName,
    files: Iterable[ListedFile],
    versions: Sequence[object] | None,
    status: object,
    reason: object,
) -> Project:
    """A page of what was read: the first of several files of one name counts; versions are those of the
    file names when none are given."""
    listed = tuple(_distinct(files))
    return Project(name, listed, _read_versions(versions, listed), _read_status(status), clean_text(reason))


def _distinct(files: Iterable[ListedFile]) -> Iterator[ListedFile]:
    seen: set[str] = set()
    for file in files:
        if file.filename not in seen:
            seen.add(file.filename)
            yield file


def _read_versions(versions: Sequence[object] | None, files: Iterable[ListedFile]) -> tuple[str, ...]:
    if not versions:
        found = (version_of(file.filename) for file in files)
    else:
        found = (clean_version(version) for version in versions)
    return tuple(dict.fromkeys(version for version in found if version is not None))


def _read_status(status: object) -> Status:
    """A status that is not known means as much as none (PEP 792)."""
    known = isinstance(status, str) and status in ("archived", "quarantined", "deprecated")
    return cast("Status", status) if known else "active"


def parse_json(body: bytes, url: str, name: ProjectName) -> Project:
    """A page as `application/vnd.pypi.simple.v1+json` (PEP 691); `url` is where it was had from.

    Files that cannot be served under their name, or that are nowhere, are left out. Raises IndexUnreadable.
    """
    page = JsonPage(body)
    files = tuple(_read_files(page, url, name))
    return listing(name, files, *_read_rest(page, name))


def store_json(body: bytes, url: str, name: ProjectName) -> bytes:
    """`encode(parse_json(…))`, a piece at a time: what it takes does not grow with the page."""
    page = JsonPage(body)
    pieces = _encoded(_distinct(_read_files(page, url, name)))
    versions, status, reason = _read_rest(page, name)
    listed = _read_versions(versions, StoredFiles(pieces))
    return _stored(Project(name, (), listed, _read_status(status), clean_text(reason)), pieces)


def _read_files(page: JsonPage, url: str, name: ProjectName) -> Iterator[ListedFile]:
    try:
        for entry in page.files():
            if isinstance(entry, dict) and (file := _read_file(entry, url)) is not None:
                yield file
    except ValueError as error:
        raise IndexUnreadable(f"the page of {name} is no JSON: {error}") from None


def _read_rest(page: JsonPage, name: ProjectName) -> tuple[Sequence[object] | None, object, object]:
    """Versions, status and its reason. Raises IndexUnreadable."""
    rest = page.rest
    if not isinstance(rest, dict) or not isinstance(rest.get("files"), list):
        raise IndexUnreadable(f"the page of {name} has no files")
    meta = rest.get("meta")
    check_api_version(meta.get("api-version") if isinstance(meta, dict) else None, name)
    check_name(rest.get("name"), name)
    versions, status = rest.get("versions"), rest.get("project-status")
    if not isinstance(status, dict):
        status = {"status": status}
    return versions if isinstance(versions, list) else None, status.get("status"), status.get("reason")


def check_api_version(version: object, name: str) -> None:
    """Raises IndexUnreadable for pages of a later major version (PEP 629). None: there was none yet."""
    major = version.partition(".")[0] if isinstance(version, str) else None
    if version is not None and major != "1":
        raise IndexUnreadable(f"the page of {name} is of a version of the simple API that is not known")


def check_name(found: object, name: ProjectName) -> None:
    """Raises IndexUnreadable when a page says that it is another project's."""
    if found is None:
        return
    try:
        same = isinstance(found, str) and ProjectName.of(found) == name
    except InvalidName:
        same = False
    if not same:
        raise IndexUnreadable(f"the page of {name} is that of another project")


def _read_file(entry: dict[str, Any], base: str) -> ListedFile | None:
    get = entry.get
    filename = get("filename")
    if not isinstance(filename, str) or not is_filename(filename):
        return None
    url = clean_url(get("url"), base)
    if url is None:
        return None
    metadata = get("core-metadata")
    if metadata is None:  # PEP 714: what the key was called before, and what PyPI has always called it
        metadata = get("dist-info-metadata", get("data-dist-info-metadata"))
    provenance, gpg_sig = get("provenance"), get("gpg-sig")
    return ListedFile(
        filename,
        url,
        clean_hashes(get("hashes")),
        clean_text(get("requires-python")),
        clean_metadata(metadata),
        clean_yanked(get("yanked")),
        clean_size(get("size")),
        clean_time(get("upload-time")),
        clean_url(provenance, base) if provenance is not None else None,
        gpg_sig if isinstance(gpg_sig, bool) else None,
    )


# -- the stored form --------------------------------------------------------------------------------------
#
# A head and pieces of so many files, each behind its length: JSON by column, compressed. Like stands beside
# like. Most addresses end in the file name, most files have just a SHA-256, and those are written in short.
# The first byte is the version of the form.

_FORM = b"\x02"
_COLUMNS = 10
_PIECE_FILES = 2048
_LEVEL = 1
"""Of zstd. Measured with 11,221 files (8 MB of JSON): level 1 gives 1.35 MB, 3 gives 1.39, 9 gives 1.41."""
_EXPANSION = 4
"""How many times their size most pieces are at least after decompression."""


class StoredFiles(Sequence[ListedFile]):
    """The files of a stored page, read when they are iterated, a piece at a time."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    def __len__(self) -> int:
        last = len(_decoded(self._pieces[-1])) if self._pieces else 0
        return max(0, len(self._pieces) - 1) * _PIECE_FILES + last

    def __iter__(self) -> Iterator[ListedFile]:
        for piece in self._pieces:
            yield from _decoded(piece)

    @overload
    def __getitem__(self, index: int) -> ListedFile: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ListedFile]: ...
    def __getitem__(self, index: int | slice) -> ListedFile | Sequence[ListedFile]:
        return tuple(self)[index]


def encode(project: Project) -> bytes:
    """The stored form of a page: compact, and quick to read back."""
    return _stored(project, _encoded(project.files))


def _stored(project: Project, pieces: Sequence[bytes]) -> bytes:
    head = [project.name, list(project.versions), project.status, project.status_reason]
    parts = [_packed(head), *pieces]
    return _FORM + b"".join(len(part).to_bytes(4) + part for part in parts)


def _encoded(files: Iterable[ListedFile]) -> list[bytes]:
    pieces = []
    rest = iter(files)
    while piece := tuple(islice(rest, _PIECE_FILES)):
        columns: list[Any] = [*zip(*piece, strict=True)][:_COLUMNS]
        columns[1] = [_short_url(url, name) for url, name in zip(columns[1], columns[0], strict=True)]
        columns[2] = [_short_hashes(one) for one in columns[2]]
        columns[4] = [_short_hashes(one) for one in columns[4]]
        pieces.append(_packed(columns))
    return pieces


def _packed(value: object) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL).compress(orjson.dumps(value))


def decode(stored: bytes) -> Project:
    """Files of large pages are read when they are iterated. Raises IndexUnreadable when this is not what
    `encode` gave; so does iterating."""
    try:
        if stored[:1] != _FORM:
            raise ValueError
        head, *pieces = _parts(stored)
        name, versions, status, reason = _unpacked(head)
        files = _decoded(pieces[0]) if len(pieces) == 1 else StoredFiles(pieces) if pieces else ()
        return Project(ProjectName(name), files, tuple(versions), _read_status(status), reason)
    except (ValueError, TypeError, IndexError, zstandard.ZstdError):
        raise IndexUnreadable("a stored page is not in the form of this version") from None


def weight(stored: bytes) -> int:
    """How much work a stored page is, in bytes of one that is compressed as most are: a page that repeats
    itself, as an upstream likes, is small and expands to any size. 0 for what is none."""
    try:
        return sum(map(zstandard.frame_content_size, _parts(stored))) // _EXPANSION
    except (ValueError, zstandard.ZstdError):
        return 0


def _parts(stored: bytes) -> Iterator[bytes]:
    start = len(_FORM)
    while start < len(stored):
        end = start + 4 + int.from_bytes(stored[start : start + 4])
        if end > len(stored):
            raise ValueError
        yield stored[start + 4 : end]
        start = end


def _unpacked(part: bytes) -> Any:
    return orjson.loads(zstandard.ZstdDecompressor().decompress(part, max_output_size=MAX_STORED))


def _decoded(piece: bytes) -> tuple[ListedFile, ...]:
    try:
        columns = _unpacked(piece)
        columns[1] = [_long_url(url, name) for url, name in zip(columns[1], columns[0], strict=True)]
        columns[2] = [{"sha256": one} if isinstance(one, str) else one for one in columns[2]]
        columns[4] = [{"sha256": one} if isinstance(one, str) else one for one in columns[4]]
        columns.append([""] * len(columns[0]))
        return tuple(map(ListedFile._make, zip(*columns, strict=True)))
    except (ValueError, TypeError, IndexError, zstandard.ZstdError):
        raise IndexUnreadable("a stored page is not in the form of this version") from None


def _short_url(url: Any, filename: str) -> object:
    return url[: -len(filename)] if url.endswith(filename) else [url]


def _long_url(url: Any, filename: str) -> str:
    return url + filename if isinstance(url, str) else str(url[0])


def _short_hashes(hashes: Any) -> object:
    return hashes["sha256"] if isinstance(hashes, dict) and hashes.keys() == {"sha256"} else hashes


def merge(projects: Sequence[Project]) -> Project:
    """One page of several of one project, at least one: the first wins where two list a file of one name.

    Its status is that of the first; the files of those that are quarantined are left out.
    """
    first = projects[0]
    if len(projects) == 1:
        return first
    files: dict[str, ListedFile] = {}
    versions: dict[str, None] = {}
    for project in projects:
        for file in project.offered:
            files.setdefault(file.filename, file)
        versions |= dict.fromkeys(project.versions)
    return Project(first.name, tuple(files.values()), tuple(versions), first.status, first.status_reason)
