"""Named repositories: how `[repositories.<name>]` is read, and which repositories that makes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import cast

from nora.config.settings import Config, RepositoryKind, RepositorySetting
from nora.errors import ConfigError
from nora.model import RepositorySpec

# A name is the first segment of an image's name and a segment of `/r/<name>/`: one path component of the
# OCI grammar (distribution-spec, "Pulling manifests").
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_RESERVED = frozenset(
    {"blobs", "manifests", "tags", "referrers", "uploads", "v1", "v2", "api", "r", "ui", "health", "ready"}
)
_KINDS = ("hosted", "proxy", "group")
_FIELDS = ("format", "kind", "members", "writes", "anonymous_read")


def read_repositories(tables: object, problems: list[str]) -> dict[str, RepositorySetting]:
    """The `[repositories.*]` tables; what is wrong with them is added to `problems`."""
    if not isinstance(tables, dict):
        problems.append("repositories: expected tables such as [repositories.internal]")
        return {}
    declared: dict[str, RepositorySetting] = {}
    for name, table in tables.items():
        wrong = list(_table_problems(name, table))
        problems += [f"repositories.{name}{line}" for line in wrong]
        if not wrong:
            declared[name] = _read(table)
    return declared


def _read(table: Mapping[str, object]) -> RepositorySetting:
    return RepositorySetting(
        format=str(table.get("format", "")),
        kind=cast("RepositoryKind", table.get("kind", "hosted")),
        members=tuple(cast("list[str]", table.get("members", []))),
        writes=cast("str | None", table.get("writes")),
        anonymous_read=cast("bool | None", table.get("anonymous_read")),
    )


def _table_problems(name: str, table: object) -> Iterator[str]:
    if len(name) > 128 or not _NAME.fullmatch(name):
        yield ": a name is lower-case letters and digits, with single . _ or - between them"
    elif name in _RESERVED:
        yield ": the name is reserved"
    if not isinstance(table, dict):
        yield ': expected a table with format = "docker"'
        return
    for field in table:
        if field not in _FIELDS:
            near = get_close_matches(field, _FIELDS, n=1)
            yield f".{field} = {table[field]!r}: there is no such setting" + (
                f"; did you mean {near[0]}?" if near else f"; expected one of {', '.join(_FIELDS)}"
            )
    yield from _value_problems(table)


def _value_problems(table: Mapping[str, object]) -> Iterator[str]:
    kind, members = table.get("kind", "hosted"), table.get("members", [])
    if not isinstance(table.get("anonymous_read", False), bool):
        yield f".anonymous_read = {table['anonymous_read']!r}: expected true or false"
    if not isinstance(table.get("format"), str) and [*table] != ["anonymous_read"]:
        yield '.format: expected the name of a format, such as "docker"'
    if kind not in _KINDS:
        yield f".kind = {kind!r}: expected hosted, proxy or group"
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        yield f".members = {members!r}: expected a list of names of repositories"
    elif kind == "group" and not members:
        yield '.members: a group needs at least one, such as members = ["docker-hosted"]'
    elif len(set(members)) < len(members):
        yield f".members = {members!r}: expected each name once"
    if not isinstance(table.get("writes", ""), str):
        yield f".writes = {table['writes']!r}: expected the name of a member"
    if kind != "group" and (members or "writes" in table):
        yield ": members and writes belong to groups only"


def repository_specs(config: Config, formats: Sequence[str]) -> tuple[RepositorySpec, ...]:
    """Every repository to serve, of those of `formats` that are switched on.

    Each format has two by default: a hosted one, `<format>-hosted`, and the one that is served at the
    format's mount, a group with the format's name. Raises ConfigError for all that does not fit together.
    """
    served = [name for name in formats if config.enabled(name)]
    specs = {spec.name: spec for name in served for spec in default_specs(name)}
    taken = {spec.name for name in formats for spec in default_specs(name)}
    problems: list[str] = []
    for name, one in config.repositories.items():
        label = f"repositories.{name}"
        if name in taken:
            if one.format:
                problems.append(
                    f"{label}: the name belongs to a repository that is there by default; of that only "
                    "anonymous_read can be said"
                )
        elif one.format not in formats:
            near = get_close_matches(one.format, formats, n=1) or list(formats)
            problems.append(
                f'{label}.format = "{one.format}": not available in this version; '
                f"{'did you mean' if len(near) == 1 else 'expected one of'} {', '.join(near)}?"
            )
        elif one.kind == "proxy":
            problems.append(
                f'{label}.kind = "proxy": not available in this version; expected hosted or group'
            )
        elif one.format in served:
            specs[name] = RepositorySpec(name, one.format, one.kind, one.members, one.writes)
    for spec in specs.values():
        problems += _group_problems(spec, specs)
    if problems:
        raise ConfigError(
            "Repositories are declared wrongly:\n" + "\n".join(f"  {line}" for line in problems)
        )
    return tuple(specs.values())


def default_specs(format_name: str) -> tuple[RepositorySpec, ...]:
    """The repositories that a format has without being asked for, members before their group."""
    hosted = f"{format_name}-hosted"
    return (
        RepositorySpec(hosted, format_name, "hosted"),
        RepositorySpec(format_name, format_name, "group", members=(hosted,), target=hosted),
    )


def _group_problems(spec: RepositorySpec, specs: Mapping[str, RepositorySpec]) -> Iterator[str]:
    label = f"repositories.{spec.name}"
    for member in spec.members:
        other = specs.get(member)
        if other is None:
            near = get_close_matches(member, [*specs], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f'{label}.members: there is no repository "{member}"{hint}'
        elif other.kind == "group":
            yield f'{label}.members: "{member}" is a group; list its members instead'
        elif other.format != spec.format:
            yield f'{label}.members: "{member}" is of format {other.format}, not {spec.format}'
    if spec.target is not None and spec.target not in spec.members:
        yield f'{label}.writes = "{spec.target}": expected one of its members'


def anonymous_repositories(config: Config, specs: Sequence[RepositorySpec]) -> frozenset[str]:
    """The names of the repositories that anybody may read.

    A group that does not say so itself is not a way around a member that says otherwise.
    """
    found = {spec.name for spec in specs if _is_anonymous(config, spec)}
    return frozenset(
        spec.name
        for spec in specs
        if spec.name in found and (_said(config, spec) is not None or found.issuperset(spec.members))
    )


def _said(config: Config, spec: RepositorySpec) -> bool | None:
    one = config.repositories.get(spec.name)
    return None if one is None else one.anonymous_read


def _is_anonymous(config: Config, spec: RepositorySpec) -> bool:
    said, auth = _said(config, spec), config.auth
    if said is not None:
        return said
    if spec.format == "docker" and auth.docker_anon_pull is not None:
        return auth.docker_anon_pull
    return auth.anonymous_read
