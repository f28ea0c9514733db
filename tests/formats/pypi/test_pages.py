"""What clients read: representations, their choice, and what injection cannot do."""

from __future__ import annotations

from contextlib import suppress
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.errors import NotAcceptable
from nora.formats.pypi.html_index import parse_html
from nora.formats.pypi.index import ListedFile, Project, parse_json
from nora.formats.pypi.names import ProjectName
from nora.formats.pypi.pages import PageType, negotiate, render, render_list
from tests.support.tables import each

JSON, HTML, TEXT_HTML = PageType.JSON, PageType.HTML, PageType.TEXT_HTML
V1_JSON, V1_HTML = JSON.value, HTML.value
LATEST = "application/vnd.pypi.simple.latest+"
NAME = ProjectName.of("foo-bar")
URL = "https://nora.example/simple/foo-bar/"
SHA = "a" * 64

WHEEL = ListedFile(
    "foo_bar-1.0+cpu-py3-none-any.whl",
    "https://files.example/x",
    {"sha256": SHA},
    ">=3.8,<4",
    {"sha256": "b" * 64},
    'bad & "worse"',
    1234,
    "2026-01-02T03:04:05.678901Z",
    "https://pypi.example/integrity?a&b",
    False,
)
SDIST = ListedFile(
    "foo_bar-1.0.tar.gz", "https://files.example/y", {"sha256": SHA}, size=1, upload_time=WHEEL.upload_time
)
PROJECT = Project(NAME, (WHEEL, SDIST), ("1.0+cpu", "1.0"), "deprecated", "<old>")


# -- negotiation ------------------------------------------------------------------------------------------


@each(
    ("accept", "expected"),
    [
        *((None, TEXT_HTML), ("", TEXT_HTML), (" ", TEXT_HTML), ("*/*", TEXT_HTML), ("text/html", TEXT_HTML)),
        *(
            (V1_JSON, JSON),
            (V1_HTML, HTML),
            (f"{LATEST}json", JSON),
            (f"{LATEST}html", HTML),
            (V1_JSON.upper(), JSON),
        ),
        *(("application/*", JSON), ("text/*", TEXT_HTML), ("application/json, */*", JSON)),
        (f"{V1_JSON}, {V1_HTML};q=0.1, text/html;q=0.01", JSON),  # pip
        (f"{V1_JSON}, {V1_HTML};q=0.2, text/html;q=0.01", JSON),  # uv
        (f"{V1_JSON}, */*;q=0.1", JSON),  # poetry
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", TEXT_HTML),  # browsers
        (f"{V1_JSON};q=0.1, {V1_HTML};q=0.2, text/html;q=0.9", TEXT_HTML),
        (f"{V1_JSON};q=0.1, {V1_HTML};q=0.2", HTML),
        *((f"text/html, {V1_JSON}", JSON), (f"{V1_HTML}, text/html", HTML), (f"*/*, {V1_JSON}", JSON)),
        (f"{V1_JSON};q=0, */*", TEXT_HTML),
        (f"{V1_JSON};q=0, application/*", HTML),
        (f"text/html;q=0, */*;q=0.5, {V1_JSON};q=0", HTML),
        (f"text/html;level=1;q=0.5, {V1_JSON} ; Q=0.7", JSON),
        (f"{V1_JSON};q=abc, text/html;q=0.1", TEXT_HTML),
        (f"image/png, {V1_JSON};q=0.001", JSON),
        (",,;;, text/html;;q=1,", TEXT_HTML),
        ("image/png, " * 100 + V1_JSON, JSON),
    ],
)
def test_the_representation(accept: str | None, expected: PageType) -> None:
    assert negotiate(accept) is expected
    assert negotiate(accept) is expected


@each(
    "accept",
    [
        "image/png",
        "text/html;q=0",
        "*/*;q=0",
        f"{V1_JSON};q=-1",
        "html",
        "application/vnd.pypi.simple.v2+json",
    ],
)
def test_nothing_acceptable(accept: str) -> None:
    for _ in range(2):
        with pytest.raises(NotAcceptable) as caught:
            negotiate(accept)
    assert caught.value.offers == (V1_JSON, V1_HTML, "text/html")
    assert caught.value.status == 406


def test_the_format_parameter_wins() -> None:
    for accept in (None, "text/html", "image/png"):
        assert negotiate(accept, V1_JSON) is JSON
        assert negotiate(accept, V1_JSON.replace("+", " ")) is JSON
        assert negotiate(accept, f"{LATEST}html") is HTML
        assert negotiate(accept, "text/html") is TEXT_HTML
        for override in ("", "json", "*/*", "text/html;q=1"):
            with pytest.raises(NotAcceptable):
                negotiate(accept, override)


