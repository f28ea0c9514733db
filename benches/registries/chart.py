"""The table as a picture: an SVG written by hand, one group of bars for each line, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from benches.registries.lines import Line
from benches.registries.rivals import Registry
from benches.registries.rounds import Results

WIDTH, LABELS, NUMBERS = 900, 220, 110
BAR, GAP, HEAD = 14, 18, 60
COLOURS = ("#8d99ae", "#5c677d", "#e07a1f", "#f2b36b")
FONT = 'font-family="system-ui, sans-serif" font-size="12"'


def draw(results: Results, lines: Sequence[Line], registries: Sequence[Registry]) -> str:
    """Rates of all registries; each bar carries its number, so the scale needs no axis."""
    group = BAR * len(registries) + GAP
    height = HEAD + group * len(lines)
    body = "\n".join([*_legend(registries), *_bars(results, lines, registries, group)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {FONT}>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _legend(registries: Sequence[Registry]) -> Iterator[str]:
    yield '<text x="10" y="20" font-weight="bold">Operations a second (logarithmic; longer is better)</text>'
    for index, registry in enumerate(registries):
        x = 10 + 180 * index
        yield f'<rect x="{x}" y="32" width="12" height="12" fill="{COLOURS[index % len(COLOURS)]}"/>'
        yield f'<text x="{x + 18}" y="42">{escape(registry.title)}</text>'


def _bars(
    results: Results, lines: Sequence[Line], registries: Sequence[Registry], group: int
) -> Iterator[str]:
    cells = {
        (line.name, registry.name): results.cell(line.name, registry.name)
        for line in lines
        for registry in registries
    }
    rates = [cell.rate.median for cell in cells.values() if cell]
    low, high = (min(rates) / 2, max(rates)) if rates else (1.0, 10.0)
    room = WIDTH - LABELS - NUMBERS
    for row, line in enumerate(lines):
        top = HEAD + row * group
        yield f'<text x="10" y="{top + group / 2}">{escape(line.title)}</text>'
        for index, registry in enumerate(registries):
            if not (cell := cells[line.name, registry.name]):
                continue
            rate = cell.rate.median
            width = room * math.log(rate / low) / math.log(high / low)
            y = top + index * BAR
            colour = COLOURS[index % len(COLOURS)]
            yield f'<rect x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR - 2}" fill="{colour}"/>'
            yield f'<text x="{LABELS + width + 6:.1f}" y="{y + BAR - 4}">{rate:,.4g}</text>'
