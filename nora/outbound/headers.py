"""What the header fields of upstreams say. Anything may stand in them; nothing raises."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from math import ceil

LONGEST_WAIT = 24 * 3600
"""What an upstream may say at most about when to come back, in seconds."""
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)


def parse_date(text: str) -> float | None:
    """Seconds since the epoch of an HTTP-date in any of its three forms (RFC 9110, 5.6.7)."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def parse_retry_after(text: str | None, now: float) -> int | None:
    """Whole seconds to wait, at least 1 (RFC 9110, 10.2.3); None where nothing usable is said.

    `now` is in seconds since the epoch: the field may be a date.
    """
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return max(1, LONGEST_WAIT if len(text) > 9 else min(int(text), LONGEST_WAIT))
    date = parse_date(text) if text else None
    return None if date is None else max(1, min(ceil(date - now), LONGEST_WAIT))


def parse_content_range(text: str | None) -> tuple[int, int, int | None] | None:
    """First byte, last byte and the whole size, where that is told (RFC 9110, 14.4)."""
    match = _RANGE.fullmatch((text or "").strip())
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    size = None if match[3] == "*" else int(match[3])
    return (first, last, size) if first <= last and (size is None or last < size) else None


def parse_quota(text: str | None) -> int | None:
    """The number of a `RateLimit-Limit` or `RateLimit-Remaining` such as `100;w=21600`."""
    number = (text or "").partition(";")[0].strip()
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None
