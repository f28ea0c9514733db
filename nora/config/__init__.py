"""Every shared setting, declared once: defaults, then a TOML file, then `NORA_*` variables.

    config = load(os.environ, Path.cwd(), formats)
    config.server.port

`settings` declares, `sections` says how formats do, `loading` reads, `upstreams` reads sources,
`repositories` makes repositories of what was read, `capabilities` knows what has to wait, `registries` where
public registries are, `describe` writes it all down for people.
"""

from nora.config.cache import CacheSettings
from nora.config.history import AuditSettings, EventsSettings
from nora.config.identity import OidcSettings
from nora.config.kinds import TtlSeconds
from nora.config.loading import load
from nora.config.login import LoginSettings
from nora.config.proxy import Breaker, BreakerSettings, ClaimPolicy, ProxyMode, ProxySettings, Timeouts
from nora.config.repositories import (
    anonymous_repositories,
    default_specs,
    overwrite_rules,
    reached_repositories,
    repository_specs,
)
from nora.config.retention import RetentionRule, RetentionSettings
from nora.config.sections import (
    FormatSection,
    FormatSettings,
    KnownFormats,
    Overwrite,
    PlannedFormat,
    ProxiedSettings,
)
from nora.config.settings import (
    AuthSettings,
    Config,
    LogSettings,
    RateLimitSettings,
    RegistriesSettings,
    RepositorySetting,
    ServerSettings,
)
from nora.config.storage import StorageSettings
from nora.config.upstreams import Upstream
from nora.config.webhooks import Webhook

__all__ = [
    "AuditSettings",
    "AuthSettings",
    "Breaker",
    "BreakerSettings",
    "CacheSettings",
    "ClaimPolicy",
    "Config",
    "EventsSettings",
    "FormatSection",
    "FormatSettings",
    "KnownFormats",
    "LogSettings",
    "LoginSettings",
    "OidcSettings",
    "Overwrite",
    "PlannedFormat",
    "ProxiedSettings",
    "ProxyMode",
    "ProxySettings",
    "RateLimitSettings",
    "RegistriesSettings",
    "RepositorySetting",
    "RetentionRule",
    "RetentionSettings",
    "ServerSettings",
    "StorageSettings",
    "Timeouts",
    "TtlSeconds",
    "Upstream",
    "Webhook",
    "anonymous_repositories",
    "default_specs",
    "load",
    "overwrite_rules",
    "reached_repositories",
    "repository_specs",
]
