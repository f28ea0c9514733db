"""From a file and an environment to the effective configuration, or to one message with all that is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from nora.config.capabilities import CAPABILITIES, INSTEAD, find_planned, planned
from nora.config.declare import Setting, settings_of
from nora.config.kinds import MIB
from nora.config.repositories import read_repositories
from nora.config.secrets import hide
from nora.config.settings import Config, RepositorySetting
from nora.errors import ConfigError

FILE_VARIABLE = "NORA_CONFIG_PATH"
DEFAULT_FILE = "config.toml"
PROCESS_VARIABLES = frozenset({FILE_VARIABLE, "NORA_NO_EXTENSIONS", "NORA_REQUIRE_EXTENSIONS"})
"""Variables that are no settings: they are read by others."""

# Kubernetes describes a Service `nora` or `nora-…` to every container of its namespace in variables that
# look like settings; the value of NORA_PORT is then `tcp://10.0.0.1:4000`.
_SERVICE_LINK = re.compile(
    r"NORA_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


@dataclass(slots=True)
class Findings:
    """What has been read so far, and what was wrong with it."""

    values: dict[str, object] = field(default_factory=dict)
    """By key of the setting."""
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def load(environ: Mapping[str, str], directory: Path) -> Config:
    """The effective configuration of `nora` started in `directory` with the environment `environ`.

    Defaults, then the file of NORA_CONFIG_PATH (else `config.toml` in the directory, if there is one), then
    `NORA_*` variables. Raises ConfigError that names every bad key and value at once, with what to do.
    """
    found = Findings()
    tables, origin = _read_file(environ.get(FILE_VARIABLE, ""), directory)
    repositories = read_repositories(tables.pop("repositories", {}), found.problems)
    for key, raw in _flatten(tables):
        _take_key(found, key, raw, origin)
    _take_environment(found, environ)
    config = _assemble(found, directory, repositories)
    found.problems += _contradictions(config)
    if found.problems:
        count = "A setting is" if len(found.problems) == 1 else f"{len(found.problems)} settings are"
        raise ConfigError(f"{count} wrong:\n" + "\n".join(f"  {line}" for line in found.problems))
    return config


# -- the file ---------------------------------------------------------------------------------------------


def _read_file(named: str, directory: Path) -> tuple[dict[str, object], str]:
    path = directory / (named or DEFAULT_FILE)
    if not named and not path.exists():
        return {}, ""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), str(path)
    except OSError as error:
        hint = f" (named by {FILE_VARIABLE})" if named else ""
        raise ConfigError(f"{path}{hint} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _known_keys() -> dict[str, Setting]:
    return {key: one for one in settings_of(Config) for key in one.toml}


def _known_sections() -> set[str]:
    keys = [*_known_keys(), *(one.key for one in planned())]
    return {key.rpartition(".")[0] for key in keys}


def _flatten(tables: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """The keys of the file with their values; tables of unknown names are one value."""
    sections = _known_sections()
    for name, value in tables.items():
        key = prefix + name
        if isinstance(value, dict) and key in sections:
            yield from _flatten(value, f"{key}.")
        else:
            yield key, value


def _take_key(found: Findings, key: str, raw: object, origin: str) -> None:
    setting = _known_keys().get(key)
    if setting is not None:
        _take(found, setting, key, key, raw, origin)
    elif find_planned(key):
        _take_planned(found, key, raw)
    else:
        known = [*_known_keys(), *(one.key for one in planned())]
        hint = _did_you_mean(key, known) or _did_you_mean(key, sorted({*_known_sections(), "repositories"}))
        found.problems.append(f"{key} = {_show(key, raw)}: there is no such setting{hint}")


# -- the environment ------------------------------------------------------------------------------------


def _take_environment(found: Findings, environ: Mapping[str, str]) -> None:
    known = {name: one for one in settings_of(Config) for name in one.env}
    names = {*known, *(one.env for one in planned() if one.env), *PROCESS_VARIABLES}
    for name in sorted(environ):
        raw = environ[name]
        if not name.startswith("NORA_") or name in PROCESS_VARIABLES or raw == "":
            continue
        if _SERVICE_LINK.fullmatch(name) or (name.endswith("_PORT") and _SERVICE_ADDRESS.match(raw)):
            if name in known:
                found.warnings.append(f"{name}={raw}: comes from a Kubernetes service of that name, ignored")
        elif name in known:
            _take(found, known[name], name, name, raw, name)
        elif find_planned(name):
            _take_planned(found, name, raw)
        else:
            hint = _did_you_mean(name, sorted(names))
            found.problems.append(f"{name}={_show(name, raw)}: there is no such setting{hint}")


# -- one value ------------------------------------------------------------------------------------------


def _take(found: Findings, setting: Setting, name: str, label: str, raw: object, origin: str) -> None:
    previous = found.origins.get(setting.key)
    if previous is not None and (previous == origin or (previous in setting.env and origin in setting.env)):
        found.problems.append(f"{label} = {_show(name, raw)}: {setting.key} is set twice; keep one of them")
        return
    try:
        scaled = _in_mib(raw) if name.lower().endswith("_mb") else raw
        value = setting.declaration.kind.read(scaled)
    except ValueError as error:
        found.problems.append(f"{label} = {_show(name, raw)}: {error}{_nearest_choice(setting, raw)}")
        return
    found.values[setting.key] = value
    found.origins[setting.key] = origin
    needs = setting.declaration.needs
    if needs is None or CAPABILITIES[needs]:
        return
    if setting.declaration.stops is None:
        found.warnings.append(_ignored(label))
    elif value == setting.declaration.stops:
        found.problems.append(_unsafe(label, raw, needs))


def _in_mib(raw: object) -> object:
    try:
        return int(str(raw)) * MIB
    except ValueError:
        raise ValueError("expected a number of MiB") from None


def _take_planned(found: Findings, label: str, raw: object) -> None:
    known = find_planned(label)
    assert known is not None
    if known.stops is not None and str(raw).lower() in (known.stops, "1" if known.stops == "true" else ""):
        found.problems.append(_unsafe(label, raw, known.needs))
    else:
        found.warnings.append(_ignored(label))


def _ignored(label: str) -> str:
    section, _, name = label.rpartition(".")
    return f"{f'[{section}] {name}' if section else label}: not available in this version, ignored"


def _unsafe(label: str, raw: object, needs: str) -> str:
    instead = INSTEAD.get(needs) or INSTEAD["authentication"]
    return f"{label} = {_show(label, raw)}: {needs} is not available in this version; {instead}"


def _show(key: str, raw: object) -> str:
    shown = hide(key, raw)
    if isinstance(shown, bool):
        return "true" if shown else "false"
    text = f'"{shown}"' if isinstance(shown, str) else str(shown)
    return text if len(text) <= 120 else text[:117] + "…"


def _did_you_mean(name: str, known: list[str]) -> str:
    """The nearest name: by the whole of it, else by its last part (a key in the wrong section)."""
    near = get_close_matches(name, known, n=1, cutoff=0.75)
    if not near:
        tails = {one.rpartition(".")[2]: one for one in known}
        near = [tails[tail] for tail in get_close_matches(name.rpartition(".")[2], tails, n=1, cutoff=0.8)]
    return f"; did you mean {near[0]}?" if near else ""


def _nearest_choice(setting: Setting, raw: object) -> str:
    words = re.findall(r"[a-z0-9]+", setting.declaration.kind.expects)
    near = get_close_matches(str(raw).lower(), words, n=1, cutoff=0.6) if isinstance(raw, str) else []
    return f'; did you mean "{near[0]}"?' if near and near[0] != raw else ""


# -- the whole ------------------------------------------------------------------------------------------


def _assemble(found: Findings, directory: Path, repositories: Mapping[str, RepositorySetting]) -> Config:
    parts: dict[str, Any] = {}
    for part in fields(Config):
        if "section" not in part.metadata:
            continue
        kind = part.metadata["section"][0]
        values = {one.name: found.values.get(f"{part.name}.{one.name}", one.default) for one in fields(kind)}
        resolved = {k: directory / v if isinstance(v, Path) else v for k, v in values.items()}
        parts[part.name] = kind(**resolved)
    return Config(repositories=repositories, warnings=tuple(found.warnings), origins=found.origins, **parts)


def _contradictions(config: Config) -> Iterator[str]:
    server = config.server
    if (server.tls_cert is None) != (server.tls_key is None):
        yield "server.tls_cert and server.tls_key: set both, or neither"
    for key, path in (("server.tls_cert", server.tls_cert), ("server.tls_key", server.tls_key)):
        if path is not None and not path.is_file():
            yield f'{key} = "{path}": there is no such file'
