"""Files by the directories that they are in."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nora.catalog.histories import FileHistory


async def by_directory(files: AsyncIterable[FileHistory]) -> AsyncIterator[tuple[str, list[FileHistory]]]:
    """Each directory, without a slash at its end, with the files right in it. `files` come by path as bytes:
    so all that is beneath a directory is in a row, and only directories that one is in are held."""
    opened: list[tuple[str, list[FileHistory]]] = [("", [])]
    async for one in files:
        directory = one.path.rpartition("/")[0]
        while opened[-1][0] != "" and not f"{directory}/".startswith(f"{opened[-1][0]}/"):
            yield opened.pop()
        if opened[-1][0] != directory:
            opened.append((directory, []))
        opened[-1][1].append(one)
    while opened:
        if opened[-1][1]:
            yield opened[-1]
        opened.pop()
