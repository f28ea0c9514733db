"""How a setting is declared: once, as a dataclass field that carries everything known about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from nora.config.kinds import Kind


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is known of a setting beside its name and default."""

    kind: Kind
    doc: str
    env: tuple[str, ...] = ()
    """Promised environment variables, `NORA_` and so on or their end after that of the section; without
    any: derived from section and name. One that ends in `_MB` counts in MiB."""
    toml: tuple[str, ...] = ()
    """Other keys of the same section; one that ends in `_mb` counts in MiB."""
    deprecated: tuple[str, ...] = ()
    """Whole keys and variables that mean the same, with a warning."""
    needs: str | None = None
    """The capability (see `nora.config.capabilities`) without which the setting does nothing."""
    stops: object = None
    """The value that must not be ignored while the capability is missing: it stops the start."""


def setting(
    default: object,
    kind: Kind,
    doc: str,
    *,
    env: tuple[str, ...] = (),
    toml: tuple[str, ...] = (),
    deprecated: tuple[str, ...] = (),
    needs: str | None = None,
    stops: object = None,
) -> Any:
    """A dataclass field that is a setting. Credentials never appear in a representation."""
    declaration = Declaration(kind, doc, env, toml, deprecated, needs, stops)
    return field(default=default, repr=not kind.secret, metadata={"setting": declaration})


@dataclass(frozen=True, slots=True)
class Section:
    """What is known of a section."""

    kind: type
    doc: str
    env: str
    """How its derived variables begin."""
    key: str
    """Its name in the file: `server`, `auth.oidc`."""


def section(kind: type, doc: str, env: str, key: str = "") -> Any:
    """A field of the configuration that is a section; `env` begins the names of its derived variables, and
    `key` is its name in the file where that is not the field's."""
    return field(default=kind(), metadata={"section": (kind, doc, env, key)})


@cache
def sections_of(root: type) -> Mapping[str, Section]:
    """Every section that a configuration class declares, by field, in the order of declaration."""
    declared = [(part.name, part.metadata["section"]) for part in fields(root) if "section" in part.metadata]
    return {name: Section(kind, doc, env, key or name) for name, (kind, doc, env, key) in declared}


@dataclass(frozen=True, slots=True)
class Setting:
    """A declared setting, with its names."""

    section: str
    name: str
    default: object
    declaration: Declaration
    env: tuple[str, ...]
    """The first one is the name to show."""

    @property
    def key(self) -> str:
        """As messages and documents name it: `server.port`."""
        return f"{self.section}.{self.name}"

    @property
    def toml(self) -> tuple[str, ...]:
        """Its keys in the file."""
        return self.key, *(f"{self.section}.{alias}" for alias in self.declaration.toml)

    @property
    def names(self) -> tuple[str, ...]:
        """All of its keys and variables."""
        return (*self.toml, *self.env, *self.declaration.deprecated)


@cache
def settings_of(part: Section) -> tuple[Setting, ...]:
    """Every setting of a section, in the order of declaration."""
    return tuple(_walk(part))


def _walk(part: Section) -> Iterator[Setting]:
    for one in fields(part.kind):
        declaration: Declaration = one.metadata["setting"]
        env = [name if name.startswith("NORA_") else part.env + name for name in declaration.env]
        names = tuple(env) or (part.env + one.name.upper(),)
        yield Setting(part.key, one.name, one.default, declaration, names)
