"""The formats: each folder translates between one wire protocol and the one model of nora.catalog."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from nora.config import repository_specs
from nora.errors import StartError

if TYPE_CHECKING:
    from nora.config import Config
    from nora.formats.base import Format
    from nora.model import RepositorySpec

ENTRY_POINTS = "nora.formats"
"""The group of entry points under which other distributions bring formats: `name = "package:FORMAT"`."""


@cache
def discover() -> tuple[Format, ...]:
    """Every format there is: the folders here, and those that other distributions bring.

    Raises StartError when one cannot be loaded or two claim the same name or mount.
    """
    found = [
        import_module(f"{__name__}.{one.name}").FORMAT for one in pkgutil.iter_modules(__path__) if one.ispkg
    ]
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            found.append(entry.load())
        except Exception as error:
            raise StartError(f"the format {entry.name} ({entry.value}) cannot be loaded: {error}") from error
    for attribute, values in (
        ("name", [one.name for one in found]),
        ("mount", [mount for one in found for mount in (one.mount, *one.also)]),
    ):
        twice = {value for value in values if values.count(value) > 1}
        if twice:
            raise StartError(f"two formats have the {attribute} {', '.join(sorted(twice))}")
    return tuple(found)


def declared_repositories(config: Config) -> tuple[RepositorySpec, ...]:
    """Every repository that the configuration makes. Raises ConfigError."""
    found = discover()
    return repository_specs(
        config, [one.name for one in found], frozenset(one.name for one in found if one.can_proxy)
    )
