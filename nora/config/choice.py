"""`registries.enable`: which formats are served, whatever `enabled` of their sections says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import cast

from nora.config.sections import KnownFormats
from nora.errors import quoted

KEY = "registries.enable"


def choose_formats(
    formats: KnownFormats,
    values: dict[str, object],
    origins: dict[str, str],
    problems: list[str],
    warnings: list[str],
) -> None:
    """Write the choice, if there is one, to `enabled` of each format."""
    chosen = cast("tuple[str, ...] | None", values.get(KEY))
    if chosen is None:
        return
    names = [one.name for one in formats.served]
    planned = {one.name for one in formats.planned}
    wrong = list(_problems(chosen, names, planned))
    problems += wrong
    if wrong:
        return
    warnings += [
        f"{KEY} has {one}: not available in this version, ignored" for one in chosen if one in planned
    ]
    for name in names:
        is_served = f"-{name}" not in chosen if "all" in chosen else name in chosen
        key = f"{name}.enabled"
        if values.get(key, is_served) is not is_served:
            warnings.append(f"{key} is ignored: {KEY} says which formats are served")
        values[key], origins[key] = is_served, origins[KEY]


def _problems(chosen: Sequence[str], names: Sequence[str], planned: set[str]) -> Iterator[str]:
    for one in chosen:
        name = one.removeprefix("-")
        if name not in {*names, *planned, "all"} or one == "-all":
            near = get_close_matches(name, [*names, "all"], n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; expected all, or some of {', '.join(names)}"
            yield f"{KEY} has {quoted(one)}: there is no such format{hint}"
        elif one != name and "all" not in chosen:
            yield f"{KEY} has {one}: expected that only beside all"
        elif one == name != "all" and "all" in chosen:
            yield f"{KEY} has {one}: all has it already; expected -{one} to leave it out"
    if not chosen:
        yield f"{KEY}: expected at least one format"
