"""What clients read: the page of a project and the list of projects, in the representation they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from html import escape
from itertools import islice
from typing import Any

import orjson

from nora.formats.pypi.index import ListedFile, Project
from nora.formats.pypi.names import quote_filename
from nora.http.negotiation import Offers

API_VERSION = "1.4"
"""Of the simple API: 1.1 brought sizes and times (PEP 700), 1.3 provenance (740), 1.4 the status (792)."""
OLDEST_API_VERSION = "1.0"

_HEAD = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="pypi:repository-version" content="{API_VERSION}">
"""


class PageType(Enum):
    """The representations (PEP 691). The value is the media type."""

    JSON = "application/vnd.pypi.simple.v1+json"
    HTML = "application/vnd.pypi.simple.v1+html"
    TEXT_HTML = "text/html"
    """The same bytes as HTML, under the name that browsers know."""

    @property
    def content_type(self) -> str:
        """For the header. `+json` has no charset; HTML says it although the page does, too."""
        return self.value if self is PageType.JSON else f"{self.value}; charset=utf-8"


_NAMES = {
    **{one.value: one for one in PageType},
    "application/vnd.pypi.simple.latest+json": PageType.JSON,
    "application/json": PageType.JSON,  # what scripts ask for
    "application/vnd.pypi.simple.latest+html": PageType.HTML,
}
_OFFERS = Offers(_NAMES, otherwise=PageType.TEXT_HTML)
_BATCH = 1000
"""Files that are rendered together."""


def negotiate(accept: str | None, override: str | None = None) -> PageType:
    """The representation for an `Accept` header, or for `?format=`, which wins (PEP 691).

    JSON beats HTML; who takes anything (no header, `*/*`) gets `text/html`, as from PyPI: those are browsers
    and scripts. Raises NotAcceptable.
    """
    return _OFFERS.choose(accept) if override is None else _OFFERS.named(override)


# -- the page of a project --------------------------------------------------------------------------------


def render(project: Project, page_type: PageType) -> bytes:
    """The page of a project. URLs are relative to it: the file `x.whl` is `<page>x.whl`."""
    return b"".join(render_pieces(project, page_type))


def render_pieces(project: Project, page_type: PageType) -> Iterator[bytes]:
    """The same in pieces, each made when it is asked for: some pages have more files than memory likes."""
    return _render_json(project) if page_type is PageType.JSON else _render_html(project)


def api_version(project: Project) -> str:
    """What the JSON page may call itself. From 1.1 on every file has a size and says when it was uploaded
    (PEP 700). An upstream that has only HTML, or is old, tells neither, and clients that were promised both
    fail; the other keys may be there in any version, since unknown ones are ignored."""
    known = all(file.size is not None and file.upload_time is not None for file in project.offered)
    return API_VERSION if known else OLDEST_API_VERSION


def _render_json(project: Project) -> Iterator[bytes]:
    status: dict[str, str] = {"status": project.status}
    if project.status_reason is not None:
        status["reason"] = project.status_reason
    head = {"meta": {"api-version": api_version(project)}, "name": project.name, "files": []}
    tail = {"versions": project.versions, "project-status": status}
    yield orjson.dumps(head)[:-2]  # up to the files
    comma = b""
    for files in _batches(project):
        yield comma + orjson.dumps([_file_entry(file) for file in files])[1:-1]
        comma = b","
    yield b"]," + orjson.dumps(tail)[1:]


def _batches(project: Project) -> Iterator[Sequence[ListedFile]]:
    rest = iter(project.offered)
    while files := tuple(islice(rest, _BATCH)):
        yield files


def _file_entry(file: ListedFile) -> dict[str, Any]:
    filename, _, hashes, requires, metadata, yanked, size, uploaded, provenance, gpg_sig, mark = file
    entry: dict[str, Any] = {
        "filename": filename,
        "url": f"{mark}/{quote_filename(filename)}" if mark else quote_filename(filename),
        "hashes": hashes,
        "core-metadata": metadata,
        "yanked": yanked,
    }
    if metadata is not False:
        entry["dist-info-metadata"] = metadata  # PEP 714: for clients of before
    if requires is not None:
        entry["requires-python"] = requires
    if size is not None:
        entry["size"] = size
    if uploaded is not None:
        entry["upload-time"] = uploaded
    if provenance is not None:
        entry["provenance"] = provenance
    if gpg_sig is not None:
        entry["gpg-sig"] = gpg_sig
    return entry


def _render_html(project: Project) -> Iterator[bytes]:
    name = escape(project.name)
    parts = [_HEAD, f'<meta name="pypi:project-status" content="{escape(project.status)}">\n']
    if project.status_reason is not None:
        reason = escape(project.status_reason)
        parts.append(f'<meta name="pypi:project-status-reason" content="{reason}">\n')
    parts.append(f"<title>Links for {name}</title>\n</head>\n<body>\n<h1>Links for {name}</h1>\n")
    yield "".join(parts).encode("utf-8", "replace")
    for files in _batches(project):
        yield "".join(map(_link, files)).encode("utf-8", "replace")
    yield b"</body>\n</html>\n"


def _link(file: ListedFile) -> str:
    filename, _, hashes, requires, metadata, yanked, _, _, provenance, gpg_sig, mark = file
    digest = _one_hash(hashes)
    link = f'<a href="{mark}{"/" if mark else ""}{quote_filename(filename)}{"#" if digest else ""}{digest}"'
    if requires is not None:
        link += f' data-requires-python="{_escape(requires)}"'
    if metadata is not False:
        value = (_one_hash(metadata) if isinstance(metadata, Mapping) else "") or "true"
        link += f' data-dist-info-metadata="{value}" data-core-metadata="{value}"'
    if yanked is not False:
        link += f' data-yanked="{_escape(yanked) if isinstance(yanked, str) else ""}"'
    if provenance is not None:
        link += f' data-provenance="{escape(provenance)}"'
    if gpg_sig is not None:
        link += f' data-gpg-sig="{"true" if gpg_sig else "false"}"'
    return f"{link}>{escape(filename)}</a><br>\n"


_escape = lru_cache(maxsize=1024)(escape)


def _one_hash(hashes: Mapping[str, str]) -> str:
    """The best of them: an anchor has room for one (PEP 503)."""
    for algorithm in ("sha256", "sha512", "sha384"):
        if algorithm in hashes:
            return f"{algorithm}={escape(hashes[algorithm])}"
    return next((f"{escape(name)}={escape(digest)}" for name, digest in hashes.items()), "")


# -- the list of projects ---------------------------------------------------------------------------------


def render_list(names: Iterable[str], page_type: PageType) -> bytes:
    """The list of projects, in the order given; URLs are relative to it: `<name>/`."""
    if page_type is PageType.JSON:
        return orjson.dumps(
            {"meta": {"api-version": API_VERSION}, "projects": [{"name": name} for name in names]}
        )
    links = "".join(f'<a href="{quote_filename(name)}/">{escape(name)}</a><br>\n' for name in names)
    page = f"{_HEAD}<title>Simple index</title>\n</head>\n<body>\n{links}</body>\n</html>\n"
    return page.encode("utf-8", "replace")
