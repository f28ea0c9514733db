"""Named repositories: how `[repositories.<name>]` is read, and which repositories that makes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import cast, get_args

from nora.config import kinds
from nora.config.proxy import PROXY_MODES, ProxyMode
from nora.config.secrets import hide
from nora.config.sections import FormatSection, Overwrite
from nora.config.settings import Config, RepositorySetting
from nora.config.upstreams import DEFAULT, OTHER_WORDS, UPSTREAMS, Upstream
from nora.errors import ConfigError, quoted
from nora.model import Quota, RepositoryKind, RepositorySpec

# A name is the first segment of an image's name and a segment of `/r/<name>/`: one path component of the
# OCI grammar (distribution-spec, "Pulling manifests").
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_RESERVED = frozenset(
    {"blobs", "manifests", "tags", "referrers", "uploads", "v1", "v2", "api", "r", "ui", "health", "ready"}
)
_KINDS = ("hosted", "proxy", "group")
_QUOTAS = ("quota_bytes", "quota_versions")
_FIELDS = (
    *("format", "kind", "members", "writes", "anonymous_read", "upstreams", "mode", "overwrite"),
    *_QUOTAS,
)
_VERSIONS = kinds.integer(0)
_SAID_OF_DEFAULTS = frozenset({"anonymous_read", "mode", "overwrite", "members", "writes", *_QUOTAS})


def read_repositories(tables: object, problems: list[str]) -> dict[str, RepositorySetting]:
    """The `[repositories.*]` tables; what is wrong with them is added to `problems`."""
    if not isinstance(tables, dict):
        problems.append("repositories: expected tables such as [repositories.internal]")
        return {}
    declared: dict[str, RepositorySetting] = {}
    for name, table in tables.items():
        wrong = list(_table_problems(name, table))
        problems += [f"repositories.{quoted(name)}{line}" for line in wrong]
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
        upstreams=cast("tuple[Upstream, ...]", UPSTREAMS.read(table.get("upstreams", []))),
        overwrite=cast("Overwrite | None", table.get("overwrite")),
        mode=cast("ProxyMode | None", table.get("mode")),
        quota=_read_quota(table) if any(name in table for name in _QUOTAS) else None,
    )


def _read_quota(table: Mapping[str, object]) -> Quota:
    """Raises ValueError."""
    size, versions = (table.get(name) for name in _QUOTAS)
    return Quota(
        None if size is None else kinds.parse_size(size),
        None if versions is None else cast("int", _VERSIONS.read(versions)),
    )


def _table_problems(name: str, table: object) -> Iterator[str]:
    if len(name) > 128 or not _NAME.fullmatch(name):
        yield ": a name is lower-case letters and digits, with single . _ or - between them"
    elif name in _RESERVED:
        yield ": the name is reserved"
    if not isinstance(table, dict):
        yield ": expected a table with the name of a format"
        return
    for field in table:
        if field not in _FIELDS:
            near = ["upstreams"] if field in OTHER_WORDS else get_close_matches(field, _FIELDS, n=1)
            yield f".{quoted(field)}: there is no such setting" + (
                f"; did you mean {near[0]}?" if near else f"; expected one of {', '.join(_FIELDS)}"
            )
    yield from _value_problems(table)


def _shown(field: str, value: object) -> str:
    """A value as a problem with it quotes it, without its secrets."""
    return quoted(repr(hide(field, value)))


def _value_problems(table: Mapping[str, object]) -> Iterator[str]:
    kind, members = table.get("kind", "hosted"), table.get("members", [])
    if not isinstance(table.get("anonymous_read", False), bool):
        yield f".anonymous_read = {_shown('anonymous_read', table['anonymous_read'])}: expected true or false"
    if not isinstance(table.get("format"), str) and not (table and table.keys() <= _SAID_OF_DEFAULTS):
        yield ".format: expected the name of a format"
    if kind not in _KINDS:
        yield f".kind = {_shown('kind', kind)}: expected hosted, proxy or group"
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        yield f".members = {_shown('members', members)}: expected a list of names of repositories"
    elif (kind == "group" or "members" in table) and not members:
        yield ".members: a group needs at least one"
    elif len(set(members)) < len(members):
        yield f".members = {_shown('members', members)}: expected each name once"
    if not isinstance(table.get("writes", ""), str):
        yield f".writes = {_shown('writes', table['writes'])}: expected the name of a member"
    if "format" in table and kind != "group" and (members or "writes" in table):
        yield ": members and writes belong to groups only"
    yield from _overwrite_problems(table)
    yield from _quota_problems(table)
    yield from _proxy_problems(table)


def _overwrite_problems(table: Mapping[str, object]) -> Iterator[str]:
    if table.get("overwrite", "never") not in get_args(Overwrite):
        yield f".overwrite = {_shown('overwrite', table['overwrite'])}: expected never, if-match or always"
    elif "overwrite" in table and "format" in table and table.get("kind", "hosted") != "hosted":
        yield ": overwrite belongs to hosted repositories only"


def _quota_problems(table: Mapping[str, object]) -> Iterator[str]:
    said = [name for name in _QUOTAS if name in table]
    for name in said:
        try:
            _read_quota({name: table[name]})
        except ValueError as error:
            yield f".{name} = {_shown(name, table[name])}: {error}"
    if said and "format" in table and table.get("kind", "hosted") != "hosted":
        yield f": {said[0]} belongs to hosted repositories only"


def _proxy_problems(table: Mapping[str, object]) -> Iterator[str]:
    raw, mode = table.get("upstreams", []), table.get("mode")
    try:
        upstreams = UPSTREAMS.read(raw)
    except ValueError as error:
        yield f".upstreams: {error}"
        return
    if mode is not None and mode not in PROXY_MODES:
        yield f".mode = {_shown('mode', mode)}: expected {' or '.join(PROXY_MODES)}"
    if table.get("kind", "hosted") == "proxy":
        if not upstreams:
            yield '.upstreams: a proxy needs at least one, such as upstreams = ["https://registry.example.com"]'
    elif "upstreams" in table or ("format" in table and mode is not None):
        yield ": upstreams and mode belong to proxies only"


def repository_specs(config: Config) -> tuple[RepositorySpec, ...]:
    """Every repository to serve, of those formats that are switched on.

    Each format has some by default: a hosted one, `<format>-hosted`; a proxy, `<format>-proxy`, if it can be
    one and there is somebody to ask; and the one that is served at the format's mount, a group with the
    format's name. Raises ConfigError for all that does not fit together.
    """
    formats = {one.name: one for one in config.known.served}
    served = [name for name in formats if config.enabled(name)]
    specs = {spec.name: spec for name in served for spec in _defaults(config, name)}
    taken = {spec.name: spec for name in formats for spec in default_specs(name, proxied=True)}
    problems: list[str] = []
    for name, one in config.repositories.items():
        if name in taken:
            problem = _default_problem(name, one, taken[name], formats)
        else:
            problem = _named_problem(one, formats)
        if problem:
            problems.append(f"repositories.{name}{problem}")
        elif name in specs and one.members:
            specs[name] = _extended(specs[name], one)
        elif one.format in served:
            specs[name] = RepositorySpec(name, one.format, one.kind, one.members, one.writes)
        if one.quota and name in specs and not problem:
            specs[name] = replace(specs[name], quota=one.quota)
    for spec in specs.values():
        problems += _group_problems(spec, specs)
        problems += _prefix_problems(spec, specs, config)
        problems += _source_problems(spec, config)
    if problems:
        raise ConfigError(
            "Repositories are declared wrongly:\n" + "\n".join(f"  {line}" for line in problems)
        )
    return tuple(_with_sources(spec, config) for spec in specs.values())


def reached_repositories(config: Config) -> dict[str, RepositorySpec]:
    """How requests come to each repository, by name: as themselves, but for the members that a format's
    default group has by itself, where no path names those. Raises ConfigError."""
    specs = {spec.name: spec for spec in repository_specs(config)}
    behind = {
        spec.name: specs[one.name]
        for one in config.known.served
        if one.shares_mount and one.name in specs
        for spec in default_specs(one.name, proxied=True)
    }
    return {name: behind.get(name, spec) for name, spec in specs.items()}


def _with_sources(spec: RepositorySpec, config: Config) -> RepositorySpec:
    """A proxy with what tells its upstreams apart. The mirrors of one have the same content: they do not."""
    if spec.kind != "proxy":
        return spec
    upstreams = config.upstreams_of(spec.name)
    return replace(spec, sources=tuple(" ".join(filter(None, (one.url, one.prefix))) for one in upstreams))


def _defaults(config: Config, format_name: str) -> tuple[RepositorySpec, ...]:
    return default_specs(format_name, proxied=bool(config.default_upstreams(format_name)))


def default_specs(format_name: str, *, proxied: bool = False) -> tuple[RepositorySpec, ...]:
    """The repositories that a format has without being asked for, members before their group."""
    hosted, proxy = f"{format_name}-hosted", f"{format_name}-proxy"
    members = (hosted, proxy) if proxied else (hosted,)
    return (
        RepositorySpec(hosted, format_name, "hosted"),
        *([RepositorySpec(proxy, format_name, "proxy")] if proxied else []),
        RepositorySpec(format_name, format_name, "group", members, target=hosted),
    )


def _extended(default: RepositorySpec, said: RepositorySetting) -> RepositorySpec:
    """A default group with other members. Writes stay where they were, if that is still one of them."""
    kept = default.target if default.target in said.members else None
    return replace(default, members=said.members, target=said.writes or kept)


def _default_problem(
    name: str, one: RepositorySetting, default: RepositorySpec, formats: Mapping[str, FormatSection]
) -> str | None:
    if one.upstreams and default.kind == "proxy":
        return f": say whom it asks as {default.format}.upstreams"
    if one.format:
        return (
            ": the name belongs to a repository that is there by default; of that only anonymous_read can be"
            " said, overwrite and quotas of a hosted one, mode of a proxy, and members and writes of a group"
        )
    if one.mode is not None and default.kind != "proxy":
        return f'.mode = "{one.mode}": upstreams and mode belong to proxies only'
    if one.overwrite is not None and default.kind != "hosted":
        return ": overwrite belongs to hosted repositories only"
    if one.quota is not None and default.kind != "hosted":
        return ": a quota belongs to hosted repositories only"
    if problem := _replaced_problem(one, formats[default.format]):
        return problem
    if (one.members or one.writes) and default.kind != "group":
        return ": members and writes belong to groups only"
    if one.writes and not one.members:
        return ".writes: say its members as well"
    return None


def _named_problem(one: RepositorySetting, formats: Mapping[str, FormatSection]) -> str | None:
    if one.format not in formats:
        near = get_close_matches(one.format, formats, n=1) or list(formats)
        return (
            f'.format = "{one.format}": not available in this version; '
            f"{'did you mean' if len(near) == 1 else 'expected one of'} {', '.join(near)}?"
        )
    if one.kind == "proxy" and not formats[one.format].can_proxy:
        return f'.kind = "proxy": {one.format} cannot be a proxy in this version; expected hosted or group'
    return _replaced_problem(one, formats[one.format])


def _replaced_problem(one: RepositorySetting, section: FormatSection) -> str | None:
    if one.overwrite is not None and not section.can_overwrite:
        return f".overwrite: files of the format {section.name} are never replaced"
    return None


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
    if spec.target is not None:
        if spec.target not in spec.members:
            yield f'{label}.writes = "{spec.target}": expected one of its members'
        elif spec.target in specs and specs[spec.target].kind == "proxy":
            yield f'{label}.writes = "{spec.target}": nothing is written to a proxy; expected a hosted member'


def _prefix_problems(
    spec: RepositorySpec, specs: Mapping[str, RepositorySpec], config: Config
) -> Iterator[str]:
    """A prefix and a named repository are both the first segment of a name."""
    for one in config.upstreams_of(spec.name) if spec.kind == "proxy" else ():
        other = specs.get(one.prefix or "")
        if other is not None and other.format == spec.format:
            yield f'repositories.{spec.name}: the prefix "{one.prefix}" is the name of a repository'


def _source_problems(spec: RepositorySpec, config: Config) -> Iterator[str]:
    """What comes of `default`, the public registry of the format."""
    upstreams = config.upstreams_of(spec.name) if spec.kind == "proxy" else ()
    if len({(one.url, one.prefix) for one in upstreams}) < len(upstreams):
        yield f'repositories.{spec.name}: "default" is one of its other upstreams; expected each once'
    known = config.known.find(spec.format)
    if any(one.url == DEFAULT for one in upstreams) and known is not None:
        yield f'repositories.{spec.name}: "default": {known.title} has no public registry; expected a URL'


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
    own = config.formats[spec.format].anonymous_read
    return auth.anonymous_read if own is None else own


def overwrite_rules(config: Config, format_name: str, default: Overwrite) -> Mapping[str, Overwrite]:
    """When files may be replaced, by the name of the hosted repository of a format that they are in."""
    return {
        spec.name: (said and said.overwrite) or default
        for spec in repository_specs(config)
        if spec.format == format_name and spec.kind == "hosted"
        for said in [config.repositories.get(spec.name)]
    }
