"""What anybody has written as a readme is shown, and does nothing."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import pytest

from nora.ui.readme import TAGS, render
from tests.support.crates import Built as Crate
from tests.support.in_process import application
from tests.support.tables import each


def html(text: str, *, is_markdown: bool = True) -> str:
    return render(text.encode("utf-8", "surrogatepass"), is_markdown).decode()


SHOWN = {
    "headings are below those of the page": ("# One\n\n## Two", "<h3>One</h3>\n<h4>Two</h4>"),
    "tables": ("a|b\n-|-\n1|2", "<table><thead><tr><th>a</th><th>b</th></tr></thead>"),
    "code": ("```py\nx < 1\n```", "<pre><code>x &lt; 1\n</code></pre>"),
    "links to the web": ("[a](https://a.example/?b=c)", 'rel="noopener noreferrer nofollow">a</a>'),
    "emphasis in HTML": ("<b>bold</b>", "<strong>bold</strong>"),
    "text of other alphabets": ("Привет, мир — «да»", "<p>Привет, мир — «да»</p>"),
}


@each(("text", "expected"), SHOWN.values())
def test_what_is_harmless_is_shown(text: str, expected: str) -> None:
    assert expected in html(text)


HOSTILE = {
    "scripts": "<script>alert(1)</script>",
    "scripts in links": "[a](javascript:alert(1)) [b](&#106;avascript:alert(1)) <javascript:alert(1)>",
    "data": "[a](data:text/html,<script>alert(1)</script>)",
    "links elsewhere in this server": "[a](/ui/logout) [b](../x) [c](//evil.example) [d](#main)",
    "handlers": "<div onclick=alert(1) onmouseover='alert(1)'>a</div><p ontoggle=alert(1)>b",
    "images": "![a](https://evil.example/a.png) <img src=x onerror=alert(1)>",
    "styles": "<style>*{display:none}</style><p style='position:fixed'>a</p><link rel=stylesheet href=//e>",
    "frames and forms": "<iframe src=//e></iframe><form action=//e><input name=a><button>b</button></form>",
    "drawings": "<svg><a xlink:href='javascript:alert(1)'><text>a</text></a></svg><math><mi>x</mi></math>",
    "names of elements of the page": "<div id=main class=primary name=key>a</div>",
    "a base and a refresh": "<base href=//e><meta http-equiv=refresh content='0;url=//e'>",
    "what ends elements of the page": "</div></main></body></html><p>a",
    "characters that turn text around": "a\u202egnp.exe\u2066b",
    "control characters": "a\x00b\x1b[31mc\x85",
    "half of a character": "a\udcffb",
    "comments": "<!-- <script>alert(1)</script> --><![CDATA[<script>]]>",
}


@each("text", HOSTILE.values())
def test_what_is_not_is_gone_or_text(text: str) -> None:
    for is_markdown in (True, False):
        found = html(text, is_markdown=is_markdown)
        for name, attributes in re.findall(r"<([a-zA-Z0-9]+)([^>]*)>", found):
            assert name in TAGS, found
            address = r'( href="(https?://|mailto:)[^"]*")?( rel="noopener noreferrer nofollow")?'
            assert re.fullmatch(address, attributes), found
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", found)
        assert found.count("<div>") >= found.count("</div>")


def test_what_is_nested_without_end_is_text() -> None:
    for text in ("<div>" * 5000, "> " * 5000 + "a", "<b><i>" * 2000, "- " * 2000 + "a", "*a **b " * 5000):
        found = html(text)
        assert found.startswith("<pre>") or found.count("<") < 200, text[:20]


@each(
    "unit",
    (
        "<div></x>",
        "<div><!--</div>-->",
        "<div title='</div>'>",
        "<div><textarea></div></textarea>",
        "<div><table><tr><td></div></td></tr></table>",
        "<sub><p></sub></p>",
        "<li><ul></li></ul>",
        "<b title=1></i>",
    ),
)
def test_ends_that_end_nothing_hide_no_depth(unit: str) -> None:
    """What cleans readmes would take the square of it: a quarter of a mebibyte of these took 12 seconds."""
    text = unit * 1000
    assert html(text) == f"<pre>{escape(text)}</pre>" or "<div><div><div>" not in html(text)
    assert html(text).count("<") < 5000


def test_ends_that_may_be_left_out_are_no_depth() -> None:
    for text in (
        "<ul><li>a<li>b</ul>\n\n" * 100,
        "<table><tr><td>a<tr><td>b</table>\n\n" * 100,
        "# a\n\nb\n\n" * 500,
    ):
        assert not html(text).startswith("<pre>"), text[:20]


@pytest.mark.anyio
async def test_the_readme_of_a_crate_is_on_its_page_and_goes_with_it(tmp_path: Path) -> None:
    crate = Crate("counts", readme="# Counts apples\n\n<script>alert(1)</script>[x](javascript:alert(1))\n")
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        for _ in range(2):  # clients try again
            answer = await http.put("/cargo/api/v1/crates/new", content=crate.publication())
            assert answer.status_code == 200, answer.text
        page = (await http.get("/ui/packages/cargo/counts")).text
        assert re.search(r"<h\d[^>]*>Counts apples</h\d>", page)
        assert "<script>alert" not in page
        assert 'href="javascript' not in page
        assert ".readme" not in page
        got = await http.get(f"/cargo/dl/counts/1.0.0/{crate.sha256}.crate")
        assert got.content == crate.body
        deleted = await http.delete("/cargo/api/v1/crates/counts/1.0.0")
        assert deleted.status_code < 300, deleted.text
        assert "Counts apples" not in (await http.get("/ui/packages/cargo/counts")).text
