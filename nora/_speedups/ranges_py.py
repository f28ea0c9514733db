"""Byte ranges in headers: the pure Python twin of `ranges_c`."""

from __future__ import annotations

import re

_SIZE_LIMIT = 1 << 63

_range = re.compile(r"bytes=(?:([0-9]+)-([0-9]*)|-([0-9]+))", re.ASCII | re.IGNORECASE).fullmatch
_content_range = re.compile(
    r"(?:bytes )?([0-9]{1,19})-([0-9]{1,19})(?:/(?:\*|([0-9]{1,19})))?", re.ASCII | re.IGNORECASE
).fullmatch


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """The first and last byte that a `Range` header asks of `size` bytes (RFC 9110, 14.1.2 and 14.2).

    None means that the header is to be ignored: another unit, malformed, or several ranges. ValueError means
    416: it starts behind the last byte, is an empty suffix, or ends before it starts.
    """
    if not isinstance(header, str):
        raise TypeError(f"range must be str, not {type(header).__name__}")
    if not isinstance(size, int):
        raise TypeError(f"size must be int, not {type(size).__name__}")
    if not 0 <= size < _SIZE_LIMIT:
        raise ValueError("size is not between 0 and 2**63 - 1")
    match = _range(header)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        wanted = _integer(suffix)
        if not wanted or not size:
            raise ValueError(f"range is outside of {size} bytes")
        return max(size - wanted, 0), size - 1
    start = _integer(first)
    if start >= size:
        raise ValueError(f"range is outside of {size} bytes")
    end = _integer(last) if last else size - 1
    if end < start:
        raise ValueError("range ends before it starts")
    return start, min(end, size - 1)


def _integer(digits: str) -> int:
    """The value of any number of digits, larger ones counting as the limit of sizes (`int` refuses 4301)."""
    if len(digits) <= 18:
        return int(digits)
    digits = digits.lstrip("0") or "0"
    return min(int(digits), _SIZE_LIMIT) if len(digits) <= 19 else _SIZE_LIMIT


def parse_content_range(header: str) -> tuple[int, int]:
    """The first and last byte of a chunk's `Content-Range: <start>-<end>` (distribution-spec 1.1, end-5).

    RFC 9110's `bytes <start>-<end>/<size or *>` is understood too. Raises ValueError else.
    """
    if not isinstance(header, str):
        raise TypeError(f"content range must be str, not {type(header).__name__}")
    match = _content_range(header)
    if match is None:
        raise ValueError("content range is not <start>-<end>")
    first, last, total = match.groups()
    start, end = int(first), int(last)
    if end < start:
        raise ValueError("content range ends before it starts")
    if total and int(total) <= end:
        raise ValueError("content range ends behind its total size")
    return start, end
