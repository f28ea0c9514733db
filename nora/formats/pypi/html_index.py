"""The page of a project as HTML, as all kinds of servers and scripts write it (PEP 503 and what came after).

A scanner and not a parser: it needs the attributes of `a`, `base` and `meta`, from pages of any size and any
malice, in time that grows with the size alone. It reads tags as HTML5 does (quotes of both kinds or none,
entities, comments, raw text) and does not mind how they nest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import unquote, urljoin

from nora.formats.pypi.fields import clean_hashes, clean_metadata, clean_text, clean_url, clean_yanked
from nora.formats.pypi.index import (
    IndexUnreadable,
    ListedFile,
    Project,
    check_api_version,
    listing,
)
from nora.formats.pypi.names import ProjectName, is_filename

Attributes = dict[str, str]

# Each alternative takes what it begins with to its end or to the end of the page, and gives nothing back:
# what is not closed cannot make the scan start over.
_TAG = re.compile(
    r"""<(?: !--(?: -?> | .*?(?:--!?>|\Z) )
           | [!?/][^>]*+(?:>|\Z)
           | (?P<name>[A-Za-z][^\s/>]*+)
             (?P<attributes>(?:[^>=]++ | =\s*+(?: "[^"]*+(?:"|\Z) | '[^']*+(?:'|\Z) )?)*+)
             (?:>|\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ATTRIBUTE = re.compile(
    r"""(?P<name>[^\s/>=]++)
        (?:\s*+=\s*+(?: "(?P<double>[^"]*+)"? | '(?P<single>[^']*+)'? | (?P<bare>[^\s>]*+) ))?+
    """,
    re.VERBOSE,
)
_RAW_TEXT = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("script", "style", "textarea", "title")
}
_WANTED = frozenset({"a", "base", "meta"})
_FRAGMENT_HASH = re.compile(r"(?:^|[#&])([a-z0-9_]+)=([0-9a-f]+)", re.IGNORECASE)
_IS_LISTING = re.compile(r"<title>[^<]*(?:Links for|Index of)", re.IGNORECASE)


def parse_html(body: bytes, url: str, name: ProjectName) -> Project:
    """A page as HTML; `url` is where it was had from.

    Files are the links whose path ends in the name of a distribution; the same links are followed that pip
    would follow. Raises IndexUnreadable when there is nothing that says that this is a page of files, as
    with the pages that some servers send instead of 404.
    """
    text = body.decode("utf-8", "replace")
    base: str | None = None
    meta: dict[str, str] = {}
    files: list[ListedFile] = []
    for tag, attributes in _tags(text):
        if tag == "a":
            file = _read_link(attributes, base or url)
            if file is not None:
                files.append(file)
        elif tag == "meta" and "name" in attributes:
            meta.setdefault(attributes["name"].lower(), attributes.get("content", ""))
        elif tag == "base" and base is None and "href" in attributes:
            base = _join(url, attributes["href"])
    check_api_version(meta.get("pypi:repository-version"), name)
    if not files and "pypi:repository-version" not in meta and not _IS_LISTING.search(text, 0, 1 << 16):
        raise IndexUnreadable(f"the page of {name} lists no files and does not look like an index")
    status, reason = meta.get("pypi:project-status"), meta.get("pypi:project-status-reason")
    return listing(name, files, None, status, reason)


def _tags(text: str) -> Iterator[tuple[str, Attributes]]:
    """The start tags that matter, in their order."""
    position = 0
    while (match := _TAG.search(text, position)) is not None:
        position = match.end()
        tag = (match["name"] or "").lower()
        if tag in _WANTED:
            yield tag, _attributes(match["attributes"])
        elif tag in _RAW_TEXT:
            end = _RAW_TEXT[tag].search(text, position)
            position = end.start() if end is not None else len(text)


def _attributes(text: str) -> Attributes:
    """The first of several of one name counts."""
    found: Attributes = {}
    for name, double, single, bare in _ATTRIBUTE.findall(text):
        value = double or single or bare
        found.setdefault(name.lower(), _unescaped(value) if "&" in value else value)
    return found


def _unescaped(value: str) -> str:
    try:
        return unescape(value)
    except ValueError:  # `&#` and more digits than Python makes a number of
        return value


def _join(base: str, url: str) -> str | None:
    try:
        return urljoin(base, url.strip())
    except ValueError:
        return None


def _read_link(attributes: Attributes, base: str) -> ListedFile | None:
    href, _, fragment = attributes.get("href", "").strip().partition("#")
    filename = unquote(href.partition("?")[0].rpartition("/")[2])
    if not is_filename(filename):
        return None
    url = clean_url(href, base)
    if url is None:
        return None
    metadata = attributes.get("data-core-metadata", attributes.get("data-dist-info-metadata"))
    provenance, gpg_sig = attributes.get("data-provenance"), attributes.get("data-gpg-sig")
    return ListedFile(
        filename,
        url,
        clean_hashes(dict(_FRAGMENT_HASH.findall(fragment))),
        clean_text(attributes.get("data-requires-python")),
        clean_metadata(_read_metadata(metadata)),
        clean_yanked(attributes.get("data-yanked")),
        None,
        None,
        clean_url(provenance, base) if provenance else None,
        {"true": True, "false": False}.get(gpg_sig or ""),
    )


def _read_metadata(value: str | None) -> dict[str, str] | bool:
    """`sha256=<hex>`, `true`, or anything else for: not there (PEP 658)."""
    if value is None:
        return False
    algorithm, equals, digest = value.strip().partition("=")
    return {algorithm: digest} if equals else algorithm.lower() == "true"
