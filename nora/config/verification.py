"""Whether what is stored is compared with its digests, and when: `[verify]`."""

from __future__ import annotations

from dataclasses import dataclass

from nora.config import kinds
from nora.config.declare import setting
from nora.config.kinds import DAY, MIB


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """Verification, while the server serves."""

    enabled: bool = setting(
        False, kinds.BOOLEAN, "Compare all that is stored from time to time; `nora verify` always can."
    )
    interval: int = setting(
        30 * DAY, kinds.duration(1), "How long after a verification the next one begins, restarts included."
    )
    rate: int = setting(20 * MIB, kinds.size(1), "Bytes that are read in a second at most.")
    repair: bool = setting(
        False,
        kinds.BOOLEAN,
        "Put damaged objects aside, and forget what can be fetched anew, as `nora verify --repair`.",
    )
