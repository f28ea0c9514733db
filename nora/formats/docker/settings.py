"""The settings of Docker, and whom it asks by default."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from nora.config import Config, ProxiedSettings, TtlSeconds, Upstream, kinds
from nora.config.declare import setting
from nora.config.kinds import HOUR, MIB, MINUTE
from nora.formats.base import UploadLimits


@dataclass(frozen=True, slots=True)
class DockerSettings(ProxiedSettings):
    """Docker and OCI."""

    enabled: bool = setting(True, kinds.BOOLEAN, "Serve `/v2/`.")
    anonymous_read: bool | None = setting(
        None,
        kinds.BOOLEAN,
        "Whether anybody may pull from its repositories that do not say so themselves.",
        deprecated=("auth.docker_anon_pull", "NORA_AUTH_DOCKER_ANON_PULL"),
    )
    default_action: Literal["allow", "deny"] = setting(
        "allow",
        kinds.choice("allow", "deny"),
        "`deny`: only upstreams with a prefix are asked, so that their prefixes are all that is let in.",
    )
    max_upload_sessions: int = setting(
        1000,
        kinds.integer(1),
        "Open upload sessions, all images together; the next one gets 429.",
        env=("NORA_MAX_UPLOAD_SESSIONS",),
    )
    max_upload_sessions_per_user: int = setting(
        500,
        kinds.integer(1),
        "Open upload sessions of one user, while authentication is on; the next one gets 429.",
    )
    max_upload_size: int = setting(
        64 * 1024 * MIB,
        kinds.size(1),
        "Largest blob.",
        env=("NORA_MAX_UPLOAD_SESSION_SIZE", "NORA_MAX_UPLOAD_SESSION_SIZE_MB"),
    )
    upload_ttl: int = setting(HOUR, kinds.duration(1), "An upload without progress for so long is dropped.")
    max_manifest_size: int = setting(4 * MIB, kinds.size(1024), "Largest manifest.")
    max_references: int = setting(
        4096,
        kinds.integer(1),
        "Most contents that a manifest may refer to: layers of an image, manifests of an index.",
    )
    immutable_tags: tuple[str, ...] = setting(
        (),
        kinds.TEXTS,
        "Tags that may be set once and not be removed, with all that they need: patterns as in `v*`, `*` for "
        "all. Only the tag is matched.",
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

    def is_immutable(self, tag: str) -> bool:
        """Whether a tag stays where it was set."""
        return any(fnmatchcase(tag, pattern) for pattern in self.immutable_tags)

    @property
    def kept_tags(self) -> Callable[[str], bool] | None:
        """What a removal has to ask for each tag that needs what is removed; None: nothing."""
        return self.is_immutable if self.immutable_tags else None

    def warnings(self) -> Iterator[str]:
        yield from ProxiedSettings.warnings(self)
        if self.default_action == "deny" and not any(one.prefix for one in self.sources or ()):
            yield "default_action = deny: no upstream of the default repository has a prefix; it asks nobody"


def upload_limits(settings: DockerSettings) -> UploadLimits:
    """What upload sessions may take."""
    return UploadLimits(
        settings.max_upload_sessions,
        settings.max_upload_size,
        settings.upload_ttl,
        settings.max_upload_sessions_per_user,
    )


def kept_tags(config: Config) -> Callable[[str], bool]:
    """Which tags stay where they were set."""
    return config.of_format(DockerSettings).is_immutable


def docker_hub() -> tuple[Upstream, ...]:
    """The registry whose images have short names."""
    return (Upstream("https://registry-1.docker.io"),)
