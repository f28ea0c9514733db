"""Every text of the pages is there in every language, and numbers, plurals and times follow its customs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nora.formats import discover
from nora.ui import languages
from nora.ui.languages import NAMES, choose, language
from nora.ui.rendering import TEMPLATES

ROOT = TEMPLATES.parent
OTHERS = sorted(NAMES.keys() - {"en"})
_TEXT = re.compile(r'\b_\(\s*"((?:[^"\\]|\\.)*)"')
_PLURAL = re.compile(r'\bn\(\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)"')
WORDS_OF_FORMATS = {
    "License",
    "Author",
    "Hash in go.sum",
    "Homepage",
    "Repository",
    "Documentation",
    "Keywords",
    "Requires",
    "Type",
    "Attestations",
    "Published by",
    "Attestations of",
    "Integrity",
    "Signed with the key",
    "Created",
    "Entry point",
    "Command",
    "Working directory",
    "User",
    "Ports",
}


def texts() -> Iterator[str]:
    """All that is translated: templates, concerns, units, ages, and what formats call facts."""
    for path in TEMPLATES.glob("*.html"):
        yield from _TEXT.findall(path.read_text())
    concerns = "".join((ROOT / name).read_text() for name in ("server.py", "access.py"))
    for one, other in re.findall(r'text = "([^"]+)"|Concern\("([^"]+)"', concerns):
        yield one or other
    yield from ("just now", "{age} ago", *languages._UNITS, *(unit for _, unit in languages._AGES))
    yield from WORDS_OF_FORMATS
    yield from words_of_operations()
    for path in (ROOT.parent / "formats").glob("*/browse.py"):
        yield from re.findall(r'\("(Requires [A-Z][\w.]+)"', path.read_text())


def words_of_operations() -> Iterator[str]:
    """What the operations of formats say of themselves: titles, and sentences."""
    formats = ROOT.parent / "formats"
    paths = (
        *formats.glob("*operations.py"),
        formats / "uploading.py",
        *formats.glob("*/operations.py"),
        *formats.glob("*/releases.py"),
    )
    for path in paths:
        tree = ast.parse(path.read_text())
        passed_over = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}  # docstrings
        for one in ast.walk(tree):
            if isinstance(one, ast.keyword) and isinstance(one.value, ast.Constant):
                if one.arg == "title":
                    yield str(one.value.value)
                elif one.arg in ("help", "undo_help"):
                    passed_over.add(id(one.value))
            elif isinstance(one, ast.Constant) and id(one) not in passed_over:
                yield from re.findall(r"^.+ .+\.$", str(one.value))


def plurals() -> Iterator[str]:
    for path in TEMPLATES.glob("*.html"):
        yield from (one for one, _ in _PLURAL.findall(path.read_text()))


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_is_translated_and_nothing_else_is(code: str) -> None:
    known = language(code)
    assert {*texts()} - known.texts.keys() == set()
    assert known.texts.keys() - {*texts()} == set()
    assert {*plurals()} == known.plurals.keys()
    for english, translated in known.texts.items():
        assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", translated)), english
    for forms in known.plurals.values():
        assert len(forms) == 3
        assert all("{n}" in form for form in forms)


def test_templates_have_no_words_of_their_own() -> None:
    """What stands between tags is a text that is translated, a value, or the same in all languages."""
    for path in TEMPLATES.glob("*.html"):
        bare = re.sub(
            r"{%.*?%}|{{.*?}}|{#.*?#}|<(code|title|style|script).*?</\1>", " ", path.read_text(), flags=re.S
        )
        bare = re.sub(r"<!doctype html>|<[^>]*>", " ", bare, flags=re.S)
        words = {*re.findall(r"[A-Za-z]{2,}", bare)} - {"API", "NORA", "SHA"}
        assert not words, (path.name, words)


def test_templates_name_no_format() -> None:
    named = {one.name for one in discover()} - {"go", "raw"} | {one.title for one in discover()}
    for path in (*TEMPLATES.glob("*.html"), *(ROOT / "static").glob("nora.*")):
        text = path.read_text()
        assert not [name for name in named if re.search(rf"\b{re.escape(name)}\b", text)], path.name


def test_plurals_numbers_sizes_and_ages() -> None:
    english, russian = language("en"), language("ru")
    rows = {1: "1 пакет", 2: "2 пакета", 5: "5 пакетов", 11: "11 пакетов", 21: "21 пакет", 112: "112 пакетов"}
    for number, text in rows.items():
        assert russian.plural("{n} package", "{n} packages", number) == text
    assert english.plural("{n} package", "{n} packages", 1) == "1 package"
    assert english.plural("{n} package", "{n} packages", 1234) == "1,234 packages"
    nbsp = "\N{NO-BREAK SPACE}"
    assert russian.number(1234567) == f"1{nbsp}234{nbsp}567"
    sizes = {
        0: "0 B",
        1023: "1023 B",
        1024: "1.0 KiB",
        1536: "1.5 KiB",
        1048575: "1.0 MiB",
        5 << 40: "5.0 TiB",
    }
    for size, text in sizes.items():
        assert english.size(size) == text.replace(" ", nbsp)
    assert russian.size(1536) == f"1,5{nbsp}КиБ"
    assert russian.percent(0.1234) == "12,3%"
    ages = {0: "just now", 30: "30 s ago", 90: "1 min ago", 7200: "2 h ago", 86400 * 3: "3 d ago"}
    for seconds, text in ages.items():
        assert english.ago(1e9 - seconds, 1e9).replace(nbsp, " ") == text
    assert english.ago(1e9 - 86400 * 60, 1e9) == "2001-07-11"
    assert english.ago(1e9 + 60, 1e9) == "just now"


def test_a_label_of_somebody_else_is_no_format_string() -> None:
    assert language("en").word("{0.__class__} {x}") == "{0.__class__} {x}"


def test_a_language_is_chosen_by_wish_then_by_the_browser() -> None:
    rows = [
        (("ru", "en"), "", "ru"),
        ((None, "ru"), "en", "ru"),
        ((None, "xx"), "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ((None,), "de, en;q=0.1, ru;q=0", "en"),
        ((), "", "en"),
        ((), "*;q=x,,;", "en"),
    ]
    for wishes, accepted, expected in rows:
        assert choose(wishes, accepted).code == expected, (wishes, accepted)


def test_the_tables_are_where_they_are_looked_for() -> None:
    assert {path.stem for path in Path(languages.FOLDER).glob("*.toml")} == {*OTHERS}
