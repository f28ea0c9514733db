"""The order of versions, as Maven has it: `ComparableVersion` of maven-artifact 3.9.

A version is a list of numbers and qualifiers. A hyphen, and each change between letters and digits, opens a
list inside of the list, which is always its last item:

    1.0-rc-2    [1, [rc, [2]]]        nulls at the end of a list (0, `ga`, an empty list) are not there
    1.0.1       [1, 0, 1]

Lists are compared item by item, and where one is at its end, with null:

    alpha < beta < milestone < rc < snapshot < null = ga = final = release < sp < other qualifiers, by text
      < a list < a number
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

Item = tuple[int, int, str]
"""Of a key: rank, number, text."""

_tokens = re.compile(r"[0-9]+|[^0-9.-]+|[.-]", re.DOTALL).findall
_ALIASES: Final = {"ga": "", "final": "", "release": "", "cr": "rc"}
_BEFORE_DIGITS: Final = {"a": "alpha", "b": "beta", "m": "milestone"}
_SIGNS: Final = {"alpha": -5, "beta": -4, "milestone": -3, "rc": -2, "snapshot": -1, "": 0, "sp": 1}
"""Of qualifiers, and their order: what is negative comes before null."""
_UNKNOWN: Final = 2
"""All other qualifiers."""
_LIST: Final = "-"
"""A list begins. As it is the last item, nothing has to say where it ends."""
_END: Final[Item] = (3, 0, "")
"""Null. Below it rank the items that come before null: 0 qualifiers, 1 lists, 2 zeros; above it those that
come after: 4 qualifiers, 5 lists, 6 numbers."""


def version_key(text: str) -> tuple[Item, ...]:
    """What versions are sorted by, the oldest first. It takes any text; versions that are equal to Maven,
    `1` and `1.0.0.Final`, have equal keys.

    Maven's own order goes round in circles where an item that counts as null is followed by a qualifier:
    `1.0.alpha.5` is below `1`, which is below `1-sp`, which is below `1.0.alpha.5`. Here such an item is
    before null, or after it, as what follows it is.
    """
    key, sign, is_at_end = [_END], 0, True
    for item in reversed(_items(text.lower())):
        if item == _LIST:
            if len(key) > 1:
                key.append((1 if sign < 0 else 5, 0, ""))
                is_at_end = True
            continue
        is_number = "0" <= item[:1] <= "9"
        own = int(item != "0") if is_number else _SIGNS.get(item, _UNKNOWN)
        if own == 0 and is_at_end:
            continue
        sign, is_at_end = own or sign, False
        if is_number:
            key.append((6, len(item), item) if own else (2 if sign < 0 else 6, 0, ""))
        else:
            key.append((0 if sign < 0 else 4, own, item if own == _UNKNOWN else ""))
    return tuple(reversed(key))


def _items(text: str) -> list[str]:
    """Numbers without zeros in front, qualifiers, and `_LIST` where a list begins."""
    items: list[str] = []
    before = "."
    for part, after in pairwise([*_tokens(text), ""]):
        if part in (".", "-"):
            if before in (".", "-"):
                items.append("0")
            if part == "-":
                items.append(_LIST)
        elif "0" <= part[0] <= "9":
            items.append(part.lstrip("0") or "0")
            if after not in (".", "-", ""):
                items.append(_LIST)
        elif after in (".", "-"):
            items.append(_ALIASES.get(part, part))
        else:
            if items and items[-1] != _LIST:
                items.append(_LIST)  # 1.rc is 1-rc
            if after:
                items += (_ALIASES.get(part, _BEFORE_DIGITS.get(part, part)), _LIST)
            else:
                items.append(_ALIASES.get(part, part))
        before = part
    return items
