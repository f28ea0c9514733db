"""What is collected, and when: `[gc]`."""

from __future__ import annotations

from dataclasses import dataclass

from nora.config import kinds
from nora.config.declare import setting
from nora.config.kinds import DAY, MINUTE


@dataclass(frozen=True, slots=True)
class GcSettings:
    """Garbage collection, while the server serves."""

    enabled: bool = setting(False, kinds.BOOLEAN, "Collect garbage from time to time; `nora gc` always can.")
    interval: int = setting(
        DAY, kinds.duration(1), "How long after a collection the next one begins, restarts included."
    )
    dry_run: bool = setting(False, kinds.BOOLEAN, "Only log what there is to collect.")
    grace: int = setting(
        7 * DAY,
        kinds.duration(),
        "Nothing that came later than so long ago is collected.",
        env=("NORA_GC_GRACE",),
        toml=("grace_secs",),
    )
    lease: int = setting(
        DAY,
        kinds.duration(),
        "How long content of a package is kept that no version needs yet, from when it was last pushed, "
        "mounted or found there: a push of many layers takes its time.",
    )
    unlink_delay: int = setting(
        15 * MINUTE,
        kinds.duration(),
        "How long what is collected stays on the disk all the same: requests that found it before may be "
        "about to read it.",
    )
