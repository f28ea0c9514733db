"""What this version can do, and the settings that are known but wait for what it cannot do yet.

Files and environments written for a complete NORA start here: a setting that waits is accepted with a
warning, unless ignoring it would be unsafe. When a capability arrives, its flag turns true and its names
move from `PLANNED` to declarations in `nora.config.settings`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

CAPABILITIES: Mapping[str, bool] = {
    "authentication": False,
    "object storage": False,
    "proxy": False,
    "maven": False,
    "npm": False,
    "cargo": False,
    "pypi": False,
    "go": False,
    "raw": False,
    "rate limits": False,
    "collection": False,
    "retention": False,
    "curation": False,
    "audit": False,
}

INSTEAD: Mapping[str, str] = {
    "authentication": "NORA does not run open where credentials were asked for: set it to false and let an "
    "authenticating reverse proxy stand in front, or wait for the version that has it",
    "object storage": 'use "local"',
    "curation": "NORA does not run without a policy that was to be enforced: remove the setting",
}
"""What to do about a setting that stops the start."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A known setting without its capability. `key` may end in `*`."""

    key: str
    env: str | None
    needs: str
    stops: str | None = None
    """The value (as text) that must not be ignored: it stops the start."""


_SECTIONS: tuple[tuple[str, str, str, str], ...] = (
    # section, beginning of the variables, capability, names
    ("tls", "NORA_TLS_", "proxy", "ca_cert"),
    ("server", "NORA_", "proxy", "proxy_coalesce trust_upstream_dates"),
    ("storage", "NORA_STORAGE_", "object storage", "s3_url bucket s3_access_key s3_secret_key s3_region "
     "s3_virtual_hosted gcs_service_account_path gcs_base_url"),
    ("auth", "NORA_AUTH_", "authentication", "anonymous_read docker_anon_pull public_web_ui public_metrics "
     "token_storage token_cache_ttl trusted_proxies admin_users"),
    ("auth.oidc", "NORA_AUTH_OIDC_", "authentication", "enabled leeway_secs jwks_cache_secs providers"),
    ("secrets", "NORA_SECRETS_", "authentication", "provider clear_env"),
    ("rate_limit", "NORA_RATE_LIMIT_", "rate limits", "enabled auth_rps auth_burst upload_rps upload_burst "
     "general_rps general_burst"),
    ("gc", "NORA_GC_", "collection", "enabled interval dry_run grace_secs proxy_cache_max_bytes unlink_delay"),
    ("retention", "NORA_RETENTION_", "retention", "enabled interval dry_run rules"),
    ("curation", "NORA_CURATION_", "curation", "mode on_failure allowlist_path blocklist_path bypass_token "
     "require_integrity internal_namespaces min_release_age quarantine quarantine_ttl"),
    ("circuit_breaker", "NORA_CB_", "proxy", "enabled failure_threshold reset_timeout overrides"),
    ("proxy", "NORA_PROXY_", "proxy", "mode"),
    ("audit", "NORA_AUDIT_", "audit", "mode"),
    ("docker", "NORA_DOCKER_", "proxy", "read_timeout metadata_ttl serve_stale default_action"),
    ("maven", "NORA_MAVEN_", "maven", "enabled proxies proxy_timeout checksum_verify immutable_releases "
     "metadata_ttl"),
    ("npm", "NORA_NPM_", "npm", "enabled proxy proxy_auth proxy_timeout metadata_ttl serve_stale revalidate"),
    ("cargo", "NORA_CARGO_", "cargo", "enabled proxy proxy_auth proxy_timeout metadata_ttl serve_stale "
     "revalidate"),
    ("pypi", "NORA_PYPI_", "pypi", "enabled proxy proxy_auth proxies proxy_timeout metadata_ttl serve_stale "
     "revalidate"),
    ("go", "NORA_GO_", "go", "enabled proxy proxy_auth proxy_timeout proxy_timeout_zip max_zip_size "
     "metadata_ttl serve_stale revalidate"),
    ("raw", "NORA_RAW_", "raw", "enabled max_file_size cache_control"),
    ("registries", "NORA_REGISTRIES_", "maven", "enable"),
)  # fmt: skip

_CURATED = ("npm", "pypi", "cargo", "go", "docker", "maven", "raw")

_ENV: Mapping[str, str | None] = {
    # Promised names that do not follow from section and name; None where there never was one.
    "gc.grace_secs": "NORA_GC_GRACE",
    "curation.internal_namespaces": "NORA_CURATION_INTERNAL_NS",
    "circuit_breaker.failure_threshold": "NORA_CB_THRESHOLD",
    "circuit_breaker.overrides": None,
    "audit.mode": "NORA_AUDIT_LOG",
    "retention.rules": None,
    "auth.oidc.providers": None,
}

_STOPS = {
    "auth.oidc.enabled": "true",
    "curation.mode": "enforce",
    "curation.quarantine": "enforce",
}


@cache
def planned() -> tuple[Planned, ...]:
    """Every known setting that waits."""
    return tuple(_walk())


def _walk() -> Iterator[Planned]:
    for section, prefix, needs, names in _SECTIONS:
        for name in names.split():
            key = f"{section}.{name}"
            yield Planned(key, _ENV.get(key, prefix + name.upper()), needs, _STOPS.get(key))
    for name in _CURATED:
        for rule in ("min_release_age", "quarantine", "quarantine_ttl"):
            stops = "enforce" if rule == "quarantine" else None
            env = f"NORA_CURATION_{name.upper()}_{rule.upper()}"
            yield Planned(f"curation.{name}.{rule}", env, "curation", stops)
    yield Planned("docker.proxies", "NORA_DOCKER_PROXIES", "proxy")


def find_planned(key: str) -> Planned | None:
    """The planned setting of a key of the file or of an environment variable."""
    return next((one for one in planned() if key == one.env or fnmatchcase(key, one.key)), None)
