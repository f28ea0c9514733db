"""The configuration written down for people: what is in force, and what there is to set."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from nora.config.capabilities import CAPABILITIES, planned
from nora.config.declare import Setting, sections_of, settings_of
from nora.config.secrets import hide
from nora.config.sections import KnownFormats
from nora.config.settings import Config, RepositorySetting
from nora.config.upstreams import render_upstream
from nora.model import RepositorySpec


def effective(config: Config) -> dict[str, dict[str, object]]:
    """What is in force: key → value (secrets hidden) and origin (`default`, the file or the variable)."""
    return {
        one.key: {"value": _shown(one, config), "origin": config.origins.get(one.key, "default")}
        for one in config.settings
    }


def _shown(setting: Setting, config: Config) -> object:
    value = config.value_of(setting)
    return None if value is None else hide(setting.key, setting.declaration.kind.write(value))


def render_toml(config: Config) -> str:
    """What is in force as a TOML file, each line with its origin. What is not set is a comment."""
    return "\n".join(_toml_lines(config)) + "\n"


def _toml_lines(config: Config) -> Iterator[str]:
    section = ""
    for key, known in effective(config).items():
        head, _, name = key.rpartition(".")
        if head != section:
            yield f"\n[{head}]" if section else f"[{head}]"
            section = head
        value = known["value"]
        line = f"# {name} is not set" if value is None else f"{name} = {toml_value(value)}"
        yield f"{line:<39} # {known['origin']}"
    for name, repository in config.repositories.items():
        yield f'\n[repositories."{name}"]' if "." in name else f"\n[repositories.{name}]"
        yield from (f"{key} = {toml_value(value)}" for key, value in declared(repository).items())


def declared(repository: RepositorySetting) -> dict[str, object]:
    """What is said of a repository, secrets hidden."""
    said = {one.name: getattr(repository, one.name) for one in fields(repository)}
    if not repository.format:  # one that is there by default
        del said["kind"]
    said["upstreams"] = [hide("upstreams", render_upstream(one)) for one in repository.upstreams]
    return {key: value for key, value in said.items() if value not in (None, "", (), [])}


def proxies(config: Config, specs: Sequence[RepositorySpec]) -> dict[str, dict[str, object]]:
    """Whom each proxy of `specs` asks, in this order, and whether it may; secrets hidden."""
    return {
        spec.name: {
            "mode": "online" if config.is_online(spec.name) else "offline",
            "upstreams": [hide("upstreams", render_upstream(one)) for one in config.upstreams_of(spec.name)],
        }
        for spec in specs
        if spec.kind == "proxy"
    }


def toml_value(value: object) -> str:
    """A value in TOML's notation. Its basic strings escape as JSON's do, but for U+007F."""
    if isinstance(value, Mapping):
        entries = [f"{toml_key(name)} = {toml_value(entry)}" for name, entry in value.items()]
        return "{ " + ", ".join(entries) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def toml_key(name: str) -> str:
    """A key in TOML's notation: quoted where it must be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_value(name)


# -- the reference ----------------------------------------------------------------------------------------


def reference(formats: KnownFormats) -> str:
    """The tables of docs/configuration.md, in Markdown."""
    return "\n".join([*_setting_tables(formats), *_planned_table(formats)]) + "\n"


def _setting_tables(formats: KnownFormats) -> Iterator[str]:
    for part in (*sections_of(Config).values(), *(one.section for one in formats.served)):
        yield f"### [{part.key}]\n\n{part.doc}\n"
        yield "| key | environment | default | value | meaning |\n|---|---|---|---|---|"
        yield from map(_row, settings_of(part))
        yield ""


def _row(one: Setting) -> str:
    known = one.declaration
    default = "-" if one.default is None else f"`{toml_value(known.kind.write(one.default))}`"
    waits = known.needs is not None and not CAPABILITIES[known.needs]
    value = f"`{str(known.stops).lower()}`" if known.stops is not None else known.needs
    note = f" *Not available yet: {value}.*" if waits else ""
    keys = (*known.toml, *(name for name in known.deprecated if "." in name))
    aliases = "".join(f" (or `{alias}`)" for alias in keys)
    env = ", ".join(f"`{name}`" for name in one.env + known.deprecated if "." not in name)
    return (
        f"| `{one.name}`{aliases} | {env} | {default} | {known.kind.expects} | {known.doc}{note} |".replace(
            "url|user", r"url\|user"
        )
    )


def _planned_table(formats: KnownFormats) -> Iterator[str]:
    yield "### Known, and not available yet\n"
    yield "These are accepted with a warning; those that would be unsafe to ignore stop the start.\n"
    yield "| key | environment | waits for |\n|---|---|---|"
    for one in dict.fromkeys(planned(formats).values()):
        env = f"`{one.env}`" if one.env else "-"
        stops = f"; `{one.stops}` stops the start" if one.stops else ""
        yield f"| `{one.key}` | {env} | {one.needs}{stops} |"
