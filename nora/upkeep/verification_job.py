"""Verification by the server: see nora.upkeep.verification."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nora.errors import StorageFailed
from nora.http.jobs import VERIFICATION

if TYPE_CHECKING:
    from nora.config.verification import VerifySettings
    from nora.http.tasks import Exclusive
    from nora.upkeep.verification import Verifier

_log = logging.getLogger(__name__)


class VerificationJob:
    """What one of the workers does."""

    def __init__(self, settings: VerifySettings, verifier: Verifier) -> None:
        self._settings = settings
        self._verifier = verifier

    def jobs(self, exclusive: Exclusive) -> Iterator[asyncio.Task[None]]:
        """What is done from time to time."""
        if self._settings.enabled:
            yield exclusive.when_due(self._settings.interval, self.verify, VERIFICATION)

    async def verify(self) -> str:
        """Compare what was not found right within the interval: a run that a restart has ended goes on.
        Raises StorageFailed when something is wrong."""
        found = await self._verifier.run(verified_before=time.time() - self._settings.interval)
        for problem in found.row_problems:
            _log.error("%s", problem)
        for one in found.damages:
            uses = ", ".join(one.uses)
            _log.error("the stored bytes of %s are %s (%s) %s", one.digest, one.problem, uses, one.outcome)
        if not found.is_right:
            raise StorageFailed(found.summary)
        return found.summary
