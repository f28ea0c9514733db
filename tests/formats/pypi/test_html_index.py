"""Pages as HTML, as servers, scripts and attackers write them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.formats.pypi.html_index import parse_html
from nora.formats.pypi.index import IndexUnreadable, ListedFile, Project
from nora.formats.pypi.names import ProjectName
from tests.support.tables import each

NAME = ProjectName.of("foo")
URL = "https://pypi.example/simple/foo/"
SHA = "a" * 64


def files(html: str, url: str = URL) -> list[ListedFile]:
    return list(parse_html(html.encode(), url, NAME).files)


def only(html: str, url: str = URL) -> ListedFile:
    (file,) = files(html, url)
    return file


def test_a_page_as_pypi_writes_it() -> None:
    body = f"""<!DOCTYPE html>
<html lang="en">
  <head>
    <meta name="pypi:repository-version" content="1.4">
<meta name="pypi:project-status" content="deprecated">
<meta name="pypi:project-status-reason" content="use &lt;bar&gt;">
    <title>Links for foo</title>
  </head>
  <body>
    <h1>Links for foo</h1>
<a href="https://files.example/packages/aa/foo-1.0-py3-none-any.whl#sha256={SHA}"
   data-requires-python="&gt;=3.8" data-dist-info-metadata="sha256={"c" * 64}"
   data-core-metadata="sha256={"b" * 64}" data-yanked="broken &amp; bad"
   data-provenance="https://pypi.example/integrity/x" data-gpg-sig="true">foo-1.0-py3-none-any.whl</a><br />
