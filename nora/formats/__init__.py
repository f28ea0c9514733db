"""The formats: each folder translates between one wire protocol and the one model of nora.catalog."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from nora.auth.scopes import Reached, ScopeRules
from nora.config import KnownFormats, default_specs, load, reached_repositories
from nora.errors import StartError
from nora.formats.planned import PLANNED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from nora.config import Config
    from nora.formats.base import Format
    from nora.model import Repository

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


@cache
def known_formats() -> KnownFormats:
    """What a configuration may speak of."""
    found = discover()
    names = {one.name for one in found}
    return KnownFormats(
        served=tuple(one.section for one in found),
        planned=tuple(one for one in PLANNED if one.name not in names),
    )


def load_config(environ: Mapping[str, str], directory: Path) -> Config:
    """The effective configuration, those of all formats included. Raises ConfigError, StartError."""
    return load(environ, directory, known_formats())


def name_folds() -> dict[str, Callable[[str], str]]:
    """How the names of each format are spelled."""
    return {one.name: one.fold for one in discover()}


def named_repositories(served: Format, repositories: Mapping[str, Repository]) -> tuple[Repository, ...]:
    """Those of a format that clients name, the one at its mount first: the members of that are behind it."""
    behind = {spec.name for spec in default_specs(served.name, proxied=True)}
    others = [one for name, one in repositories.items() if one.format == served.name and name not in behind]
    return repositories[served.name], *sorted(others, key=lambda one: one.name)


def scope_rules(config: Config) -> ScopeRules:
    """What the scopes of tokens may say. Raises ConfigError."""
    formats = {one.name: one for one in discover()}
    return ScopeRules(
        {
            name: Reached(spec.name, formats[spec.format].fold, has_paths=formats[spec.format].shares_mount)
            for name, spec in reached_repositories(config).items()
        }
    )
