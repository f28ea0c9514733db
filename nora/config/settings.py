"""The settings, each declared once. docs/configuration.md is made from this file."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from nora.config import kinds
from nora.config.cache import CacheSettings
from nora.config.collection import GcSettings
from nora.config.declare import Setting, section, sections_of, setting, settings_of
from nora.config.history import AuditSettings, EventsSettings
from nora.config.identity import OidcSettings
from nora.config.kinds import LOOPBACK_HOSTS, MIB
from nora.config.login import LoginSettings
from nora.config.proxy import BreakerSettings, ProxyMode, ProxySettings, Timeouts
from nora.config.retention import RetentionSettings
from nora.config.sections import FormatSettings, KnownFormats, Overwrite, ProxiedSettings
from nora.config.storage import StorageSettings
from nora.config.upstreams import Upstream, with_defaults
from nora.config.verification import VerifySettings
from nora.model import Quota, RepositoryKind, Role

FormatSettingsT = TypeVar("FormatSettingsT", bound=FormatSettings)
LogLevel = Literal["trace", "debug", "info", "warn", "error"]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where NORA listens and how much it takes."""

    host: str = setting("127.0.0.1", kinds.TEXT, "Address to listen on; `0.0.0.0` or `::` for all.")
    port: int = setting(4000, kinds.PORT, "Port to listen on.")
    workers: int | Literal["auto"] = setting(
        1, kinds.WORKERS, "Worker processes; `auto` is one per core. More than one needs Linux."
    )
    public_url: str | None = setting(
        None,
        kinds.OPTIONAL_URL,
        "Base of the links in documents. Without it they are relative or follow the request.",
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        kinds.TEXTS,
        "Names, without ports, under which a server that listens on the loopback and asks for no credentials "
        "answers beside `localhost` and that of `public_url`: those that a reverse proxy on the same machine "
        "passes on.",
    )
    body_limit: int = setting(
        64 * 1024 * MIB,
        kinds.size(1),
        "Largest body of one request.",
        env=("NORA_BODY_LIMIT", "NORA_BODY_LIMIT_MB"),
        toml=("body_limit_mb",),
    )
    header_timeout: int = setting(
        30,
        kinds.duration(1),
        "A connection without a request on which nothing happens for so long is closed.",
    )
    idle_timeout: int = setting(
        60, kinds.duration(1), "A client that sends nothing for so long in the middle of a body is dropped."
    )
    graceful_timeout: int = setting(
        30, kinds.duration(1), "How long requests in flight may take to finish when the server stops."
    )
    tls_cert: Path | None = setting(None, kinds.PATH, "Certificate chain (PEM): serve HTTPS. Needs the key.")
    tls_key: Path | None = setting(None, kinds.PATH, "Private key (PEM) of the certificate.")
    proxy_coalesce: bool | None = setting(
        None, kinds.BOOLEAN, "Ignored: what many want of an upstream at once is asked for once."
    )

    @property
    def on_loopback(self) -> bool:
        """Whether only clients on this machine reach the server."""
        return self.host in LOOPBACK_HOSTS

    @property
    def worker_count(self) -> int:
        """How many worker processes to run: one on other systems than Linux."""
        if not sys.platform.startswith("linux"):
            return 1
        return available_cores() if self.workers == "auto" else self.workers


def available_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The cores that this process may use: its affinity, and the CPU quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit, period = quota.read_text().split()
        return max(1, min(cores, round(int(limit) / int(period))))
    except (OSError, ValueError):  # no cgroup v2, or "max": no quota
        return cores


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is told, and where."""

    level: LogLevel = setting(
        "info",
        kinds.choice("trace", "debug", "info", "warn", "error"),
        "What is told; from `debug` on each request.",
    )
    format: Literal["text", "json"] = setting("text", kinds.choice("text", "json"), "Shape of a line.")
    file: Path | None = setting(
        None,
        kinds.PATH,
        "Write there instead of standard error. A file that was put aside is followed by a new one.",
    )
    access: bool = setting(False, kinds.BOOLEAN, "A line for each request that was answered, at any level.")


@dataclass(frozen=True, slots=True)
class TracesSettings:
    """Where spans of requests are sent."""

    endpoint: str | None = setting(
        None,
        kinds.OPTIONAL_URL,
        "Collector of OpenTelemetry that takes OTLP over HTTP as JSON: `http://localhost:4318/v1/traces`.",
    )
    percent: int = setting(
        100, kinds.integer(0, 100), "How many of the requests are traced that come without a `traceparent`."
    )


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Who may do what."""

    enabled: bool = setting(False, kinds.BOOLEAN, "Ask for credentials.")
    htpasswd_file: Path = setting(
        Path("users.htpasswd"),
        kinds.PATH,
        "Users and bcrypt hashes, as `htpasswd -B` and `nora user` write them. Looked at twice a second.",
    )
    admin_users: tuple[str, ...] = setting(
        ("admin",), kinds.TEXTS, "Users of the file whose role is `admin`; the others may read and write."
    )
    roles: tuple[tuple[str, Role], ...] = setting(
        (), kinds.ROLES_OF_USERS, "Users of the file with another role than `write`."
    )
    anonymous_read: bool = setting(
        False, kinds.BOOLEAN, "Anybody may read every repository that does not say otherwise."
    )
    public_web_ui: bool = setting(
        False,
        kinds.BOOLEAN,
        "Anybody may open the web pages, as where anybody may read a repository; what is on them is what "
        "anybody may read.",
    )
    public_metrics: bool = setting(True, kinds.BOOLEAN, "Anybody may read `/metrics`.")
    allow_anonymous_admin: bool = setting(
        False,
        kinds.BOOLEAN,
        "While no credentials are asked for: let anybody delete and administrate, not only clients of a "
        "server that listens on the loopback.",
    )
    trusted_proxies: tuple[str, ...] = setting(
        ("127.0.0.1", "::1"),
        kinds.NETWORKS,
        "Whose `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Proto` are believed.",
    )
    password_cache_ttl: int = setting(
        60, kinds.duration(), "How long a password that was right is not checked again."
    )
    token_storage: Path | None = setting(
        None, kinds.PATH, "Ignored: tokens are in the catalog. Those of a folder have to be made again."
    )
    token_cache_ttl: int | None = setting(
        None, kinds.duration(), "Ignored: a token that is revoked is refused at once."
    )

    def role_of(self, user: str) -> Role:
        """The role of a user of the file."""
        return "admin" if user in self.admin_users else dict(self.roles).get(user, "write")


