"""Charts as numbers: what is drawn of a series, for templates to draw as SVG.

A chart is drawn in units of its own, a slot wide and `HEIGHT` high, and stretched to the room that there is;
the labels of its axes are text beside it, which no screen makes too small to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HEIGHT: Final = 100
_MOST_STEPS: Final = 4


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of a bar."""

    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of several parts, one on the other, the first one at the bottom."""

    bars: Sequence[Sequence[Part]]
    steps: Sequence[int]
    """What the lines across stand for, from 0 up: three to five of them."""

    @property
    def width(self) -> int:
        """In slots."""
        return len(self.bars)

    @property
    def lines(self) -> Sequence[float]:
        """Where the lines across are."""
        return [HEIGHT - HEIGHT * step / self.steps[-1] for step in self.steps]


def stack(values: Sequence[Sequence[float]]) -> Bars:
    """A bar for each slot, of its values."""
    steps = binary_steps(max((sum(one) for one in values), default=0))
    return Bars([_bar(one, steps[-1]) for one in values], steps)


def _bar(values: Sequence[float], most: float) -> list[Part]:
    parts, y = [], float(HEIGHT)
    for value in values:
        height = round(HEIGHT * value / most, 2)
        y = round(y - height, 2)
        parts.append(Part(y, height))
    return parts


def binary_steps(largest: float) -> Sequence[int]:
    """Powers of two apart, as bytes are counted, and at least up to the largest value."""
    step = 1
    while step * _MOST_STEPS < largest:
        step *= 2
    number = max(2, -(-int(largest) // step))
    return [step * one for one in range(number + 1)]


def line(values: Sequence[float | None]) -> Sequence[str]:
    """The points of a line through the values, a piece for each stretch of known ones: the lowest at the
    bottom, the highest at the top, all in the middle where they are the same."""
    known = [one for one in values if one is not None]
    if not known:
        return ()
    lowest, span = min(known), max(known) - min(known)
    pieces: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            y = HEIGHT * (1 - (value - lowest) / span) if span else HEIGHT / 2
            pieces[-1].append(f"{number},{y:.1f}")
    return [" ".join(one if len(one) > 1 else one * 2) for one in pieces if one]
