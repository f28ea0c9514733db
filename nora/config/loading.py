"""From a file and an environment to the effective configuration, or to one message with all that is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from nora.config.capabilities import CAPABILITIES, INSTEAD
from nora.config.choice import choose_formats
from nora.config.declare import Section, Setting, sections_of, settings_of
from nora.config.kinds import MIB
from nora.config.login import EVERYBODY
from nora.config.names import Names
from nora.config.repositories import default_specs, read_repositories
from nora.config.secrets import hide
from nora.config.sections import KnownFormats
from nora.config.settings import Config
from nora.config.upstreams import check_certificates
from nora.errors import ConfigError, quoted

FILE_VARIABLE = "NORA_CONFIG_PATH"
DEFAULT_FILE = "config.toml"
PROCESS_VARIABLES = frozenset({FILE_VARIABLE, "NORA_NO_EXTENSIONS", "NORA_REQUIRE_EXTENSIONS"})
"""Variables that are no settings: they are read by others."""

FILE_SUFFIX = "_FILE"
"""NORA_X_FILE is the path of a file with what NORA_X would say."""
LARGEST_SECRET = 64 * 1024

# Kubernetes describes a Service `nora` or `nora-…` to every container of its namespace in variables that
# look like settings; the value of NORA_PORT is then `tcp://10.0.0.1:4000`.
_SERVICE_LINK = re.compile(
    r"NORA_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


@dataclass(slots=True)
class Findings:
    """What has been read so far, and what was wrong with it."""

    names: Names
    values: dict[str, object] = field(default_factory=dict)
    """By key of the setting."""
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def load(environ: Mapping[str, str], directory: Path, formats: KnownFormats | None) -> Config:
    """The effective configuration of `nora` started in `directory` with the environment `environ`.

    Defaults, then the file of NORA_CONFIG_PATH (else `config.toml` in the directory, if there is one), then
    `NORA_*` variables. Raises ConfigError that names every bad key and value at once, with what to do.
    Without `formats` nothing is known of them, and what is said of unknown things is passed over: for who
    needs the rest only, and does not want to wait until all formats are imported.
    """
    found = Findings(Names(formats))
    tables, file = _read_file(environ.get(FILE_VARIABLE, ""), directory)
    repositories = read_repositories(tables.pop("repositories", {}), found.problems)
    for key, raw in _flatten(tables, found.names):
        _take_key(found, key, raw, str(file))
    _take_environment(found, environ)
    if formats is not None:
        choose_formats(formats, found.values, found.origins, found.problems, found.warnings)
    _prefer_the_environment(found, str(file))
    config = replace(_assemble(found, directory), repositories=repositories, file=file)
    problems = [*found.problems, *_contradictions(config)]
    if problems:
        count = "1 setting is" if len(problems) == 1 else f"{len(problems)} settings are"
        where = f"{file} or the environment" if file else "the environment"
        raise ConfigError(f"{count} wrong in {where}:\n" + "\n".join(f"  {line}" for line in problems))
    return replace(config, warnings=(*found.warnings, *_risks(config)))


# -- the file ---------------------------------------------------------------------------------------------


def _read_file(named: str, directory: Path) -> tuple[dict[str, object], Path | None]:
    path = directory / (named or DEFAULT_FILE)
    if not named and not path.exists():
        return {}, None
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), path
    except OSError as error:
        hint = f" (named by {FILE_VARIABLE})" if named else ""
        raise ConfigError(f"{path}{hint} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {quoted(error)}") from error


def _flatten(tables: Mapping[str, object], names: Names, prefix: str = "") -> Iterator[tuple[str, object]]:
    """The keys of the file with their values; a table of an unknown name is one value."""
    for name, value in tables.items():
        key = prefix + name
        if isinstance(value, dict) and key in names.sections:
            yield from _flatten(value, names, f"{key}.")
        else:
            yield key, value


def _take_key(found: Findings, key: str, raw: object, origin: str) -> None:
    names = found.names
    if key in names.settings:
        _take(found, names.settings[key], key, raw, origin)
    elif key in names.planned:
        _take_planned(found, key, raw)
    elif names.strict and isinstance(raw, dict):
        found.problems.append(f"[{quoted(key)}]: there is no such section{names.nearest_section(key)}")
    elif names.strict:
        found.problems.append(f"{quoted(key)}: there is no such setting{names.nearest_key(key)}")


# -- the environment --------------------------------------------------------------------------------------


def _take_environment(found: Findings, environ: Mapping[str, str]) -> None:
    names = found.names
    for name in sorted(environ):
        raw, plain = environ[name], name.removesuffix(FILE_SUFFIX)
        if not name.startswith("NORA_") or name in PROCESS_VARIABLES or raw == "":
            continue
        if _SERVICE_LINK.fullmatch(name) or (name.endswith("_PORT") and _SERVICE_ADDRESS.match(raw)):
            if name in names.settings:
                found.warnings.append(f"{name}={quoted(raw)}: describes a Kubernetes Service, ignored")
        elif name in names.settings:
            _take(found, names.settings[name], name, raw, name)
        elif name in names.planned or plain in names.planned:
            _take_planned(found, name, raw)
        elif plain in names.settings:
            _take_file(found, names.settings[plain], name, raw)
        elif names.strict:
            hint = names.nearest_variable(plain, PROCESS_VARIABLES)
            if hint is None:
                found.warnings.append(f"{quoted(name)}: there is no such setting, ignored")
            else:
                found.problems.append(f"{quoted(name)}: there is no such setting{hint}")


def _take_file(found: Findings, setting: Setting, name: str, path: str) -> None:
    """A value that is in a file, as container platforms hand out secrets: without its last line end."""
    # What stands where a path is expected may be the secret itself.
    shown = name if setting.declaration.kind.secret else f"{name}={quoted(path)}"
    try:
        with open(path, encoding="utf-8") as file:
            raw = file.read(LARGEST_SECRET)
    except OSError as error:
        found.problems.append(f"{shown}: cannot be read: {error.strerror}")
    except ValueError:
        found.problems.append(f"{shown}: is not UTF-8")
    else:
        _take(found, setting, name.removesuffix(FILE_SUFFIX), raw.removesuffix("\n").removesuffix("\r"), name)


# -- one value --------------------------------------------------------------------------------------------


def _take(found: Findings, setting: Setting, name: str, raw: object, origin: str) -> None:
    """Read the value that `name` (a key of the file, or a variable) gives to a setting."""
    earlier = found.origins.get(setting.key)
    if earlier is not None and (earlier == origin or earlier.removesuffix(FILE_SUFFIX) in setting.names):
        found.problems.append(f"{quoted(name)}: {setting.key} is set twice; keep one of them")
        return
    try:
        value = setting.declaration.kind.read(_in_mib(raw) if name.lower().endswith("_mb") else raw)
    except ValueError as error:
        is_secret = setting.declaration.kind.secret
        shown = quoted(name) if is_secret else _assignment(name, raw)
        hint = "" if is_secret else _nearest_word(str(error), raw)
        found.problems.append(f"{shown}: {error}{hint}")
        return
    found.values[setting.key] = value
    found.origins[setting.key] = origin
    if name in setting.declaration.deprecated:
        found.warnings.append(f"{name} is deprecated: say {setting.key}")
    needs, stops = setting.declaration.needs, setting.declaration.stops
    if needs is None or CAPABILITIES[needs]:
        return
    if stops is None:
        found.warnings.append(_ignored(name))
    elif value == stops:
        found.problems.append(_unsafe(name, raw, needs))


def _in_mib(raw: object) -> int:
    try:
        return int(str(raw)) * MIB
    except ValueError:
        raise ValueError("expected a number of MiB") from None


def _take_planned(found: Findings, name: str, raw: object) -> None:
    names = found.names.planned
    known = names.get(name) or names[name.removesuffix(FILE_SUFFIX)]
    text = str(raw).lower()
    if known.stops is not None and (text == known.stops or (text == "1" and known.stops == "true")):
        found.problems.append(_unsafe(name, raw, known.needs))
    else:
        found.warnings.append(_ignored(name))


def _ignored(name: str) -> str:
    section, _, key = name.rpartition(".")
    return f"{f'[{section}] {key}' if section else name}: not available in this version, ignored"


def _unsafe(name: str, raw: object, needs: str) -> str:
    return f"{_assignment(name, raw)}: {needs} is not available in this version; {INSTEAD[needs]}"


def _assignment(name: str, raw: object) -> str:
    """As the operator wrote it, without secrets: `server.port = "abc"`, `NORA_PORT=abc`."""
    shown = hide(name, raw)
    if isinstance(shown, bool):
        shown = str(shown).lower()
    elif isinstance(shown, str) and not name.startswith("NORA_"):
        shown = f'"{quoted(shown)}"'
    return f"{quoted(name)}{'=' if name.startswith('NORA_') else ' = '}{quoted(shown)}"


def _nearest_word(expected: str, raw: object) -> str:
    """When one of some words was expected, the one that was probably meant."""
    near = get_close_matches(str(raw).lower(), re.findall(r"[a-z0-9]+", expected), n=1, cutoff=0.7)
    return f'; did you mean "{near[0]}"?' if near else ""


# -- the whole --------------------------------------------------------------------------------------------


def _prefer_the_environment(found: Findings, file: str) -> None:
    """Of the two ways to say whom a format asks, what a variable says counts before what the file says."""
    for name in (one.name for one in found.names.formats.served):
        keys = [f"{name}.upstreams", f"{name}.proxy", f"{name}.proxy_auth"]
        if keys[1] in found.values and found.origins.get(keys[0]) == file != found.origins[keys[1]]:
            del found.values[keys[0]], found.origins[keys[0]]
        elif found.origins.get(keys[0], file) != file == found.origins.get(keys[1]):
            for key in keys[1:]:
                found.values.pop(key, None)
                found.origins.pop(key, None)


def _assemble(found: Findings, directory: Path) -> Config:
    """The sections with what was found; relative paths are below the directory."""

    def made(part: Section) -> Any:
        values = {one.name: found.values.get(one.key, one.default) for one in settings_of(part)}
        return part.kind(**{k: directory / v if isinstance(v, Path) else v for k, v in values.items()})

    known = found.names.formats
    return Config(
        origins=found.origins,
        known=known,
        formats={one.name: made(one.section) for one in known.served},
        **{name: made(part) for name, part in sections_of(Config).items()},
    )


def _contradictions(config: Config) -> Iterator[str]:
    server = config.server
    if (server.tls_cert is None) != (server.tls_key is None):
        yield "server.tls_cert and server.tls_key: set both, or neither"
    for key, path in (("server.tls_cert", server.tls_cert), ("server.tls_key", server.tls_key)):
        if path is not None and not path.is_file():
            yield f'{key} = "{path}": there is no such file'
    yield from config.storage.problems()
    if config.tls.ca_cert is not None:
        try:
            check_certificates(config.tls.ca_cert)
        except ValueError as error:
            yield f'tls.ca_cert = "{config.tls.ca_cert}": {error}'
    if config.oidc.enabled and not config.auth.enabled:
        yield "auth.oidc.enabled = true: set auth.enabled = true as well; NORA does not run open instead"
    if config.oidc.enabled and not config.oidc.active:
        yield "auth.oidc.enabled = true: there is no provider; see [[auth.oidc.providers]]"
    for line in config.login.problems(asks=config.auth.enabled, public_url=server.public_url):
        yield f"auth.oidc.login.{line}"
    yield from (f"retention.{line}" for line in config.retention.problems(_places(config)))
    for name, settings in config.formats.items():
        yield from (f"{name}.{line}" for line in settings.problems())


def _places(config: Config) -> set[str] | None:
    """The names of formats, also of those that are not served yet, and of repositories; None: nobody asked
    for formats."""
    if not config.known.served:
        return None
    formats = {one.name for one in config.known.served} | {one.name for one in config.known.planned}
    default = {spec.name for name in formats for spec in default_specs(name, proxied=True)}
    return formats | default | {*config.repositories}


def _risks(config: Config) -> Iterator[str]:
    server = config.server
    yield from _risks_of_access(config)
    for kind in ("auth", "upload", "general", "upstream"):
        for name in (f"{kind}_rps", f"{kind}_burst"):
            if getattr(config.rate_limit, name) == 0:
                yield f"rate_limit.{name} = 0: this class of requests has no limit"
    for one in config.oidc.active:
        if any(rule.pattern == "*" and not rule.claims for rule in one.role_rules):
            yield f"auth.oidc.providers: {one.name} has a rule for everybody whom {one.issuer} knows"
    for grant in config.login.roles:
        if config.login.issuer and grant.group == EVERYBODY and grant.role == "admin":
            yield f"auth.oidc.login.roles: whoever {config.login.issuer} lets in administrates this server"
    yield from _risks_of_proxies(config)
    yield from config.retention.warnings()
    if server.workers != "auto" and server.workers != server.worker_count:
        yield f"server.workers = {server.workers}: this system runs {server.worker_count}"


def _risks_of_proxies(config: Config) -> Iterator[str]:
    if config.server.proxy_coalesce is False:
        yield "server.proxy_coalesce = false is ignored: it is always done"
    for name, settings in config.formats.items():
        yield from (f"{name}.{line}" for line in settings.warnings())
    for pattern in config.proxy.extend:
        if not pattern.strip("*/@"):
            yield f"proxy.extend has {pattern}: whoever uploads there can add files to packages of yours"


def _risks_of_access(config: Config) -> Iterator[str]:
    host, auth = config.server.host, config.auth
    if not auth.enabled and not config.server.on_loopback:
        what = "push, delete and administrate" if auth.allow_anonymous_admin else "push"
        yield (
            f"AUTHENTICATION IS OFF and server.host = {host}: whoever reaches this address may {what}; "
            "set NORA_AUTH_ENABLED=true"
        )
    secure = config.server.tls_cert is not None or (config.server.public_url or "").startswith("https:")
    if auth.enabled and not config.server.on_loopback and not secure:
        yield (
            f"server.host = {host} without TLS: passwords and tokens can be read on their way; set "
            "NORA_TLS_CERT and NORA_TLS_KEY, or NORA_PUBLIC_URL=https://… where a proxy in front has it"
        )
    for name in ("token_storage", "token_cache_ttl"):
        if getattr(auth, name) is not None:
            yield f"auth.{name} is ignored: tokens are in the catalog, and revoked at once"
    for network in auth.trusted_proxies:
        if network.endswith("/0"):
            yield f"auth.trusted_proxies has {network}: every client may say that it is another"
    for user, role in auth.roles:
        if role != "admin" and user in auth.admin_users:
            yield f"auth.roles has {user}, who is one of auth.admin_users: that counts"
