"""The settings of raw files."""

from __future__ import annotations

from dataclasses import dataclass

from nora.config import ProxiedSettings, TtlSeconds, kinds
from nora.config.declare import setting
from nora.config.kinds import MINUTE
from nora.config.sections import OVERWRITE, Overwrite


@dataclass(frozen=True, slots=True)
class RawSettings(ProxiedSettings):
    """Raw files."""

    enabled: bool = setting(True, kinds.BOOLEAN, "Serve `/raw/`.")
    metadata_ttl: TtlSeconds = setting(
        5 * MINUTE,
        kinds.TTL,
        "How long a file of an upstream is not asked for again; `forever` where files never change.",
    )
    max_file_size: int | None = setting(
        None, kinds.size(1), "Largest file; without it any that `storage.reserve` leaves room for."
    )
    overwrite: Overwrite = setting(
        "if-match",
        OVERWRITE,
        "When a file is replaced by other bytes: `always`; with `If-Match` only; or `never`, and then not "
        "even after it was deleted. Of one repository: `[repositories.<name>] overwrite`.",
    )
    cache_control: str = setting("no-cache", kinds.TEXT, "The `Cache-Control` of files.")
    listing: bool = setting(True, kinds.BOOLEAN, "List directories, to who may read what is in them.")
