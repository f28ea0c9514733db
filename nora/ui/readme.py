"""Readmes: what anybody has written, as markup that does nothing.

Markdown is rendered, and what comes out goes through a list of harmless elements: no scripts, styles, forms
and images, links only to the web. Anything else is shown as the text that it is, and so is what is nested
without end or too large.
"""

from __future__ import annotations

import hashlib
import re
from html import escape
from typing import TYPE_CHECKING, Final

from nora.proxy.offload import offload

if TYPE_CHECKING:
    from markupsafe import Markup

    from nora.formats.browsing import Readme
    from nora.http.render_cache import RenderCache

LARGEST: Final = 256 << 10
DEEPEST: Final = 60
"""Elements in each other: what cleans them takes the square of it."""
WORK: Final = 8
"""How much more work it is to render a byte than to parse most."""
TAGS: Final = frozenset(
    {"a", "blockquote", "br", "code", "dd", "del", "details", "div", "dl", "dt", "em", "h3", "h4", "h5", "h6"}
    | {"hr", "kbd", "li", "ol", "p", "pre", "s", "strong", "sub", "summary", "sup", "table", "tbody", "td"}
    | {"th", "thead", "tr", "ul"}
)
_VOID: Final = frozenset({"br", "hr"})
_OPTIONAL: Final = frozenset({"dd", "dt", "li", "p", "tbody", "td", "th", "thead", "tr"})
"""Elements that end with the one around them."""
_INLINE: Final = frozenset({"a", "code", "del", "em", "kbd", "s", "strong", "sub", "sup"})
_NAMES: Final = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "b": "strong", "i": "em"}
_silent = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_tag = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)(\s[^<>]*)?/?>|<")
_kept = re.compile(r"\s(href|start)\s*=\s*\"([^\"]*)\"").search
_web = re.compile(r"(https?://|mailto:)[^\s\"'<>]+").fullmatch
_direction = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")
"""Characters that let text run another way than it is read."""
_control = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


async def rendered(cache: RenderCache, readme: Readme) -> Markup:
    """What a page shows of it; made once, and in another process where that takes long."""
    from markupsafe import Markup

    text = readme.text[:LARGEST]
    key = ("readme", hashlib.sha256(text).hexdigest(), readme.is_markdown)

    async def make() -> bytes:
        return await offload(render, text, readme.is_markdown, weight=WORK * len(text))

    return Markup((await cache.piece(key, make)).decode())  # noqa: S704 - it is cleaned or escaped


def render(text: bytes, is_markdown: bool) -> bytes:
    """As HTML that does nothing."""
    plain = _control.sub("\N{REPLACEMENT CHARACTER}", _direction.sub("", text.decode("utf-8", "replace")))
    found = _markdown(plain) if is_markdown else None
    return (f"<pre>{escape(plain)}</pre>" if found is None else found).encode()


def _markdown(text: str) -> str | None:
    """None: it is nested too deep to be cleaned."""
    import nh3
    import pyromark

    options = pyromark.Options.ENABLE_TABLES | pyromark.Options.ENABLE_STRIKETHROUGH
    made = pyromark.html(text, options=options)
    tags = _Tags()
    plain = _tag.sub(tags.spelled, _silent.sub("", made))
    if tags.deepest > DEEPEST:
        return None
    return nh3.clean(
        plain,
        tags=set(TAGS),
        attributes={"a": {"href"}, "ol": {"start"}},
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )


def _attribute(_: str, name: str, value: str) -> str | None:
    """An address of the web, or the number of a list. What is relative leads nowhere from here."""
    if name == "href":
        return value if _web(value) else None
    return value if name == "rel" or (value.isdecimal() and len(value) < 6) else None


class _Tags:
    """Spells the tags of a document so that they can be read in one way only, and counts how deep they are
    nested: never less than whoever parses them will. An end that ends nothing ends nothing here, too.

    Headings are below those of the page, and elements that mean what others look like are these.
    """

    def __init__(self) -> None:
        self._open: list[str] = []
        self.deepest = 0

    def spelled(self, found: re.Match[str]) -> str:
        """A tag with what is kept of it; nothing of other elements, and text of what is no tag."""
        if found[2] is None:
            return "&lt;"
        name = found[2].lower()
        name = _NAMES.get(name, name)
        if name not in TAGS:
            return ""
        if found[1]:
            self._end(name)
            return f"</{name}>"
        if name not in _VOID and len(self._open) <= DEEPEST:
            self._open.append(name)
            self.deepest = max(self.deepest, len(self._open))
        kept = _kept(found[3] or "")
        return f'<{name} {kept[1]}="{kept[2]}">' if kept else f"<{name}>"

    def _end(self, name: str) -> None:
        for at in range(len(self._open) - 1, -1, -1):
            if self._open[at] == name:
                del self._open[at:]
            elif name not in _INLINE and self._open[at] in _OPTIONAL:
                continue
            return
