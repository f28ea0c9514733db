"""The settings of Maven, and whom it asks by default."""

from __future__ import annotations

from dataclasses import dataclass

from nora.config import ProxiedSettings, TtlSeconds, Upstream, kinds
from nora.config.declare import setting
from nora.config.kinds import MIB, MINUTE
from nora.config.registries import file_site
from nora.config.sections import OVERWRITE, Overwrite


@dataclass(frozen=True, slots=True)
class MavenSettings(ProxiedSettings):
    """Maven."""

    enabled: bool = setting(True, kinds.BOOLEAN, "Serve `/maven2/`.")
    proxy_timeout: int = setting(
        30, kinds.duration(1), "How long an upstream may take for a `maven-metadata.xml`."
    )
    metadata_ttl: TtlSeconds = setting(
        5 * MINUTE,
        kinds.TTL,
        "How long a `maven-metadata.xml` of an upstream, or a file that may change, is not asked for again.",
    )
    immutable_releases: bool = setting(
        True, kinds.BOOLEAN, "Never replace the files of a release, and not even after they were deleted."
    )
    overwrite: Overwrite | None = setting(
        None,
        OVERWRITE,
        "The same in three words, instead of `immutable_releases`: `never`; `always`; or with `If-Match` "
        "only. Of one repository: `[repositories.<name>] overwrite`.",
    )
    checksum_verify: bool = setting(
        True,
        kinds.BOOLEAN,
        "Compare the checksums that clients upload: a wrong one is refused, and takes its file with it.",
    )
    checksum_policy: str = setting(
        "strict",
        kinds.choice("strict", "warn", "ignore"),
        "A file of an upstream that has another checksum than the upstream says is refused, kept with a line "
        "in the log, or not looked at.",
    )
    max_file_size: int = setting(4096 * MIB, kinds.size(1), "Largest file, published or of an upstream.")

    @property
    def of_releases(self) -> Overwrite:
        """When the files of a release are replaced, in repositories that do not say it."""
        return self.overwrite or ("never" if self.immutable_releases else "always")


def central() -> tuple[Upstream, ...]:
    """Maven Central."""
    return (Upstream(f"{file_site('maven', 'group/name')}/maven2"),)
