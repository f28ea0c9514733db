"""Bodies as streams of bytes: how long they are, and whether they are small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nora.errors import SizeMismatch, TooLarge

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

SMALL_BYTES: Final = 64 << 10
"""A body that is no larger is stored in one visit to a disk thread."""
PIECE_BYTES: Final = 64 << 10
"""What a store's `stream` yields at a time: every slow client holds several of them."""


def check_size(size: int, announced: int | None, limit: int | None, before: int = 0) -> None:
    """Raise TooLarge or SizeMismatch when `size` bytes, after `before` others, are too many."""
    if limit is not None and before + size > limit:
        raise TooLarge(limit, "blob")
    if announced is not None and size > announced:
        raise SizeMismatch(f"more than the {announced} bytes that were announced")


def check_end(size: int, announced: int | None) -> None:
    """Raise SizeMismatch when a body ends after `size` bytes and that is too early."""
    if announced is not None and size < announced:
        raise SizeMismatch(f"{size} of the {announced} bytes that were announced")


async def measured(
    chunks: AsyncIterable[bytes], announced: int | None, limit: int | None, before: int = 0
) -> AsyncGenerator[bytes, None]:
    """The chunks that are not empty, as long as they are as many bytes as was announced.

    Raises TooLarge before anything is read when the announced size says so, else as soon as it is known;
    SizeMismatch when there are more bytes than announced, as soon as it is known, or fewer.
    """
    check_size(announced or 0, announced, limit, before)
    size = 0
    async for chunk in chunks:
        if chunk:
            size += len(chunk)
            check_size(size, announced, limit, before)
            yield chunk
    check_end(size, announced)


async def read_head(body: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """What comes first, and whether that is the whole body, which is then small."""
    parts: list[bytes] = []
    size = 0
    async for chunk in body:
        parts.append(chunk)
        size += len(chunk)
        if size > SMALL_BYTES:
            return b"".join(parts), False
    return b"".join(parts), True
