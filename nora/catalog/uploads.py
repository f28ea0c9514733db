"""Uploads: sessions in which a blob comes in parts."""

from __future__ import annotations

from typing import Protocol

from nora.catalog.records import Upload


class Uploads(Protocol):
    """The upload sessions of a catalog. See nora.catalog.base for what holds for all methods."""

    async def open_upload(
        self,
        upload_id: str,
        repository_id: int,
        package: str,
        algorithm: str,
        limit: int,
        owner: str = "",
        owner_limit: int = 0,
    ) -> Upload:
        """Open a session; the package is known (and owned) from here on. Survives a crash of the
        process, not necessarily one of the machine. Raises TooManyRequests at `limit` open sessions, and at
        `owner_limit` of an owner who has a name."""
        ...

    async def find_upload(self, upload_id: str) -> Upload | None:
        """A session by its id."""
        ...

    async def save_upload(self, upload_id: str, offset: int, hashes: dict[str, str]) -> bool:
        """Record that `offset` bytes are durable in the session's file; False when it is gone.

        Survives a crash of the process, not necessarily one of the machine: an older offset then stands.
        """
        ...

    async def close_upload(self, upload_id: str) -> bool:
        """Forget a session that was given up; False when there was none. A package of which nothing but
        upload sessions was ever seen goes with the last one."""
        ...

    async def count_uploads(self) -> int:
        """How many sessions are open."""
        ...

    async def list_idle_uploads(self, idle_seconds: float, limit: int) -> list[Upload]:
        """Sessions without progress for so long."""
        ...
