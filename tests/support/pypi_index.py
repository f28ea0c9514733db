"""A package index like PyPI on an upstream of a test: projects with real files, in every dress of today.

    index = PyPIIndex()
    index.add(Release(project="Foo.Bar", requires=["baz>=1"]).wheel(), yanked="broken")
    index.mount(up)                                   # f"{up.url}/simple/"
    index.page("foo-bar", JSON)                       # the Answer, to serve it with a fault

Pages are made anew for each request: change `index.projects` and the next page shows it.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, unquote

from tests.support.answers import Answer, Asked, document
from tests.support.upstream import Upstream
from tests.support.wheels import Built

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
OLD_HTML = "text/html"
FILE_MODIFIED = "Tue, 02 Jan 2024 00:00:00 GMT"


@dataclass(slots=True, kw_only=True)
class Listed:
    """A file on a page. What is None or false is not said."""

    built: Built
    hashes: bool = True
    size: bool = True
    upload_time: str | None = "2024-01-02T03:04:05.678901Z"
    yanked: bool | str = False
    metadata: bool = True
    """Whether core metadata is announced."""
    serves_metadata: bool = True
    """Whether it is there, too."""
    provenance: str | None = None
    requires_python: str | None = None
    body: Answer | None = None
    """What is served instead of the file."""
    url: str | None = None
    """Instead of where the file is."""

    @property
    def filename(self) -> str:
        return self.built.filename


@dataclass(slots=True)
class ListedProject:
    name: str
    files: list[Listed] = field(default_factory=list)
    status: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class PyPIIndex:
    """A handler of `Upstream.mount`. The switches make it an older or stranger index than PyPI is."""

    json: bool = True
    """Otherwise every page is `text/html`."""
    metadata: bool = True
    """PEP 658: announced and served."""
    hashes: bool = True
    ranges: bool = True
    """Range for files."""
    etags: bool = True
    max_age: int | None = 600
    files_url: str = ""
    """Where files are: an origin, or nothing for this one. Mount the index there too."""
    hrefs: Literal["absolute", "root", "relative"] = "absolute"
    base: str | None = None
    """The `<base href>` of HTML pages, `{origin}` in it is this one; what is relative is below `/files/`."""
    quote: str = '"'
    """Around the attributes of HTML: '"', "'"."""
    api_version: str = "1.4"
    projects: dict[str, ListedProject] = field(default_factory=dict)

    def add(self, *files: Built, **said: Any) -> None:
        """List files; `said` are fields of Listed."""
        for built in files:
            name = normalized(built.project)
            listed = Listed(built=built, **({"requires_python": built.requires_python} | said))
            self.projects.setdefault(name, ListedProject(name)).files.append(listed)

    def find(self, filename: str) -> Listed:
        return next(
            one for project in self.projects.values() for one in project.files if one.filename == filename
        )

    def remove(self, filename: str) -> None:
        for project in self.projects.values():
            project.files = [one for one in project.files if one.filename != filename]

    def mount(self, *upstreams: Upstream) -> None:
        for upstream in upstreams:
            for prefix in ("/simple/", "/files/", "/pypi/", "/integrity/"):
                upstream.mount(prefix, self)

    def path_of(self, filename: str) -> str:
        """Of a file, as it is asked for."""
        found = self.find(filename).built.sha256
        return f"/files/{found[:2]}/{found[2:10]}/{quote(filename)}"

    def __call__(self, asked: Asked) -> Answer | None:
        match [unquote(part) for part in asked.path.strip("/").split("/")]:
            case ["simple"]:
                return self._list(self._kind(asked))
            case ["simple", name] if name in self.projects:
                return self.page(name, self._kind(asked), asked.headers.get("host", ""))
            case ["simple", name] if normalized(name) in self.projects:
                return Answer(status=301, headers={"location": f"/simple/{normalized(name)}/"})
            case ["files", _, _, filename]:
                return self._file(filename)
            case ["pypi", name, "json"] if name in self.projects:
                return self._legacy(name, None, asked.headers.get("host", ""))
            case ["pypi", name, version, "json"] if name in self.projects:
                return self._legacy(name, version, asked.headers.get("host", ""))
            case ["integrity", *_, filename, "provenance"]:
                body = {"version": 1, "attestation_bundles": [], "of": filename}
                return document(json.dumps(body).encode(), "application/vnd.pypi.integrity.v1+json")
        return None

    # Pages

    def _kind(self, asked: Asked) -> str:
        accept = asked.headers.get("accept", "*/*")
        return next((kind for kind in (JSON, HTML) if self.json and kind in accept), OLD_HTML)

    def _list(self, kind: str) -> Answer:
        if kind == JSON:
            body = {"meta": self._meta(), "projects": [{"name": name} for name in self.projects]}
            return document(json.dumps(body).encode(), kind)
        anchors = "".join(f'<a href="/simple/{name}/">{name}</a>\n' for name in self.projects)
        return document(f"<!DOCTYPE html><html><body>\n{anchors}</body></html>".encode(), kind)

    def page(self, name: str, kind: str = JSON, host: str = "") -> Answer:
        """Of a project, in one of the three kinds; `host` as the client has written it."""
        project = self.projects[name]
        make = self._json_page if kind == JSON else self._html_page
        body = make(project, host).encode()
        answer = document(body, kind, etag="" if self.etags else None, ranges=False)
        answer = answer.plus(vary="Accept, Accept-Encoding", x_pypi_last_serial=str(len(project.files)))
        return (
            answer if self.max_age is None else answer.plus(cache_control=f"max-age={self.max_age}, public")
        )

    def _meta(self) -> dict[str, Any]:
        return {"api-version": self.api_version, "_last-serial": 1}

    def _json_page(self, project: ListedProject, host: str) -> str:
        versions = list(dict.fromkeys(one.built.version for one in project.files))
        body: dict[str, Any] = {
            "meta": self._meta(),
            "name": project.name,
            "versions": versions,
            "files": [self._json_file(one, host) for one in project.files],
        }
        if project.status is not None:
            body["project-status"] = {"status": project.status, "reason": project.reason}
        return json.dumps(body)

    def _json_file(self, one: Listed, host: str) -> dict[str, Any]:
        metadata = self._core_metadata(one)
        said: dict[str, Any] = {
            "filename": one.filename,
            "url": self._href(one, host),
            "hashes": {"sha256": one.built.sha256} if self.hashes and one.hashes else {},
            "requires-python": one.requires_python,
            "yanked": one.yanked,
            "core-metadata": metadata,
            "data-dist-info-metadata": metadata,
            "provenance": one.provenance,
        }
        if one.size:
            said["size"] = len(one.built.body)
        if one.upload_time is not None:
            said["upload-time"] = one.upload_time
        return said

    def _core_metadata(self, one: Listed) -> bool | dict[str, str]:
        if not (self.metadata and one.metadata and one.filename.endswith(".whl")):
            return False
        return {"sha256": hashlib.sha256(one.built.metadata).hexdigest()}

    def _html_page(self, project: ListedProject, host: str) -> str:
        head = '<meta name="pypi:repository-version" content="1.4">'
        if self.base is not None:
            base = self.base.replace("{origin}", f"http://{host}")
            head += f"<base href={self.quote}{base}{self.quote}>"
        if project.status is not None:
            head += f'<meta name="pypi:project-status" content="{project.status}">'
        anchors = "".join(
            f"<a {' '.join(self._attributes(one, host))}>{html.escape(one.filename)}</a><br />\n"
            for one in project.files
        )
        return (
            f"<!DOCTYPE html>\n<html>\n<head>{head}<title>Links for {project.name}</title></head>\n"
            f"<body>\n<h1>Links for {project.name}</h1>\n{anchors}</body>\n</html>\n<!--SERIAL 1-->"
        )

    def _attributes(self, one: Listed, host: str) -> Iterator[str]:
        fragment = f"#sha256={one.built.sha256}" if self.hashes and one.hashes else ""
        said = {"href": self._href(one, host) + fragment}
        if one.requires_python is not None:
            said["data-requires-python"] = one.requires_python
        if one.yanked is not False:
            said["data-yanked"] = "" if one.yanked is True else one.yanked
        if metadata := self._core_metadata(one):
            assert isinstance(metadata, dict)
            said["data-core-metadata"] = said["data-dist-info-metadata"] = f"sha256={metadata['sha256']}"
        if one.provenance is not None:
            said["data-provenance"] = one.provenance
        for name, value in said.items():
            yield f"{name}={self.quote}{html.escape(value)}{self.quote}"

    def _href(self, one: Listed, host: str) -> str:
        if one.url is not None:
            return one.url
        path = self.path_of(one.filename)
        if self.hrefs == "absolute":
            return (self.files_url or f"http://{host}") + path
        if self.base is not None:
            return path.removeprefix("/files/")
        return path if self.hrefs == "root" else f"../..{path}"

    # Files

    def _file(self, filename: str) -> Answer | None:
        wanted = filename.removesuffix(".metadata")
        found = [one for project in self.projects.values() for one in project.files if one.filename == wanted]
        if not found:
            return None
        one = found[0]
        if wanted != filename:
            if not (self.metadata and one.serves_metadata):
                return None
            return document(one.built.metadata, "text/plain; charset=UTF-8")
        if one.body is not None:
            return one.body
        answer = document(one.built.body, "application/octet-stream", ranges=self.ranges)
        return answer.plus(last_modified=FILE_MODIFIED, cache_control="max-age=365000000, immutable, public")

    # The older API

    def _legacy(self, name: str, version: str | None, host: str) -> Answer | None:
        files = self.projects[name].files
        chosen = version or (files[-1].built.version if files else "")
        if version is not None and version not in [one.built.version for one in files]:
            return None
        releases: dict[str, list[dict[str, Any]]] = {}
        for one in files:
            releases.setdefault(one.built.version, []).append(self._legacy_file(one, host))
        body: dict[str, Any] = {
            "info": {"name": name, "version": chosen, "summary": "Made for a test", "yanked": False},
            "last_serial": 1,
            "urls": releases.get(chosen, []),
            "vulnerabilities": [],
        }
        if version is None:
            body["releases"] = releases
        return document(json.dumps(body).encode(), "application/json").plus(
            cache_control="max-age=900, public"
        )

    def _legacy_file(self, one: Listed, host: str) -> dict[str, Any]:
        is_wheel = one.filename.endswith(".whl")
        return {
            "filename": one.filename,
            "url": self._href(one, host),
            "digests": {"sha256": one.built.sha256},
            "packagetype": "bdist_wheel" if is_wheel else "sdist",
            "requires_python": one.requires_python,
            "size": len(one.built.body),
            "upload_time_iso_8601": one.upload_time,
            "yanked": bool(one.yanked),
            "yanked_reason": one.yanked if isinstance(one.yanked, str) else None,
        }


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lying_gzip(page: Answer) -> Answer:
    """A page that says that it is compressed, and is not."""
    return page.plus(content_encoding="gzip")


def huge_page(page: Answer, size: int) -> Answer:
    """A JSON page that is padded to at least `size` bytes with what readers have to ignore."""
    assert isinstance(page.body, bytes)
    return page.but(body=page.body[:-1] + b', "_padding": "' + b"x" * size + b'"}')
