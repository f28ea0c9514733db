"""The names that a configuration may use, and the nearest one to a name that it may not."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from nora.config.capabilities import Planned, planned
from nora.config.declare import Setting, sections_of, settings_of
from nora.config.sections import KnownFormats
from nora.config.settings import Config
from nora.config.upstreams import OTHER_WORDS

_PREFIX = "NORA_"


class Names:
    """Keys of the file and variables, those of the known formats included."""

    def __init__(self, formats: KnownFormats | None) -> None:
        self.strict = formats is not None
        """Whether a name that is not among them is a mistake."""
        self.formats = formats or KnownFormats()
        parts = [*sections_of(Config).values(), *(one.section for one in self.formats.served)]
        every = [one for part in parts for one in settings_of(part)]
        self.settings: dict[str, Setting] = {name: one for one in every for name in one.names}
        self.planned: dict[str, Planned] = {
            name: one for name, one in planned(self.formats).items() if name not in self.settings
        }
        keys = [name for name in (*self.settings, *self.planned) if "." in name]
        self.sections = frozenset({key.rpartition(".")[0] for key in keys} | {"repositories"})
        self._keys = keys
        begun = [part.env for part in parts] + [f"{key.partition('.')[0].upper()}_" for key in keys]
        self._prefixes = tuple({one.removeprefix(_PREFIX) for one in begun} - {""})
        """How the variables of sections go on after `NORA_`."""

    def nearest_section(self, name: str) -> str:
        """`; did you mean storage?`, or nothing."""
        return _did_you_mean(name, sorted(self.sections))

    def nearest_key(self, name: str) -> str:
        """`; did you mean server.port?`, or nothing."""
        section, _, last = name.rpartition(".")
        if last in OTHER_WORDS and f"{section}.upstreams" in self.settings:
            return f"; did you mean {section}.upstreams?"
        return _did_you_mean(name, self._keys)

    def nearest_variable(self, name: str, others: Iterable[str]) -> str | None:
        """`; did you mean NORA_PORT?`; nothing where only the section is known; None for a variable that
        resembles no setting: somebody else's."""
        known = {one.removeprefix(_PREFIX) for one in (*self.settings, *self.planned, *others)}
        variables = sorted(one for one in known if "." not in one)
        tail = name.removeprefix(_PREFIX)
        if near := get_close_matches(tail, variables, n=1, cutoff=0.75):
            return f"; did you mean {_PREFIX}{near[0]}?"
        return "" if f"{tail}_".startswith(self._prefixes) else None


def _did_you_mean(name: str, known: list[str]) -> str:
    """The nearest name: by its last part (a key in the wrong section), else by the whole of it."""
    last = name.rpartition(".")[2]
    near = [one for one in known if "." in one and one.rpartition(".")[2] == last]
    near = near or get_close_matches(name, known, n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else ""
