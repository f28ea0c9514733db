"""What this version can do, and the settings that are known but wait for what it cannot do yet.

Files and environments written for a complete NORA start here: a setting that waits is accepted with a
warning, unless ignoring it would be unsafe. When a capability arrives, its flag turns true and its names
move from `PLANNED` to declarations in `nora.config.settings`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

CAPABILITIES: Mapping[str, bool] = {
    "authentication": True,
    "workload identity": True,
    "secret providers": False,
    "web UI": False,
    "object storage": False,
    "proxy": True,
    "maven": False,
    "npm": False,
    "cargo": False,
    "pypi": True,
    "go": False,
    "raw": False,
    "rate limits": True,
    "collection": False,
    "retention": False,
    "curation": False,
    "audit": True,
    "choice of formats": False,
    "log files": False,
    "import": False,
    "more formats": False,
}

INSTEAD: Mapping[str, str] = {
    "object storage": 'use "local"',
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

    @property
    def prefix(self) -> str:
        """How its environment variables begin."""
        return _PREFIXES.get(self.name, f"NORA_{self.name.upper()}_")


_PREFIXES = {
    "server": "NORA_",
    "pub_dart": "NORA_PUB_",
    "terraform": "NORA_TF_",
}

_SECTIONS = (
    _Section("server", "curation", "trust_upstream_dates"),
    _Section(
        "storage",
        "object storage",
        "s3_url bucket s3_access_key s3_secret_key s3_region s3_virtual_hosted gcs_service_account_path "
        "gcs_base_url",
    ),
    _Section("secrets", "secret providers", "provider clear_env"),
    _Section("gc", "collection", "enabled interval dry_run grace_secs proxy_cache_max_bytes unlink_delay"),
    _Section("retention", "retention", "enabled interval dry_run rules"),
    _Section(
        "curation",
        "curation",
        "mode on_failure allowlist_path blocklist_path bypass_token require_integrity internal_namespaces "
        "min_release_age quarantine quarantine_ttl",
    ),
    _Section("docker", "curation", "default_action"),
    _Section(
        "maven",
        "maven",
        "enabled proxies proxy_timeout checksum_verify immutable_releases metadata_ttl serve_stale",
    ),
    _Section("npm", "npm", "enabled proxy proxy_auth proxy_timeout metadata_ttl serve_stale revalidate"),
    _Section("cargo", "cargo", "enabled proxy proxy_auth proxy_timeout metadata_ttl serve_stale revalidate"),
    _Section(
        "go",
        "go",
        "enabled proxy proxy_auth proxy_timeout proxy_timeout_zip max_zip_size metadata_ttl serve_stale "
        "revalidate",
    ),
    _Section("raw", "raw", "enabled max_file_size cache_control"),
    _Section("registries", "choice of formats", "enable"),
    _Section("log", "log files", "file"),
    _Section("import", "import", "auth"),
    _Section("signing", "more formats", "enabled key_path"),
    *(
        _Section(
            name, "more formats", "enabled proxy proxy_auth proxy_timeout metadata_ttl serve_stale revalidate"
        )
        for name in ("gems", "ansible", "pub_dart")
    ),
    _Section(
        "nuget",
        "more formats",
        "enabled proxy proxy_auth proxy_timeout metadata_ttl serve_stale revalidate metadata_proxy_timeout "
        "search_service autocomplete",
    ),
    *(
        _Section(
            name,
            "more formats",
            "enabled proxy proxy_auth proxy_timeout metadata_ttl serve_stale proxy_timeout_dl",
        )
        for name in ("conan", "terraform")
    ),
    _Section(
        "rpm", "more formats", "enabled max_file_size proxies proxy_timeout metadata_ttl changelog_limit"
    ),
    _Section("deb", "more formats", "enabled max_file_size proxies proxy_timeout metadata_ttl"),
)

_CURATED = (
    *("npm", "pypi", "cargo", "go", "docker", "maven", "raw"),
    *("gems", "terraform", "ansible", "nuget", "pub", "conan", "rpm", "deb"),
)

_ENV: Mapping[str, str | None] = {
    # Promised names that do not follow from section and name; None where there never was one.
    "gc.grace_secs": "NORA_GC_GRACE",
    "curation.internal_namespaces": "NORA_CURATION_INTERNAL_NS",
    "nuget.metadata_proxy_timeout": "NORA_NUGET_METADATA_TIMEOUT",
    "retention.rules": None,
}

_STOPS = {
    "docker.default_action": "deny",
    "curation.mode": "enforce",
    "curation.quarantine": "enforce",
}


@cache
def planned() -> tuple[Planned, ...]:
    """Every known setting that waits."""
    return tuple(_walk())


def _walk() -> Iterator[Planned]:
    for section in _SECTIONS:
        for name in section.keys.split():
            key = f"{section.name}.{name}"
            env = _ENV.get(key, section.prefix + name.upper())
            yield Planned(key, env, section.needs, _STOPS.get(key))
    for name in _CURATED:
        for rule in ("min_release_age", "quarantine", "quarantine_ttl"):
            stops = "enforce" if rule == "quarantine" else None
            env = f"NORA_CURATION_{name.upper()}_{rule.upper()}"
            yield Planned(f"curation.{name}.{rule}", env, "curation", stops)


@cache
def _by_name() -> Mapping[str, Planned]:
    return {name: one for one in planned() for name in (one.key, one.env) if name is not None}


def find_planned(key: str) -> Planned | None:
    """The planned setting of a key of the file or of an environment variable."""
    return _by_name().get(key)
