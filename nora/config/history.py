"""What is kept of what has happened: `[audit]` and `[events]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nora.config import kinds
from nora.config.declare import setting
from nora.config.kinds import DAY, HOUR, MIB
from nora.config.webhooks import WEBHOOKS, Webhook


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """The log of who did what."""

    mode: Literal["file", "stdout", "both", "off"] = setting(
        "file",
        kinds.choice("file", "stdout", "both", "off"),
        "Where it is written; the file is `audit.jsonl` in the directory of the storage.",
        env=("NORA_AUDIT_LOG",),
    )
    reads: bool = setting(False, kinds.BOOLEAN, "Log reads of packages too.")
    max_size: int = setting(
        100 * MIB,
        kinds.size(MIB),
        "The file is put aside before it becomes larger, as `audit.jsonl.1`, `.2` …",
    )
    keep: int = setting(10, kinds.integer(0, 1000), "How many files that were put aside are kept.")


@dataclass(frozen=True, slots=True)
class EventsSettings:
    """What has happened to artifacts: on the page Activity, in `/api/v1/events`, and told to webhooks."""

    keep: int = setting(
        100_000,
        kinds.integer(100, 10_000_000),
        "How many of the last events are kept; of those that tell what was fetched from upstreams a tenth.",
    )
    max_age: int = setting(90 * DAY, kinds.duration(HOUR), "Older events are removed.")
    webhooks: tuple[Webhook, ...] = setting((), WEBHOOKS, "Who is told of events, and of which.")
    deliveries: int = setting(
        100,
        kinds.integer(10, 10_000),
        "How many deliveries of each webhook are kept, beside those that wait.",
    )
