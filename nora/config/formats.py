"""The settings of the formats that have some, each declared once.

Whom the proxy of a format asks is `upstreams` of its section; `proxy_timeout`, `read_timeout`, `metadata_ttl`
and `serve_stale` say how, where that is not as `[proxy]` says for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nora.config import kinds
from nora.config.declare import setting
from nora.config.kinds import HOUR, MIB, MINUTE, TtlSeconds
from nora.config.registries import DOCKER_HUB, simple_index
from nora.config.upstreams import ADDRESS, CREDENTIALS, UPSTREAMS, Upstream


@dataclass(frozen=True, slots=True)
class DockerSettings:
    """Docker and OCI."""

    enabled: bool = setting(True, kinds.BOOLEAN, "Serve `/v2/`.")
    max_upload_sessions: int = setting(
        1000,
        kinds.integer(1),
        "Open upload sessions, all images together; the next one gets 429.",
        env=("NORA_MAX_UPLOAD_SESSIONS",),
    )
    max_upload_size: int = setting(
        64 * 1024 * MIB,
        kinds.size(1),
        "Largest blob.",
        env=("NORA_MAX_UPLOAD_SESSION_SIZE", "NORA_MAX_UPLOAD_SESSION_SIZE_MB"),
    )
    upload_ttl: int = setting(HOUR, kinds.duration(1), "An upload without progress for so long is dropped.")
    max_manifest_size: int = setting(4 * MIB, kinds.size(1024), "Largest manifest.")
    immutable_tags: tuple[str, ...] = setting(
        (),
        kinds.TEXTS,
        "Tags that may be set once: patterns as in `v*`, `*` for all. Only the tag is matched.",
    )
    required_content: Literal["all", "image", "none"] = setting(
        "image",
        kinds.choice("all", "image", "none"),
        "What must be there before a manifest is accepted: config and layers of an image (`image`), the "
        "manifests of an index as well (`all`), nothing (`none`: sparse images as well as sparse indexes).",
    )
    proxy_timeout: int = setting(
        60, kinds.duration(1), "How long an upstream may take for a whole document: a manifest, a list."
    )
    read_timeout: int = setting(60, kinds.duration(1), "The longest silence of an upstream in an answer.")
    metadata_ttl: TtlSeconds = setting(
        5 * MINUTE, kinds.TTL, "How long a tag of an upstream is not asked for again."
    )
    serve_stale: bool = setting(
        True, kinds.BOOLEAN, "Answer with the last copy while an upstream fails, as `proxy.stale_ttl` says."
    )
    upstreams: tuple[Upstream, ...] = setting(
        (DOCKER_HUB,),
        UPSTREAMS,
        "Registries to ask, in this order, for what is not here; in the environment `url|user:pass,…`, or "
        "`url|user:pass|prefix`.",
        env=("NORA_DOCKER_UPSTREAMS", "NORA_DOCKER_PROXIES"),
        toml=("proxies",),
    )


@dataclass(frozen=True, slots=True)
class PypiSettings:
    """PyPI."""

    enabled: bool = setting(True, kinds.BOOLEAN, "Serve `/simple/`.")
    proxy: str | None = setting(
        None, ADDRESS, "The simple index to ask for what is not here. Without it: PyPI."
    )
    proxy_auth: str | None = setting(None, CREDENTIALS, "The credentials for `proxy`.")
    proxies: tuple[Upstream, ...] | None = setting(
        None,
        UPSTREAMS,
        "Simple indexes to ask, in this order, instead of `proxy`; in the environment `url|user:pass,…`.",
    )
    proxy_timeout: int = setting(
        30, kinds.duration(1), "How long an upstream may take for a whole project page."
    )
    metadata_ttl: TtlSeconds = setting(
        5 * MINUTE, kinds.TTL, "How long a project page of an upstream is not asked for again."
    )
    serve_stale: bool = setting(
        True, kinds.BOOLEAN, "Answer with the last copy while an upstream fails, as `proxy.stale_ttl` says."
    )
    revalidate: bool | None = setting(
        None, kinds.BOOLEAN, "Ignored: what an upstream says that it has not changed is never fetched again."
    )
    max_file_size: int = setting(
        16 * 1024 * MIB, kinds.size(1), "Largest wheel or sdist, uploaded or of an upstream."
    )
    max_project_size: int = setting(0, kinds.size(), "All files of a hosted project together; 0 is no limit.")
    max_index_size: int = setting(128 * MIB, kinds.size(1024), "Largest project page of an upstream.")

    @property
    def upstreams(self) -> tuple[Upstream, ...]:
        """The simple indexes to ask, in this order; none when switched off."""
        if self.proxies is not None:
            return self.proxies
        if self.proxy == "":
            return ()
        return (simple_index() if self.proxy is None else Upstream(self.proxy, auth=self.proxy_auth),)
