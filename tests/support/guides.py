"""The guides of docs/, taken at their word: the blocks of a page, and a terminal in which they are typed.

    guide = Guide("ci.md")
    guide.block("toml", "GitLab CI")            # the text between the fences below a heading
    terminal.type(guide.block("console", ""))   # each line with a prompt, one after the other

What a reader replaces (hosts, ports, the folder of secrets) is replaced by a test as well; nothing else is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.command import run

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDES = (
    "private-upstreams",
    "several-sources",
    "air-gapped",
    "reverse-proxy",
    "custom-ca",
    "ci",
    "operations",
)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Guide:
    """A page of docs/."""

    name: str

    @property
    def text(self) -> str:
        return (DOCS / f"{self.name}.md").read_text("utf-8")

    def section(self, heading: str = "") -> str:
        """What is below a heading of the second level; before the first one, without."""
        before, *rest = _HEADING.split(self.text)
        sections = {"": before, **dict(zip(rest[::2], rest[1::2], strict=True))}
        return sections[heading]

    def blocks(self, language: str, heading: str = "") -> list[str]:
        return [text for kind, text in _FENCE.findall(self.section(heading)) if kind == language]

    def block(self, language: str, heading: str = "") -> str:
        """The only one of its language there."""
        (found,) = self.blocks(language, heading)
        return found

    def all_blocks(self, language: str) -> list[str]:
        return [text for kind, text in _FENCE.findall(self.text) if kind == language]


def replaced(text: str, values: Mapping[str, str]) -> str:
    """The text with what stands for the reader's own; each of it must be there."""
    for old, new in values.items():
        assert old in text, f"{old!r} is not in\n{text}"
        text = text.replace(old, new)
    return text


def typed(block: str) -> list[str]:
    """The commands of a console block, without those that start the server: a test has started it."""
    lines = re.findall(r"^\$ (.+)$", block, re.MULTILINE)
    return [line for line in lines if not re.search(r"\bnora serve\b", line)]


@dataclass(slots=True)
class Terminal:
    """Where a reader types: a folder, and the programs that are found first."""

    folder: Path
    programs: tuple[Path, ...] = ()
    env: dict[str, str] = field(default_factory=dict)

    def type(self, *lines: str, fails: bool = False) -> str:
        """What the commands print, each of which must succeed; with `fails`, the only one must not."""
        path = ":".join([*map(str, self.programs), "/usr/local/bin:/usr/bin:/bin:/usr/sbin"])
        return "".join(
            run("bash", "-euc", line, cwd=self.folder, env={"PATH": path, **self.env}, fails=fails)
            for line in lines
        )
