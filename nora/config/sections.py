"""The sections of formats: what all have in common, and how a format makes its own known to `load`.

    @dataclass(frozen=True, slots=True)
    class ToySettings(ProxiedSettings):
        color: str = setting("red", kinds.TEXT, "Color of the toys.")

Its names follow from the format's: `[toy] color`, `NORA_TOY_COLOR`. Which formats there are, only those who
import them know: they hand `KnownFormats` to `load`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Final, Literal, get_args

from nora.config import kinds
from nora.config.declare import Section, setting
from nora.config.kinds import MINUTE, TtlSeconds
from nora.config.upstreams import ADDRESS, CREDENTIALS, UPSTREAMS, Upstream

Overwrite = Literal["never", "if-match", "always"]
"""When a file may be replaced under its path."""
OVERWRITE: Final = kinds.choice(*get_args(Overwrite))
"""The setting `overwrite`, of formats whose files may be replaced: repositories may say it, too."""


@dataclass(frozen=True, slots=True)
class FormatSettings:
    """What can be set for every format."""

    enabled: bool = setting(True, kinds.BOOLEAN, "Serve it.")
    anonymous_read: bool | None = setting(
        None, kinds.BOOLEAN, "Whether anybody may read its repositories that do not say so themselves."
    )

    def problems(self) -> Iterator[str]:
        """What does not fit together, each with the name of a setting first."""
        return iter(())

    def warnings(self) -> Iterator[str]:
        """What the operator should know, each with the name of a setting first."""
        return iter(())


@dataclass(frozen=True, slots=True)
class ProxiedSettings(FormatSettings):
    """What can be set for every format that asks upstreams for what is not here. Where it says nothing about
    times, `[proxy]` does."""

    upstreams: tuple[Upstream, ...] | None = setting(
        None,
        UPSTREAMS,
        "Sources to ask, in this order, for what is not here; in the environment `url|user:pass,…`, or in "
        "JSON. `default` among them, or no list: the public registry of the format.",
        env=("UPSTREAMS", "PROXIES"),
        toml=("proxies",),
    )
    proxy: str | None = setting(None, ADDRESS, "The only source, instead of `upstreams`.")
    proxy_auth: str | None = setting(None, CREDENTIALS, "The credentials for `proxy`.")
    proxy_timeout: int | None = setting(
        None, kinds.duration(1), "How long an upstream may take for a whole document."
    )
    read_timeout: int | None = setting(
        None, kinds.duration(1), "The longest silence of an upstream in an answer."
    )
    metadata_ttl: TtlSeconds = setting(
        5 * MINUTE, kinds.TTL, "How long a document of an upstream is not asked for again."
    )
    serve_stale: bool = setting(
        True, kinds.BOOLEAN, "Answer with the last copy while an upstream fails, as `proxy.stale_ttl` says."
    )

    @property
    def sources(self) -> tuple[Upstream, ...] | None:
        """The sources of the default repository that were said; None: none were, so it is the public one."""
        if self.upstreams is not None or self.proxy is None:
            return self.upstreams
        return (Upstream(self.proxy, auth=self.proxy_auth),) if self.proxy else ()

    def problems(self) -> Iterator[str]:
        if self.proxy_auth is not None and not self.proxy:
            yield "proxy_auth: set proxy as well; nobody else gets these credentials"

    def warnings(self) -> Iterator[str]:
        if self.proxy is not None and self.upstreams is not None:
            yield "proxy is ignored: upstreams says whom to ask"


def no_upstreams() -> tuple[Upstream, ...]:
    """For formats without a public registry."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatSection:
    """What the configuration knows of a format."""

    name: str
    title: str
    settings: type[FormatSettings] = FormatSettings
    can_proxy: bool = False
    default_upstreams: Callable[[], tuple[Upstream, ...]] = no_upstreams
    shares_mount: bool = False
    """Whether its named repositories live below its own mount, where the members that its default group has
    by itself are no names."""

    @property
    def can_overwrite(self) -> bool:
        """Whether repositories may say when their files are replaced."""
        return any(one.name == "overwrite" for one in fields(self.settings))

    @property
    def section(self) -> Section:
        """Its section of the file."""
        return Section(self.settings, f"{self.title}.", f"NORA_{self.name.upper()}_", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFormat:
    """A format that is not available in this version: its settings are accepted, and do nothing."""

    name: str
    keys: str
    """Of its section, separated by spaces."""
    env: str = ""
    """How its variables begin, where that does not follow from the name."""
    variables: tuple[tuple[str, str], ...] = ()
    """Those whose names do not follow from their keys: key and variable."""
    curated_as: str = ""
    """Its name below `[curation]`, where that is another one."""


@dataclass(frozen=True, slots=True)
class KnownFormats:
    """The formats that a configuration may speak of."""

    served: tuple[FormatSection, ...] = ()
    planned: tuple[PlannedFormat, ...] = ()

    @property
    def curated(self) -> tuple[str, ...]:
        """What they are called below `[curation]`."""
        return (*(one.name for one in self.served), *(one.curated_as or one.name for one in self.planned))

    def find(self, name: str) -> FormatSection | None:
        """The section of a format that is available."""
        return next((one for one in self.served if one.name == name), None)
