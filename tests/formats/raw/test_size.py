"""Raw is the proof that a format is its own few lines: what others would need as well is in shared rooms."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import nora.formats.raw

MOST = 350
"""Lines of code of the folder, imports included: what is neither empty, nor a comment, nor a docstring."""
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def code_lines(source: str) -> int:
    """How many lines have code."""
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            found.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(found)


def test_the_folder_stays_small() -> None:
    folder = Path(nora.formats.raw.__file__).parent
    sizes = {path.name: code_lines(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")}
    assert len(sizes) > 5
    assert sum(sizes.values()) <= MOST, sizes


def test_what_counts_as_code() -> None:
    assert code_lines('"""Docs.\n\nMore."""\n\nimport os\n\n\ndef f():\n    """Docs."""\n    # why\n') == 2
    assert code_lines("x = f(\n    1,\n    2,\n)\n") == 4
