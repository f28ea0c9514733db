"""What long work tells of how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Somebody who is told. May be called from any thread."""

    def expect(self, total: int, what: str) -> None:
        """From here on `total` bytes are to be done; `what` is being done."""
        ...

    def advance(self, size: int) -> None:
        """So many more bytes are done."""
        ...


class Silent:
    """See Progress: nobody looks."""

    def expect(self, total: int, what: str) -> None:
        """See Progress."""

    def advance(self, size: int) -> None:
        """See Progress."""
