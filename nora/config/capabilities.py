"""What this version can do, and the settings that are known but wait for what it cannot do yet.

Files and environments written for a complete NORA start here: a setting that waits is accepted with a
warning, unless ignoring it would be unsafe. When a capability arrives, its flag turns true and its names
move from `PLANNED` to declarations in `nora.config.settings`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from nora.config.sections import KnownFormats

MORE_FORMATS = "more formats"
CAPABILITIES: Mapping[str, bool] = {
    "authentication": True,
    "workload identity": True,
    "secret providers": False,
    "web UI": True,
    "object storage": True,
    "proxy": True,
    "rate limits": True,
    "collection": True,
    "retention": True,
    "curation": False,
    "audit": True,
    "import": False,
    MORE_FORMATS: False,
}

INSTEAD: Mapping[str, str] = {
    "curation": "NORA does not run without a policy that was to be enforced: remove the setting",
}
"""What to do about a setting that stops the start."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A known setting without its capability."""

    key: str
    env: str | None
    needs: str
    stops: str | None = None
    """The value (as text) that must not be ignored: it stops the start."""


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    needs: str
    keys: str


_SECTIONS = (
    _Section("server", "curation", "trust_upstream_dates"),
    _Section("secrets", "secret providers", "provider clear_env"),
    _Section(
        "curation",
        "curation",
        "mode on_failure allowlist_path blocklist_path bypass_token require_integrity internal_namespaces "
        "min_release_age quarantine quarantine_ttl",
    ),
    _Section("import", "import", "auth"),
    _Section("signing", MORE_FORMATS, "enabled key_path"),
)

_ENV: Mapping[str, str | None] = {
    # Promised names that do not follow from section and name; None where there never was one.
    "curation.internal_namespaces": "NORA_CURATION_INTERNAL_NS",
}

_STOPS = {
    "curation.mode": "enforce",
    "curation.quarantine": "enforce",
}


@cache
def planned(known: KnownFormats) -> Mapping[str, Planned]:
    """Every known setting that waits, by its key and by its variable."""
    return {name: one for one in _walk(known) for name in (one.key, one.env) if name is not None}


def _walk(known: KnownFormats) -> Iterator[Planned]:
    for section in _SECTIONS:
        prefix = "NORA_" if section.name == "server" else f"NORA_{section.name.upper()}_"
        for name in section.keys.split():
            key = f"{section.name}.{name}"
            yield Planned(key, _ENV.get(key, prefix + name.upper()), section.needs, _STOPS.get(key))
    for one in known.planned:
        prefix = one.env or f"NORA_{one.name.upper()}_"
        for name in one.keys.split():
            env = dict(one.variables).get(name, prefix + name.upper())
            yield Planned(f"{one.name}.{name}", env, MORE_FORMATS)
    for format_name in known.curated:
        for rule in ("min_release_age", "quarantine", "quarantine_ttl"):
            stops = "enforce" if rule == "quarantine" else None
            env = f"NORA_CURATION_{format_name.upper()}_{rule.upper()}"
            yield Planned(f"curation.{format_name}.{rule}", env, "curation", stops)
