"""How long the documents of a format are good for, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nora.proxy.base import Policy

if TYPE_CHECKING:
    from nora.config import ProxySettings, Upstream
    from nora.resolve import Source

REVALIDATION_SECONDS = 60.0
"""The longest time past its freshness for which a copy is served at once, while it is revalidated."""


MAX_WAIT_SECONDS = 1.0
"""How long a client with a usable stale copy waits for a slow upstream."""


class FormatSettings(Protocol):
    """What the section of a format says about its documents."""

    @property
    def metadata_ttl(self) -> float:
        """Seconds for which a document is fresh; 0: it is always revalidated."""
        ...

    @property
    def serve_stale(self) -> bool:
        """Whether a copy is served past its freshness at all."""
        ...


def document_policy(proxy: ProxySettings, settings: FormatSettings, source: Upstream | None = None) -> Policy:
    """What holds for the documents of a format that may change (tags, project pages), as a source has them:
    what is said of the source itself counts."""
    ttl = None if source is None else source.ttl
    said = None if source is None else source.serve_stale
    fresh = float(settings.metadata_ttl if ttl is None else ttl)
    serve_stale = settings.serve_stale if said is None else said
    return Policy(
        fresh=fresh,
        stale_while_revalidate=min(REVALIDATION_SECONDS, fresh) if serve_stale else 0.0,
        stale_if_error=float(proxy.stale_ttl) if serve_stale else 0.0,
        max_wait=MAX_WAIT_SECONDS,
        absent=float(proxy.absent_ttl),
    )


class DocumentPolicies:
    """What holds for the documents of a format, by their source."""

    def __init__(self, proxy: ProxySettings, settings: FormatSettings) -> None:
        self._proxy = proxy
        self._settings = settings
        self._made: dict[int, Policy] = {}

    def of(self, source: Source) -> Policy:
        """How long what a source says is good for. Made once, and kept."""
        found = self._made.get(source.id)
        if found is None:
            found = self._made[source.id] = document_policy(self._proxy, self._settings, source.setting)
        return found