def test_content_types_are_those_that_pip_takes() -> None:
    assert [one.content_type for one in PageType] == [
        V1_JSON,
        f"{V1_HTML}; charset=utf-8",
        "text/html; charset=utf-8",
    ]


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from([V1_JSON, "text/html", "*/*", ";q=", "0.5", "1", ",", " ", "²"])).map("".join)
)
def test_any_header_is_answered(header: str) -> None:
    for override in (None, header):
        with suppress(NotAcceptable):
            assert negotiate(header, override) in PageType


def test_the_page_as_json() -> None:
    assert render(PROJECT, JSON) == (
        b'{"meta":{"api-version":"1.4"},"name":"foo-bar","files":['
        b'{"filename":"foo_bar-1.0+cpu-py3-none-any.whl","url":"foo_bar-1.0%2Bcpu-py3-none-any.whl",'
        b'"hashes":{"sha256":"' + b"a" * 64 + b'"},"core-metadata":{"sha256":"' + b"b" * 64 + b'"},'
        b'"yanked":"bad & \\"worse\\"","dist-info-metadata":{"sha256":"' + b"b" * 64 + b'"},'
        b'"requires-python":">=3.8,<4","size":1234,"upload-time":"2026-01-02T03:04:05.678901Z",'
        b'"provenance":"https://pypi.example/integrity?a&b","gpg-sig":false},'
        b'{"filename":"foo_bar-1.0.tar.gz","url":"foo_bar-1.0.tar.gz","hashes":{"sha256":"'
        + b"a"
        * 64
        + b'"},'
        b'"core-metadata":false,"yanked":false,"size":1,"upload-time":"2026-01-02T03:04:05.678901Z"}],'
        b'"versions":["1.0+cpu","1.0"],"project-status":{"status":"deprecated","reason":"<old>"}}'
    )


def test_the_page_as_html() -> None:
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="pypi:repository-version" content="1.4">
<meta name="pypi:project-status" content="deprecated">
<meta name="pypi:project-status-reason" content="&lt;old&gt;">
<title>Links for foo-bar</title>
</head>
<body>
<h1>Links for foo-bar</h1>
<a href="foo_bar-1.0%2Bcpu-py3-none-any.whl#sha256={SHA}" data-requires-python="&gt;=3.8,&lt;4"\
 data-dist-info-metadata="sha256={"b" * 64}" data-core-metadata="sha256={"b" * 64}"\
 data-yanked="bad &amp; &quot;worse&quot;" data-provenance="https://pypi.example/integrity?a&amp;b"\
 data-gpg-sig="false">foo_bar-1.0+cpu-py3-none-any.whl</a><br>
