"""What is kept of what can be had again: `[cache]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nora.config import kinds
from nora.config.declare import setting
from nora.config.kinds import DAY, MIB


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """What is kept in memory, and what of upstreams on the disk."""

    memory: int = setting(32 * MIB, kinds.size(), "Memory for hot answers, for each worker.")
    unused_ttl: int | None = setting(
        None,
        kinds.duration(DAY),
        "What came from an upstream and nobody used for so long is dropped by garbage collection; without it "
        "files are kept.",
    )
    max_size: int | None = setting(
        None,
        kinds.size(),
        "So much of upstreams is kept, each blob counted once: what is unused for longest is dropped by "
        "garbage collection. What was used in the last two hours stays.",
        env=("NORA_CACHE_MAX_SIZE", "NORA_GC_PROXY_CACHE_MAX_BYTES"),
        deprecated=("gc.proxy_cache_max_bytes",),
    )
    disk: Path | None = setting(
        None,
        kinds.PATH,
        "Directory of its own where blobs of a bucket of 1 MiB and more are kept when they are read, for the "
        "next reader.",
    )
    disk_size: int = setting(10 * 1024 * MIB, kinds.size(), "So much is kept in `cache.disk`.")
