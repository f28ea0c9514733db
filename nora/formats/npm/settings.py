"""The settings of npm, and whom it asks by default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nora.config import ProxiedSettings, TtlSeconds, Upstream, kinds
from nora.config.declare import setting
from nora.config.kinds import MIB, MINUTE
from nora.config.registries import file_site


@dataclass(frozen=True, slots=True)
class NpmSettings(ProxiedSettings):
    """npm."""

    enabled: bool = setting(True, kinds.BOOLEAN, "Serve `/npm/`.")
    proxy_timeout: int = setting(
        60, kinds.duration(1), "How long an upstream may take for the document of a package."
    )
    metadata_ttl: TtlSeconds = setting(
        5 * MINUTE, kinds.TTL, "How long the document of a package of an upstream is not asked for again."
    )
    revalidate: bool | None = setting(
        None, kinds.BOOLEAN, "Ignored: what an upstream says that it has not changed is never fetched again."
    )
    max_file_size: int = setting(1024 * MIB, kinds.size(1), "Largest tarball, published or of an upstream.")
    max_unpacked_size: int = setting(
        4096 * MIB, kinds.size(1), "What all files in a published tarball may be together."
    )
    max_document_size: int = setting(
        128 * MIB, kinds.size(1024), "Largest document of a package of an upstream."
    )
    unpublish: bool = setting(
        True, kinds.BOOLEAN, "Let those who may delete unpublish versions and packages with npm."
    )

    def warnings(self) -> Iterator[str]:
        yield from ProxiedSettings.warnings(self)
        if self.revalidate is False:
            yield "revalidate = false is ignored: it is always done"


def registry() -> tuple[Upstream, ...]:
    """The public registry."""
    return (Upstream(file_site("npm")),)
