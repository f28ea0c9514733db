"""Tables of the edges of storage keys, on both implementations."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.support.tables import each


@each(
    "text",
    [
        "a",
        ".a",
        "a.",
        "...",
        "a/.b/c..",
        "com/example/app/1.0/app-1.0.jar",
        "with space/and:colon*?",
        "~/$HOME/%2e%2e",
        "é/日本/😀",
        "\u00e9",
        "\u2028",
        "/".join(["a"] * 512),
        "a" * 255,
        "é" * 127 + "a",
        "/".join(["a" * 255] * 4),
        "a" * 255 + "/" + "b" * 255 + "/" + "c" * 255 + "/" + "d" * 253 + "/e",
    ],
)
def test_storage_key(names: ModuleType, text: str) -> None:
    assert names.check_storage_key(text) is text


@each(
    ("text", "message"),
    [
        ("", "is empty"),
        ("/", "empty segment"),
        ("/a", "empty segment"),
        ("a/", "empty segment"),
        ("a//b", "empty segment"),
        (".", "dot segment"),
        ("..", "dot segment"),
        ("./a", "dot segment"),
        ("a/.", "dot segment"),
        ("a/../b", "dot segment"),
        ("a/..", "dot segment"),
        ("a\\b", "backslash"),
        ("..\\a", "backslash"),
        ("a\x00", "control"),
        ("a\n", "control"),
        ("\x7f", "control"),
        ("\x80", "control"),
        ("a\x9f", "control"),
        ("a" * 256, "segment longer"),
        ("é" * 128, "segment longer"),
        ("a/" + "b" * 256 + "/c", "segment longer"),
        ("/".join(["a"] * 513), "longer than 1024"),
        ("a" * 1025, "longer than 1024"),
        ("/".join(["é"] * 400), "longer than 1024"),
        ("e\u0301", "normalisation"),
        ("a/\u212b", "normalisation"),
        ("\ud800", "surrogate"),
        ("a/\udcff", "surrogate"),
        # more than one thing is wrong: the first of a fixed order is reported
        ("/\\\x00", "control"),
        ("//\\", "backslash"),
        ("../" + "a" * 256, "dot segment"),
        ("e\u0301//", "empty segment"),
    ],
)
def test_no_storage_key(names: ModuleType, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        names.check_storage_key(text)
    assert type(caught.value) is ValueError
    assert len(str(caught.value)) < 100
