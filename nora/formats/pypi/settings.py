"""The settings of PyPI, and whom it asks by default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nora.config import ProxiedSettings, TtlSeconds, Upstream, kinds
from nora.config.declare import setting
from nora.config.kinds import MIB, MINUTE
from nora.config.registries import page_site


@dataclass(frozen=True, slots=True)
class PypiSettings(ProxiedSettings):
    """PyPI."""

    enabled: bool = setting(True, kinds.BOOLEAN, "Serve `/simple/`.")
    proxy_timeout: int = setting(
        30, kinds.duration(1), "How long an upstream may take for a whole project page."
    )
    metadata_ttl: TtlSeconds = setting(
        5 * MINUTE, kinds.TTL, "How long a project page of an upstream is not asked for again."
    )
    revalidate: bool | None = setting(
        None, kinds.BOOLEAN, "Ignored: what an upstream says that it has not changed is never fetched again."
    )
    max_file_size: int = setting(
        16 * 1024 * MIB, kinds.size(1), "Largest wheel or sdist, uploaded or of an upstream."
    )
    max_project_size: int = setting(0, kinds.size(), "All files of a hosted project together; 0 is no limit.")
    max_index_size: int = setting(128 * MIB, kinds.size(1024), "Largest project page of an upstream.")

    def warnings(self) -> Iterator[str]:
        yield from ProxiedSettings.warnings(self)
        if self.revalidate is False:
            yield "revalidate = false is ignored: it is always done"


def simple_index() -> tuple[Upstream, ...]:
    """The public index (PEP 503)."""
    return (Upstream(f"{page_site('pypi', 'pip')}/simple"),)
