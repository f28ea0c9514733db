"""How names fit what somebody types: pure functions, the same for every engine.

A text is words, and so is a name: letters and digits, whatever is between them. All words of the text must
be somewhere in the name; a name that has the text as it was typed comes before one that has its words
somewhere, and among those that fit alike the most used one comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Final

from nora.catalog.search import FoundPackage

LONGEST: Final = 256
"""Characters of a text that are looked at."""
MOST_WORDS: Final = 8
TRIGRAM: Final = 3
"""Letters that a word must have to be found by an index of three letters each."""
MOST_SIMILAR: Final = 8
"""Words that are tried for one that may be wrong."""
LONGEST_WORD: Final = 40
"""Of those that are compared with what is typed wrongly: hashes are in no dictionary."""

_words = re.compile(r"[^\W_]+").findall
_last_part = re.compile(r"[^/:]*$")


def words_of(text: str) -> list[str]:
    """The words of a text or name, in lower case, once each."""
    return [*dict.fromkeys(_words(text.lower()))]


def searched_words(text: str) -> list[str]:
    """Those of what somebody typed."""
    return words_of(text[:LONGEST])[:MOST_WORDS]


def known_words(names: Iterable[str]) -> set[str]:
    """The words of names that what is typed wrongly may have meant."""
    return {word for name in names for word in words_of(name) if TRIGRAM <= len(word) <= LONGEST_WORD}


def trigrams(word: str) -> list[str]:
    """Runs of three letters that are all of a word together; none of a shorter one."""
    last = len(word) - TRIGRAM
    starts = dict.fromkeys((*range(0, last, TRIGRAM), last)) if last >= 0 else ()
    return [word[start : start + TRIGRAM] for start in starts]


def wrong_letters(word: str) -> int:
    """How many letters of a word may be wrong, missing, superfluous or swapped with the next."""
    return 0 if len(word) < TRIGRAM + 1 else 1 if len(word) < 2 * TRIGRAM else 2


def closest(word: str, known: Iterable[str], most: int) -> dict[str, int]:
    """The words that differ in the fewest letters, at most `most`, and in how many."""
    from rapidfuzz import process  # not before somebody mistypes: a MiB of memory
    from rapidfuzz.distance import OSA

    found = process.extract(word, known, scorer=OSA.distance, score_cutoff=most, limit=MOST_SIMILAR)  # type: ignore[arg-type]
    return {similar: int(distance) for similar, distance, _ in found}


def closest_first(found: Iterable[FoundPackage], similar: Sequence[Mapping[str, int]]) -> list[FoundPackage]:
    """Those that have something like each word of a text, of each of which `similar` has the words that are
    like it."""
    ranked: list[tuple[tuple[int, bool, int, str], FoundPackage]] = []
    for one in found:
        there = words_of(one.name)
        distances = [min((like[word] for word in there if word in like), default=None) for like in similar]
        known = [distance for distance in distances if distance is not None]
        if len(known) == len(similar):
            ranked.append(((sum(known), len(there) > len(similar), -one.pulls, one.name), one))
    return [one for _, one in sorted(ranked, key=itemgetter(0))]


def has_words(name: str, words: Sequence[str]) -> bool:
    """Whether all words are in a name, which is in lower case."""
    return all(word in name for word in words)


def best_first(found: Iterable[FoundPackage], text: str) -> list[FoundPackage]:
    """Those that fit, in the order in which they are shown."""
    typed = _plain(text)
    return sorted(found, key=lambda one: (_distance(_plain(one.name), typed), -one.pulls, one.name))


def _plain(text: str) -> str:
    """As formats compare names that are the same to them."""
    return re.sub(r"[-_. ]+", "-", text.strip().lower())


def _distance(name: str, typed: str) -> tuple[int, int]:
    """How far a name is from the text; shorter names are closer where both begin with it."""
    last = _last_part.search(name)
    part = last[0] if last is not None else name
    if name == typed:
        return 0, 0
    if part == typed:
        return 1, 0
    if name.startswith(typed) or part.startswith(typed):
        return 2, 0
    return (3, 0) if typed in name else (4, 0)
