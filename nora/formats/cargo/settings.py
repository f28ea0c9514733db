"""The settings of Cargo, and whom it asks by default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from nora.config import ProxiedSettings, TtlSeconds, Upstream, kinds
from nora.config.declare import setting
from nora.config.kinds import MIB, MINUTE
from nora.config.registries import page_site


@dataclass(frozen=True, slots=True)
class CargoSettings(ProxiedSettings):
    """Cargo."""

    enabled: bool = setting(True, kinds.BOOLEAN, "Serve `/cargo/`.")
    proxy_timeout: int = setting(
        30, kinds.duration(1), "How long an upstream may take for the index file of a crate."
    )
    metadata_ttl: TtlSeconds = setting(
        5 * MINUTE, kinds.TTL, "How long the index file of a crate of an upstream is not asked for again."
    )
    revalidate: bool | None = setting(
        None, kinds.BOOLEAN, "Ignored: what an upstream says that it has not changed is never fetched again."
    )
    max_crate_size: int = setting(
        100 * MIB, kinds.size(1), "Largest `.crate` file, published or of an upstream."
    )
    max_unpacked_size: int = setting(
        512 * MIB, kinds.size(1), "What all files in a published crate may be together."
    )
    max_index_size: int = setting(64 * MIB, kinds.size(1024), "Largest index file of a crate of an upstream.")

    def warnings(self) -> Iterator[str]:
        yield from ProxiedSettings.warnings(self)
        if self.revalidate is False:
            yield "revalidate = false is ignored: it is always done"


def sparse_index() -> tuple[Upstream, ...]:
    """The index of crates-io (RFC 2789)."""
    return (Upstream(f"https://index.{urlsplit(page_site('cargo', 'cargo')).netloc}"),)