@dataclass(frozen=True, slots=True)
class RateLimitSettings:
    """How much one client may ask for, over all workers."""

    enabled: bool | Literal["auto"] = setting(
        "auto",
        kinds.SWITCH,
        "Limit the requests of those who do not say who they are; `auto`: while authentication is on.",
    )
    auth_rps: int = setting(1, kinds.integer(0), "Failed logins a second; 0 is no limit.")
    auth_burst: int = setting(5, kinds.integer(0), "As many at once; 0 is no limit.")
    upload_rps: int = setting(200, kinds.integer(0), "Requests a second that change something.")
    upload_burst: int = setting(500, kinds.integer(0), "As many at once.")
    general_rps: int = setting(200, kinds.integer(0), "Other requests a second.")
    general_burst: int = setting(4000, kinds.integer(0), "As many at once: builds ask in bursts.")
    upstream_rps: int = setting(
        50, kinds.integer(0), "Of these, so many a second for what is not here: upstreams are asked for it."
    )
    upstream_burst: int = setting(
        2000,
        kinds.integer(0),
        "As many at once: a build of 500 packages asks for a page, metadata and a file each.",
    )
    authenticated: bool = setting(
        False, kinds.BOOLEAN, "Limit also those who say who they are: all behind one address together."
    )


@dataclass(frozen=True, slots=True)
class RegistriesSettings:
    """Which formats are served."""

    enable: tuple[str, ...] | None = setting(
        None,
        kinds.TEXTS,
        "The formats to serve, instead of those whose `enabled` says so; `all` is all of them, and after it "
        "`-name` all but that one.",
    )


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Whom NORA trusts when it asks others."""

    ca_cert: Path | None = setting(
        None, kinds.PATH, "Authorities (PEM) that are trusted beside the system's, for everything NORA asks."
    )


@dataclass(frozen=True, slots=True)
class RepositorySetting:
    """A named repository: `[repositories.<name>]`. Of a repository that is there by default only
    `anonymous_read` can be said, `overwrite` of a hosted one, `mode` of a proxy, and `members` and `writes`
    of a group; its format is then empty."""

    format: str
    kind: RepositoryKind = "hosted"
    members: tuple[str, ...] = ()
    """Of a group: the repositories that are read, in this order."""
    writes: str | None = None
    """Of a group: the member that takes its writes; without one the group is read-only."""
    anonymous_read: bool | None = None
    """Whether anybody may read it; None: as `auth.anonymous_read` and the members of a group say."""
    upstreams: tuple[Upstream, ...] = ()
    """Of a proxy: whom it asks, in this order."""
    overwrite: Overwrite | None = None
    """Of a hosted one: when a file may be replaced; None: as the section of its format says."""
    mode: ProxyMode | None = None
    """Of a proxy: `offline` asks nobody, whatever `proxy.mode` says."""
    quota: Quota | None = None
    """Of a hosted one: how much it may hold."""


@dataclass(frozen=True, slots=True)
class Config:
    """The effective configuration."""

    server: ServerSettings = section(ServerSettings, "Where NORA listens and how much it takes.", "NORA_")
    storage: StorageSettings = section(
        StorageSettings, "Where the bytes and the catalog are.", "NORA_STORAGE_"
    )
    cache: CacheSettings = section(
        CacheSettings, "What is kept in memory, and what of upstreams on the disk.", "NORA_CACHE_"
    )
    log: LogSettings = section(LogSettings, "What is told, and where.", "NORA_LOG_")
    traces: TracesSettings = section(
        TracesSettings, "What became of a request, and of what was asked for it.", "NORA_TRACES_"
    )
    auth: AuthSettings = section(AuthSettings, "Who may do what.", "NORA_AUTH_")
    rate_limit: RateLimitSettings = section(
        RateLimitSettings,
        "How much one client may ask for, over all workers. A client is an IPv4 address, or an IPv6 /64.",
        "NORA_RATE_LIMIT_",
    )
    audit: AuditSettings = section(
        AuditSettings, "The log of who did what, a JSON object a line.", "NORA_AUDIT_"
    )
    events: EventsSettings = section(
        EventsSettings, "What has happened to artifacts, and for how long that is known.", "NORA_EVENTS_"
    )
    gc: GcSettings = section(GcSettings, "Garbage collection; see the page on it.", "NORA_GC_")
    verify: VerifySettings = section(VerifySettings, "Verification; see the page on it.", "NORA_VERIFY_")
    retention: RetentionSettings = section(
        RetentionSettings, "Which versions go in time; see the page on retention.", "NORA_RETENTION_"
    )
    oidc: OidcSettings = section(
        OidcSettings,
        "Workload identity: tokens of CI systems instead of stored secrets.",
        "NORA_AUTH_OIDC_",
        key="auth.oidc",
    )
    login: LoginSettings = section(
        LoginSettings,
        "Login to the web pages by an OpenID Connect issuer; see the page on the web pages.",
        "NORA_AUTH_OIDC_LOGIN_",
        key="auth.oidc.login",
    )
    tls: TlsSettings = section(TlsSettings, "Whom NORA trusts when it asks others.", "NORA_TLS_")
    proxy: ProxySettings = section(
        ProxySettings, "What is asked of upstreams, for all formats.", "NORA_PROXY_"
    )
    circuit_breaker: BreakerSettings = section(
        BreakerSettings, "When an upstream that fails is left alone.", "NORA_CB_"
    )
    registries: RegistriesSettings = section(
        RegistriesSettings, "Which formats are served.", "NORA_REGISTRIES_"
    )
    formats: Mapping[str, FormatSettings] = field(default_factory=dict)
    """The sections of the formats, by name."""
    known: KnownFormats = field(default=KnownFormats(), repr=False)
    """The formats that it may speak of."""
    repositories: Mapping[str, RepositorySetting] = field(default_factory=dict)
    file: Path | None = None
    """The file that was read."""
    warnings: tuple[str, ...] = ()
    """What the operator should know: settings that are ignored, and what is risky."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where a setting that is not a default came from: `server.port` → `NORA_PORT`, or the file's path."""

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Every setting there is, in the order of their sections."""
        parts = (*sections_of(Config).values(), *(one.section for one in self.known.served))
        return tuple(one for part in parts for one in settings_of(part))

    def value_of(self, one: Setting) -> object:
        """The value of a setting."""
        attribute = next((name for name, part in sections_of(Config).items() if part.key == one.section), "")
        return getattr(getattr(self, attribute) if attribute else self.formats[one.section], one.name)

    def of_format(self, kind: type[FormatSettingsT]) -> FormatSettingsT:
        """The section of the format whose settings are of a class."""
        for one in self.formats.values():
            if type(one) is kind:
                return one
        raise LookupError(f"no format has {kind.__name__}")

    def enabled(self, name: str) -> bool:
        """Whether a format is switched on."""
        return self.formats[name].enabled

    def default_upstreams(self, format_name: str) -> tuple[Upstream, ...]:
        """Whom the default proxy of a format asks, in this order; none: it has no such proxy."""
        known, own = self.known.find(format_name), self.formats.get(format_name)
        if known is None or not known.can_proxy:
            return ()
        said = own.sources if isinstance(own, ProxiedSettings) else None
        public = known.default_upstreams()
        return public if said is None else with_defaults(said, public)

    def upstreams_of(self, repository_name: str) -> tuple[Upstream, ...]:
        """Whom a proxy repository asks, in this order."""
        named = self.repositories.get(repository_name)
        if named is not None and named.format:
            known = self.known.find(named.format)
            return with_defaults(named.upstreams, known.default_upstreams() if known else ())
        format_name, dash, kind = repository_name.rpartition("-")
        return self.default_upstreams(format_name) if dash and kind == "proxy" else ()

    def is_online(self, repository_name: str) -> bool:
        """Whether a proxy repository may ask anybody: not when it or all of them are said to be offline."""
        named = self.repositories.get(repository_name)
        return self.proxy.mode == "online" and (named is None or named.mode != "offline")

    def timeouts_of(self, format_name: str) -> Timeouts:
        """How long the upstreams of a format may take."""
        own, proxy = self.formats.get(format_name), self.proxy
        read = own.read_timeout if isinstance(own, ProxiedSettings) else None
        total = own.proxy_timeout if isinstance(own, ProxiedSettings) else None
        return Timeouts(
            proxy.connect_timeout, read or proxy.read_timeout, total or proxy.timeout, proxy.answer_timeout
        )