<a href="foo_bar-1.0.tar.gz#sha256={SHA}">foo_bar-1.0.tar.gz</a><br>
</body>
</html>
"""
    assert render(PROJECT, HTML) == render(PROJECT, TEXT_HTML) == page.encode()


def test_the_list_of_projects() -> None:
    assert (
        render_list(["a", "b-c"], JSON)
        == b'{"meta":{"api-version":"1.4"},"projects":[{"name":"a"},{"name":"b-c"}]}'
    )
    assert render_list(iter(["a", "b-c"]), HTML) == (
        b'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        b'<meta name="pypi:repository-version" content="1.4">\n<title>Simple index</title>\n</head>\n<body>\n'
        b'<a href="a/">a</a><br>\n<a href="b-c/">b-c</a><br>\n</body>\n</html>\n'
    )
    assert render_list([], JSON) == b'{"meta":{"api-version":"1.4"},"projects":[]}'


# -- what the pages promise -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "version"),
    [(SDIST, "1.4"), (SDIST._replace(size=None), "1.0"), (SDIST._replace(upload_time=None), "1.0")],
)
def test_only_a_page_with_all_sizes_and_times_is_of_the_newest_version(
    file: ListedFile, version: str
) -> None:
    page = orjson.loads(render(Project(NAME, (WHEEL, file)), JSON))
    assert page["meta"]["api-version"] == version
    assert page["files"][0]["size"] == 1234, "what is known is said nevertheless"


def test_hashes_are_always_an_object() -> None:
    page = orjson.loads(render(Project(NAME, (ListedFile("foo-1.zip"),)), JSON))
    assert page["files"][0]["hashes"] == {}
    assert b'href="foo-1.zip">' in render(Project(NAME, (ListedFile("foo-1.zip"),)), HTML)


def test_a_quarantined_project_offers_nothing() -> None:
    project = Project(NAME, (WHEEL,), ("1.0",), "quarantined")
    page = orjson.loads(render(project, JSON))
    assert page["files"] == []
    assert page["project-status"] == {"status": "quarantined"}
    assert b"<a " not in render(project, HTML)
    assert b'<meta name="pypi:project-status" content="quarantined">' in render(project, HTML)


@pytest.mark.parametrize(
    ("hashes", "anchor"),
    [
        ({}, ""),
        ({"md5": "1"}, "#md5=1"),
        ({"md5": "1", "sha384": "2"}, "#sha384=2"),
        ({"sha512": "1", "sha256": "2"}, "#sha256=2"),
    ],
)
def test_an_anchor_has_the_best_hash(hashes: dict[str, str], anchor: str) -> None:
    assert (
        f'href="foo-1.zip{anchor}"'
        in render(Project(NAME, (ListedFile("foo-1.zip", "", hashes),)), HTML).decode()
    )


@pytest.mark.parametrize(
    ("metadata", "value"), [(True, "true"), ({}, "true"), ({"sha256": SHA}, f"sha256={SHA}")]
)
def test_metadata_is_said_in_both_ways(metadata: Any, value: str) -> None:
    project = Project(NAME, (WHEEL._replace(core_metadata=metadata),))
    html = render(project, HTML).decode()
    assert f' data-dist-info-metadata="{value}" data-core-metadata="{value}"' in html
    (file,) = orjson.loads(render(project, JSON))["files"]
    assert file["core-metadata"] == file["dist-info-metadata"] == metadata


# -- round trips and injection ----------------------------------------------------------------------------

EVIL = st.sampled_from(
    [
        '"><script>alert(1)</script>',
        "' onload=x",
        "&lt;",
        "<!--",
        "]]>",
        "</a>",
        ">=3",
        "a  b",
        "ä",
        "\\",
        "{}",
    ]
)
WORDS = st.lists(EVIL | st.text(max_size=5), min_size=1, max_size=3).map("".join)
CLEAN = WORDS.map(lambda text: " ".join("".join(c if c.isprintable() else " " for c in text).split())).filter(
    bool
)
TIMES = st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")


def projects(text: st.SearchStrategy[str]) -> st.SearchStrategy[Project]:
    hashes = st.just({"sha256": SHA}) | st.just({})
    files = st.builds(
        ListedFile,
        st.from_regex(r"foo_bar-[0-9]{1,3}(\+[a-z]{1,4})?\.(zip|tar\.gz)", fullmatch=True),
        st.just(""),
        hashes,
        st.none() | text,
        st.booleans() | st.just({"sha256": "b" * 64}),
        st.booleans() | text,
        st.none() | st.integers(0, 1 << 40),
        st.none() | TIMES,
        st.none() | st.just("https://pypi.example/integrity?a='&b"),
        st.none() | st.booleans(),
        st.just(""),
    )
    return st.builds(
        Project,
        st.just(NAME),
        st.lists(files, max_size=4, unique_by=lambda file: file.filename).map(tuple),
        st.just(()),
        st.sampled_from(["active", "archived", "deprecated"]),
        st.none() | text,
    )


def here(project: Project, *, html: bool) -> list[ListedFile]:
    """The files as somebody who reads our page must see them."""
    plain = {"size": None, "upload_time": None} if html else {}
    return [file._replace(url=URL + file.filename.replace("+", "%2B"), **plain) for file in project.files]


def test_a_mark_stands_in_front_of_the_name() -> None:
    project = Project(NAME, (SDIST._replace(mark="0f" * 16),))
    address = f"{'0f' * 16}/{SDIST.filename}"
    assert orjson.loads(render(project, JSON))["files"][0]["url"] == address
    assert f'href="{address}#' in render(project, HTML).decode()


@given(projects(CLEAN))
def test_what_is_rendered_is_read_again(project: Project) -> None:
    for html, found in (
        (False, parse_json(render(project, JSON), URL, NAME)),
        (True, parse_html(render(project, HTML), URL, NAME)),
    ):
        assert list(found.files) == here(project, html=html)
        assert (found.name, found.status, found.status_reason) == (
            NAME,
            project.status,
            project.status_reason,
        )


class Tags(HTMLParser):
    """The tags of a page, as a parser of another make sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_comment(self, data: str) -> None:
        self.seen.append("comment")


@given(projects(WORDS), st.lists(WORDS, max_size=3))
def test_nothing_can_be_injected(project: Project, names: list[str]) -> None:
    """Whatever texts and names hold that were not cleaned before: pages are what they should be."""
    files = tuple(
        file._replace(filename=f"{name}.zip") for file, name in zip(project.files, names, strict=False)
    )
    evil = Project(ProjectName("".join(names) or "x"), files, ("1.0",), project.status, project.status_reason)
    tags = Tags()
    tags.feed(render(evil, HTML).decode())
    tags.close()
    head = ["html", "head", *["meta"] * (3 + (evil.status_reason is not None)), "title", "body", "h1"]
    assert tags.seen == [*head, *["a", "br"] * len(files)]
    assert tags.attributes <= {
        *("lang", "charset", "name", "content", "href", "data-requires-python", "data-dist-info-metadata"),
        *("data-core-metadata", "data-yanked", "data-provenance", "data-gpg-sig"),
    }
    page = orjson.loads(render(evil, JSON))
    assert [file["filename"] for file in page["files"]] == [file.filename for file in files]
    listed = Tags()
    listed.feed(render_list(names, HTML).decode())
    assert listed.seen == ["html", "head", "meta", "meta", "title", "body", *["a", "br"] * len(names)]
