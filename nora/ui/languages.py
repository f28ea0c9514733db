"""Languages: English as it is written in the templates, and tables of what that is in others.

A text is looked up by its English words; what a table lacks stays English, which a test finds. Plurals follow
the rule of the language (CLDR), numbers and times its customs.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from nora.http.negotiation import weighted

FOLDER: Final = Path(__file__).parent / "translations"
NAMES: Final[Mapping[str, str]] = {"en": "English", "ru": "Русский"}
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_AGES: Final = ((60, "s"), (3600, "min"), (86400, "h"), (30 * 86400, "d"))


@dataclass(frozen=True, slots=True)
class Language:
    """How a page speaks."""

    code: str
    texts: Mapping[str, str] = field(default_factory=dict)
    plurals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the English singular."""
    rule: Callable[[int], int] = lambda number: int(number != 1)
    """Which of its forms a number takes."""
    group: str = ","
    point: str = "."

    @property
    def name(self) -> str:
        """As it calls itself."""
        return NAMES[self.code]

    def text(self, english: str, **values: object) -> str:
        """A text; `{name}` in it are values."""
        return self.texts.get(english, english).format(**values)

    def word(self, english: str) -> str:
        """A word that somebody else may have chosen: it is looked up, and nothing in it means anything."""
        return self.texts.get(english, english)

    def plural(self, one: str, many: str, n: int) -> str:
        """A text about a number, `{n}` in it."""
        forms = self.plurals.get(one, (one, many))
        return forms[self.rule(n)].format(n=self.number(n))

    def number(self, value: float) -> str:
        """A whole number with separators."""
        return f"{round(value):,}".replace(",", self.group)

    def percent(self, share: float) -> str:
        """A share of 1."""
        return f"{share:.1%}".replace(".", self.point)

    def size(self, count: int) -> str:
        """Bytes, in binary units."""
        value, unit = float(count), 0
        while value >= 1023.95 and unit < len(_UNITS) - 1:
            value, unit = value / 1024, unit + 1
        shown = f"{value:.1f}".replace(".", self.point) if unit else str(count)
        return f"{shown}\N{NO-BREAK SPACE}{self.text(_UNITS[unit])}"

    def ago(self, moment: float, now: float | None = None) -> str:
        """How long ago something was."""
        seconds = max(0, int((time.time() if now is None else now) - moment))
        divisor, unit = 1, "s"
        for limit, name in _AGES:
            unit = name
            if seconds < limit:
                break
            divisor = limit
        else:
            return self.date(moment)
        if unit == "s" and seconds < 10:
            return self.text("just now")
        return self.text("{age} ago", age=f"{seconds // divisor}\N{NO-BREAK SPACE}{self.text(unit)}")

    def span(self, seconds: float) -> str:
        """A length of time, in the largest unit of which it is a whole number."""
        lengths = ((86400, "d"), (3600, "h"), (60, "min"))
        divisor, unit = next((one for one in lengths if seconds >= one[0] and not seconds % one[0]), (1, "s"))
        return f"{self.number(seconds / divisor)}\N{NO-BREAK SPACE}{self.text(unit)}"

    def date(self, moment: float) -> str:
        """The day of a time."""
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"

    def moment(self, moment: float) -> str:
        """A time, exactly."""
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso(moment: float) -> str:
    """A time as programs read it."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _slavic(number: int) -> int:
    if number % 10 == 1 and number % 100 != 11:
        return 0
    return 1 if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else 2


_RULES: Final[Mapping[str, Callable[[int], int]]] = {"ru": _slavic}


@cache
def language(code: str) -> Language:
    """One of `NAMES`."""
    if code == "en":
        return Language(code)
    table = tomllib.loads((FOLDER / f"{code}.toml").read_text(encoding="utf-8"))
    plurals = {one: tuple(forms) for one, forms in table["plurals"].items()}
    return Language(code, table["texts"], plurals, _RULES[code], group="\N{NO-BREAK SPACE}", point=",")


def choose(wishes: Iterable[str | None], accept_language: str) -> Language:
    """The first wish that can be met, else what a browser likes best (RFC 9110, 12.5.4), else English."""
    for wish in wishes:
        if wish in NAMES:
            return language(wish)
    liked = sorted(weighted(accept_language[:512]), key=lambda one: -one[1])
    for tag, weight in liked:
        code = tag.partition("-")[0]
        if weight > 0 and code in NAMES:
            return language(code)
    return language("en")
