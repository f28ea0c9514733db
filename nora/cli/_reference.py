"""`python -m nora.cli._reference docs/configuration.md` brings the tables of that page up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from nora.config.describe import reference
from nora.formats import known_formats

BEGIN = "<!-- python -m nora.cli._reference writes from here … -->\n"
END = "<!-- … to here -->\n"


def updated(page: str) -> str:
    """The page with its tables made anew from the declarations."""
    head, _, rest = page.partition(BEGIN)
    return head + BEGIN + "\n" + reference(known_formats()) + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
