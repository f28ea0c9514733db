"""The settings of Go modules, and whom they ask by default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nora.config import ProxiedSettings, TtlSeconds, Upstream, kinds
from nora.config.declare import setting
from nora.config.kinds import MIB, MINUTE
from nora.config.registries import file_site

LARGEST_ZIP = 500 * MIB
"""That the go command takes, packed and unpacked."""


@dataclass(frozen=True, slots=True)
class GoSettings(ProxiedSettings):
    """Go modules."""

    enabled: bool = setting(True, kinds.BOOLEAN, "Serve `/go/`.")
    proxy_timeout: int = setting(
        60, kinds.duration(1), "How long an upstream may take for a list, a branch or a `latest`."
    )
    metadata_ttl: TtlSeconds = setting(
        MINUTE, kinds.TTL, "How long lists, branches and `latest` of an upstream are not asked for again."
    )
    revalidate: bool | None = setting(
        None, kinds.BOOLEAN, "Ignored: what an upstream says that it has not changed is never fetched again."
    )
    proxy_timeout_zip: int | None = setting(
        None, kinds.duration(1), "Ignored: a file may take as long as its bytes keep coming (`read_timeout`)."
    )
    max_zip_size: int = setting(
        LARGEST_ZIP,
        kinds.size(1),
        "Largest `.zip` file, published or of an upstream; one that is published is no larger unpacked.",
    )

    verify: bool = setting(
        True, kinds.BOOLEAN, "Read `.zip` files of upstreams through before they are passed on in full."
    )

    def warnings(self) -> Iterator[str]:
        yield from ProxiedSettings.warnings(self)
        if self.revalidate is False:
            yield "revalidate = false is ignored: it is always done"
        if self.proxy_timeout_zip is not None:
            yield "proxy_timeout_zip is ignored: read_timeout says how long an upstream may be silent"


def module_proxy() -> tuple[Upstream, ...]:
    """The Go module proxy."""
    return (Upstream(file_site("golang")),)
