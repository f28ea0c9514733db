"""How a setting is declared: once, as a dataclass field that carries everything known about it."""

from __future__ import annotations

from collections.abc import Iterator
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
    """Promised environment variables; without any: derived from section and name. One that ends in
    `_MB` counts in MiB."""
    toml: tuple[str, ...] = ()
    """Other keys of the same section; one that ends in `_mb` counts in MiB."""
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
    needs: str | None = None,
    stops: object = None,
) -> Any:
    """A dataclass field that is a setting. Credentials never appear in a representation."""
    declaration = Declaration(kind, doc, env, toml, needs, stops)
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
    attribute: str
    """Its field in the configuration: `server`, `oidc`."""


def section(kind: type, doc: str, env: str, key: str = "") -> Any:
    """A field of the configuration that is a section; `env` begins the names of its derived variables, and
    `key` is its name in the file where that is not the field's."""
    return field(default=kind(), metadata={"section": (kind, doc, env, key)})


@cache
def sections_of(root: type) -> tuple[Section, ...]:
    """Every section of a configuration class, in the order of declaration."""
    declared = [(part.name, part.metadata["section"]) for part in fields(root) if "section" in part.metadata]
    return tuple(Section(kind, doc, env, key or name, name) for name, (kind, doc, env, key) in declared)


@dataclass(frozen=True, slots=True)
class Setting:
    """A declared setting, with its names."""

    section: str
    attribute: str
    """The field of the configuration that has its section."""
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


@cache
def settings_of(root: type) -> tuple[Setting, ...]:
    """Every setting of a configuration class, in the order of declaration."""
    return tuple(_walk(root))


def _walk(root: type) -> Iterator[Setting]:
    for part in sections_of(root):
        for one in fields(part.kind):
            declaration: Declaration = one.metadata["setting"]
            env = declaration.env or (part.env + one.name.upper(),)
            yield Setting(part.key, part.attribute, one.name, one.default, declaration, env)