<a href="../../packages/foo-1.0.tar.gz">foo-1.0.tar.gz</a><br />
</body>
</html>
<!--SERIAL 42879583-->"""
    assert parse_html(body.encode(), URL, NAME) == Project(
        NAME,
        (
            ListedFile(
                "foo-1.0-py3-none-any.whl",
                "https://files.example/packages/aa/foo-1.0-py3-none-any.whl",
                {"sha256": SHA},
                ">=3.8",
                {"sha256": "b" * 64},
                "broken & bad",
                None,
                None,
                "https://pypi.example/integrity/x",
                True,
            ),
            ListedFile("foo-1.0.tar.gz", "https://pypi.example/packages/foo-1.0.tar.gz"),
        ),
        ("1.0",),
        "deprecated",
        "use <bar>",
    )


@each(
    "html",
    [
        "<a href='foo-1.0.zip'>x</a>",
        "<a href=foo-1.0.zip>x</a>",
        '<A\nHREF = "foo-1.0.zip"\n>x',
        '<a class=x title="a > b" href="foo-1.0.zip">',
        "<a title=it's href=foo-1.0.zip>",
        "<a disabled href='foo-1.0.zip' href='foo-2.0.zip'/>",
        '<a href="foo-1.0.zip"',
        '<a href="foo-1.0.zip',
        '<a href=" foo-1.0.zip\n">',
        '<a href="foo&#45;1&period;0.zip">',
        '<a href="./x/../foo-1.0.zip?a=1&amp;b=2">',
        "<p><pre><b><a href='%66oo-1.0.zip'>",
        "<!-- <a href='foo-2.0.zip'> --><a href='foo-1.0.zip'>",
        "<!--><a href='foo-1.0.zip'>",
        "<script>var x = \"<a href='foo-2.0.zip'>\"</script><a href='foo-1.0.zip'>",
        "<style><a href='foo-2.0.zip'></style ><a href='foo-1.0.zip'>",
        "<title><a href='foo-2.0.zip'></TITLE><a href='foo-1.0.zip'>",
        "<?xml <a href='foo-2.0.zip'?><a href='foo-1.0.zip'>",
        "</a href='foo-2.0.zip'><a href='foo-1.0.zip'>",
        "a < b <a href='foo-1.0.zip'>",
        "\ufeff<a href='foo-1.0.zip'>",
        "<abbr href='foo-2.0.zip'><a href='foo-1.0.zip'>",
        "<a href='../'>Parent</a><a href='?C=N'>Name</a><a href='foo-1.0.zip'>",
        "<a href='foo-1.0.zip.asc'><a href='foo-1.0.zip'>",
    ],
)
def test_links_are_found_however_they_are_written(html: str) -> None:
    assert only(html).filename == "foo-1.0.zip"


def test_relative_addresses_start_at_the_first_base() -> None:
    link = "<a href='foo-1.0.zip'>"
    assert only(link).url == f"{URL}foo-1.0.zip"
    assert only(link, "https://pypi.example/simple/foo").url == "https://pypi.example/simple/foo-1.0.zip"
    html = f"<base href='/files/'><base href='https://other.example/'>{link}"
    assert only(html).url == "https://pypi.example/files/foo-1.0.zip"
    assert (
        only(f"<base target=x><base href='https://cdn.example/a/b'>{link}").url
        == "https://cdn.example/a/foo-1.0.zip"
    )
    assert files(f"<title>Links for foo</title><base href='javascript:alert(1)//'>{link}") == []
    assert only(f"<base href='http://[bad'>{link}").url == f"{URL}foo-1.0.zip"


def test_names_are_decoded_and_addresses_are_not() -> None:
    file = only(f"<a href='/p/torch-2.0%2Bcpu-cp311-cp311-linux_x86_64.whl#sha256={SHA}'>")
    assert file.filename == "torch-2.0+cpu-cp311-cp311-linux_x86_64.whl"
    assert file.url == "https://pypi.example/p/torch-2.0%2Bcpu-cp311-cp311-linux_x86_64.whl"


@each(
    ("fragment", "hashes"),
    [
        *(("", {}), ("#", {}), ("#sha256=", {}), ("#sha256=xyz", {}), ("#sha256=abc", {}), ("#egg=foo", {})),
        (f"#sha256={SHA}", {"sha256": SHA}),
        (f"#SHA256={SHA.upper()}", {"sha256": SHA}),
        (f"#egg=foo&amp;sha256={SHA}", {"sha256": SHA}),
        (f"#md5={'b' * 32}", {"md5": "b" * 32}),
    ],
)
def test_hashes_are_in_the_fragment(fragment: str, hashes: dict[str, str]) -> None:
    file = only(f'<a href="foo-1.0.zip{fragment}">')
    assert file.hashes == hashes
    assert "#" not in file.url


@each(
    ("attribute", "metadata"),
    [
        *(("", False), ("data-core-metadata", False), ("data-core-metadata=false", False)),
        *(("data-core-metadata=true", True), ("data-core-metadata='sha256=bad'", True)),
        (f"data-core-metadata=sha256={SHA}", {"sha256": SHA}),
        (f"data-dist-info-metadata=sha256={SHA}", {"sha256": SHA}),
        (f"data-core-metadata=true data-dist-info-metadata=sha256={SHA}", True),
    ],
)
def test_metadata(attribute: str, metadata: object) -> None:
    assert only(f"<a href=foo-1.0.zip {attribute}>").core_metadata == metadata


@pytest.mark.parametrize(
    ("attribute", "yanked"),
    [("", False), ("data-yanked", True), ("data-yanked=''", True), ("data-yanked='why&#10;not'", "why not")],
)
def test_yanked(attribute: str, yanked: object) -> None:
    assert only(f"<a href=foo-1.0.zip {attribute}>").yanked == yanked


def test_a_number_without_end_costs_no_more_than_its_field() -> None:
    assert only(f"<a href=foo-1.0.zip data-yanked='&#{'1' * 5000};'>").filename == "foo-1.0.zip"


@each(
    "href",
    [
        *(
            "javascript:foo-1.0.zip",
            "javascript:/foo-1.0.zip",
            "file:///foo-1.0.zip",
            "ftp://h/foo-1.0.zip",
            ".",
        ),
        *(
            "https://u:p@h/foo-1.0.zip",
            "..%2f..%2ffoo-1.0.zip",
            "foo%00-1.0.zip",
            "foo-1.0.zip/",
            "%2e%2e",
            "",
        ),
        *(
            "foo%0a-1.0.zip",
            "foo%e2%80%a8-1.0.zip",
            "foo\\-1.0.zip",
            "&lt;script&gt;.zip",
            "x" * 300 + ".zip",
        ),
    ],
)
def test_links_that_are_no_files(href: str) -> None:
    assert files(f'<title>Links for foo</title><a href="{href}">x</a>') == []


@each(
    "html",
    [
        *("", "Not found", "<html><title>404</title><h1>Not found</h1><a href='/'>Home</a></html>", "{}"),
        "<meta name='pypi:repository-version' content='2.0'><a href='foo-1.0.zip'>",
        "<title>Sign in</title><a href='https://login.example/?next=foo-1.0.zip'>Sign in</a>",
    ],
)
def test_what_is_no_index(html: str) -> None:
    with pytest.raises(IndexUnreadable):
        files(html)


@pytest.mark.parametrize(
    "html",
    [
        "<title>Links for foo</title>",
        "<TITLE>Index of /foo</TITLE>",
        "<meta name=pypi:repository-version content=1.0>",
    ],
)
def test_an_index_may_be_empty(html: str) -> None:
    assert files(html) == []


def test_what_is_quarantined_is_known() -> None:
    html = b"<title>Index of</title><meta name=pypi:project-status content=quarantined>"
    assert parse_html(html, URL, NAME).status == "quarantined"


@each(
    "piece",
    [
        *(
            "<",
            "<a ",
            "<a href='",
            '<a "',
            "<!--",
            "<!-",
            "<a =",
            "<a x=' ",
            "<script>",
            "</",
            "<a\n\n\n",
            "<title>",
        ),
        *("<a href=&#", "&", "<?", "<a ='>", "<base href=//>", "<!-->", "<a a a a a>"),
    ],
)
def test_the_scan_ends_whatever_is_left_open(piece: str) -> None:
    """It would take hours if what is not closed made it start over: nothing here is timed."""
    with suppress(IndexUnreadable):
        files(piece * (500_000 // len(piece)))


@given(
    st.text(max_size=100)
    | st.lists(
        st.sampled_from(
            [
                "<a ",
                "href=",
                "'",
                '"',
                "foo-1.0.zip",
                ">",
                "<!--",
                "-->",
                "#sha256=",
                "&gt;",
                "<base ",
                "http://",
                "[",
                "@",
                " ",
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_any_text_is_a_page_or_unreadable(html: str) -> None:
    with suppress(IndexUnreadable):
        for file in parse_html(html.encode("utf-8", "surrogatepass"), URL, NAME).files:
            assert file.url.startswith(("https://", "http://"))


@given(st.binary(max_size=100))
def test_any_bytes_are_a_page_or_unreadable(body: bytes) -> None:
    with suppress(IndexUnreadable):
        parse_html(body, URL, NAME)
