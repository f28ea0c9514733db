"""Lock files of pnpm and yarn: lines with a key, a value perhaps, and deeper lines below.

Not all of YAML, on purpose: what these programs write, line by line, so that a file which anybody may have
changed takes neither time nor memory beyond its size. Long texts, over several lines, are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import orjson

from nora.errors import quoted
from nora.formats.mirroring import LockFileInvalid

DEEPEST: Final = 32
_quoted = re.compile(r"""'((?:[^']|'')*+)'|("(?:[^"\\]|\\.)*+")""").match
_flow_entry = re.compile(r""" *([A-Za-z]+): ?('[^']*'|"[^"]*"|[^,'"{}\[\]]+|\[[^\]]*\])(?:,|$)""").match
Split = Callable[[str], tuple[str, str] | None]
"""Key and value of a line without its indentation; None where it has none."""


@dataclass(slots=True)
class Entry:
    """A line with what is below it."""

    key: str
    value: str
    line: int
    below: list[Entry] = field(default_factory=list)

    def get(self, key: str) -> str:
        """The value of a line below; empty where there is none."""
        return next((one.value for one in self.below if one.key == key), "")

    def fields(self, key: str) -> dict[str, str]:
        """What is below a line below, or in the braces behind its key. Raises LockFileInvalid."""
        for one in self.below:
            if one.key == key:
                return _flow(one) if one.value else {field.key: field.value for field in one.below}
        return {}


def parse(text: str, split: Split) -> list[Entry]:
    """The lines without indentation, with what is below them. Raises LockFileInvalid."""
    root = Entry("", "", 0)
    above = [(-1, root)]
    passed_over: int | None = None
    for number, indent, line in _lines(text):
        if passed_over is not None and indent > passed_over:
            continue
        passed_over = None
        while above[-1][0] >= indent:
            above.pop()
        if line == "-" or line.startswith("- "):  # nothing that is looked for is in a list
            passed_over = indent
            continue
        found = split(line)
        if found is None:
            if above[-1][1].value:  # its text goes on
                continue
            raise LockFileInvalid(f"{quoted(line)!r} is no key with a value", number)
        entry = Entry(found[0], found[1], number)
        if entry.value[:1] in ("|", ">"):
            passed_over = indent
        if len(above) > DEEPEST:
            raise LockFileInvalid("it is nested too deeply", number)
        above[-1][1].below.append(entry)
        above.append((indent, entry))
    return root.below


def split_yaml(line: str) -> tuple[str, str] | None:
    """`key: value`, either of them in quotes perhaps."""
    if line[0] in "\"'":
        found = _unquoted(line)
        if found is None or not found[1].startswith(":"):
            return None
        return found[0], _value(found[1][1:])
    key, colon, value = line.partition(": ")
    if colon:
        return key, _value(value)
    return (line[:-1], "") if line.endswith(":") else None


def split_yarn(line: str) -> tuple[str, str] | None:
    """`key value`, either of them in quotes perhaps, or `"key", "key":`, of which the first counts."""
    if line.endswith(":"):
        line = line[:-1]
        found = _unquoted(line) if line[:1] == '"' else (line.partition(",")[0], "")
        return None if found is None else (found[0], "")
    if line[0] == '"':
        found = _unquoted(line)
        return None if found is None else (found[0], _value(found[1]))
    key, _, value = line.partition(" ")
    return key, _value(value)


def _lines(text: str) -> Iterator[tuple[int, int, str]]:
    """Number, indentation and text of each line that says something."""
    for number, whole in enumerate(text.split("\n"), 1):
        line = whole.strip()
        if not line or line.startswith("#") or line in ("---", "..."):
            continue
        indent = len(whole) - len(whole.lstrip(" "))
        if whole[indent] == "\t":
            raise LockFileInvalid("a tab where spaces are", number)
        yield number, indent, line


def _value(text: str) -> str:
    text = text.strip()
    if text[:1] in ("'", '"') and (found := _unquoted(text)) is not None and not found[1]:
        return found[0]
    return text


def _unquoted(line: str) -> tuple[str, str] | None:
    """What is in the quotes that a line begins with, and what is behind them."""
    found = _quoted(line)
    if found is None:
        return None
    if found[2] is None:
        return found[1].replace("''", "'"), line[found.end() :]
    try:
        return str(orjson.loads(found[2])), line[found.end() :]
    except orjson.JSONDecodeError:
        return None


def _flow(entry: Entry) -> dict[str, str]:
    """`{integrity: sha512-…, tarball: https://…}`"""
    text = entry.value
    if not (text.startswith("{") and text.endswith("}")):
        raise LockFileInvalid(f"{quoted(text)!r} is not in braces", entry.line)
    text, at = text[1:-1].rstrip(), 0
    found: dict[str, str] = {}
    while at < len(text):
        one = _flow_entry(text, at)
        if one is None:
            raise LockFileInvalid(f"{quoted(text)!r} cannot be read", entry.line)
        found[one[1]] = _value(one[2])
        at = one.end()
    return found
