"""Patterns of names, as matchers that no text and no pattern keeps busy.

Some patterns come from users (the scopes of their tokens), and a regular expression with a `.*` for each star
tries every way to spread a name over them: a name of 60 characters took ten seconds. Here each star but the
last takes the shortest text after which the rest of its part goes on, and never another one (`(?>…)`): what
could be matched after a longer one can be matched after that as well.
"""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(1024)
def path_matcher(pattern: str) -> re.Pattern[str]:
    """`*` is anything within a segment, `**` anything; every other character is itself. For `fullmatch`."""
    return _compile([part.split("*") for part in re.split(r"\*{2,}", pattern)])


@lru_cache(1024)
def text_matcher(pattern: str) -> re.Pattern[str]:
    """`*` is anything, every other character is itself. For `fullmatch`."""
    return _compile([[part] for part in re.split(r"\*+", pattern)])


def _compile(parts: list[list[str]]) -> re.Pattern[str]:
    """Of parts with anything between them, each of which has literals with segments between them."""
    (*before, last) = parts
    opened = "".join(
        f"(?>.*?{_shortest(part)})" if number else _shortest(part) for number, part in enumerate(before)
    )
    closing = _shortest(last[:-1]) + f"[^/]*{re.escape(last[-1])}" if len(last) > 1 else re.escape(last[0])
    return re.compile(opened + (".*?" if before else "") + closing, re.DOTALL)


def _shortest(literals: list[str]) -> str:
    first, *others = map(re.escape, literals)
    return first + "".join(f"(?>[^/]*?{one})" for one in others)
