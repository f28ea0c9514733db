"""Asking the candidates of a name, one after the other: found, absent, failed.

Only that a source says that it has nothing hands a name on to the next one. A failure ends the walk, whoever
comes after: who can make a source fail must not choose who answers instead.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from nora.errors import NotFound, UpstreamFailed
from nora.resolve.candidates import Ask, Candidate, Resolution
from nora.resolve.deadline import half

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.resolve.sources import Source, Sources

_log = logging.getLogger(__name__)

T = TypeVar("T")
MOST_TOLD: Final = 1024


class Teller:
    """Tells the log why somebody was not asked, once for each name."""

    def __init__(self) -> None:
        self._told: set[tuple[int, str]] = set()

    def passed(self, resolution: Resolution) -> None:
        """The source of the name does not have what was asked for, and others were not asked."""
        if resolution.passed and self._is_news(resolution.passed[0], resolution.name):
            _log.info(
                "%s comes from another source than %s, which is not asked for it; `merge` of that upstream "
                "would join what both have",
                resolution.name,
                ", ".join(one.setting.url for one in resolution.passed),
            )

    def failed(self, resolution: Resolution, candidate: Candidate) -> None:
        """A source fails, so that those after it were not asked."""
        if not candidate.is_last and self._is_news(candidate.source, resolution.name):
            _log.info(
                "%s: %s fails, so nobody after it is asked; `names` of an upstream says whose a name is",
                resolution.name,
                candidate.source.setting.url,
            )

    def _is_news(self, source: Source, name: str) -> bool:
        key = (source.id, name)
        if key in self._told:
            return False
        if len(self._told) >= MOST_TOLD:
            self._told.clear()
        self._told.add(key)
        return True


class Walk(Generic[T]):
    """One walk along the candidates of a name. Run it once."""

    def __init__(
        self,
        resolution: Resolution,
        ask: Ask[T],
        catalog: Catalog,
        sources: Sources,
        teller: Teller,
        answer_seconds: float,
    ) -> None:
        self._resolution = resolution
        self._ask = ask
        self._catalog = catalog
        self._sources = sources
        self._teller = teller
        self._answer_seconds = answer_seconds
        self._found: list[T] = []
        self._without: list[Candidate] = []
        self._missing: NotFound | None = None
        self._is_settled = False
        """Whose the name is, is known: only what is joined with that source is still asked."""

    async def run(self, *, only_first: bool) -> list[T]:
        """What the source of the name has, and what is joined with it; nothing when it is absent.

        Raises NotFound when the name is there, and only this is not; UpstreamFailed.
        """
        for candidate in self._resolution.candidates:
            if self._is_settled and not candidate.merged:
                continue
            await self._step(candidate)
            if self._found and only_first:
                break
        if not self._found:
            if self._is_settled:
                self._teller.passed(self._resolution)
            if self._missing is not None:
                raise self._missing
        return self._found

    async def _step(self, candidate: Candidate) -> None:
        try:
            answer = await self._answer_of(candidate)
        except NotFound as error:
            self._is_settled, self._missing = True, self._missing or error
        except UpstreamFailed as error:
            error.source = candidate.source.setting.url
            if not await self._goes_on_without(candidate):
                self._teller.failed(self._resolution, candidate)
                raise
        else:
            await self._take(candidate, answer)

    async def _answer_of(self, candidate: Candidate) -> T | None:
        if not self._may_go_on(candidate):
            return await self._ask(candidate)
        with half(self._answer_seconds):
            return await self._ask(candidate)

    async def _take(self, candidate: Candidate, answer: T | None) -> None:
        if answer is not None:
            if not self._is_settled:
                await self._note_absences()
            self._is_settled = True
            self._found.append(answer)
        elif candidate.pinned:
            self._is_settled = True  # it has lost the name, which does not move on
        else:
            self._without.append(candidate)

    async def _goes_on_without(self, failed: Candidate) -> bool:
        """Whether the name is pinned to a later source, and the one that fails is known to be without it."""
        if not self._may_go_on(failed):
            return False
        return bool(await self._catalog.find_absences([failed.key]))

    def _may_go_on(self, failing: Candidate) -> bool:
        if self._is_settled or failing.pinned:
            return False
        return any(one.pinned for one in self._resolution.candidates)

    async def _note_absences(self) -> None:
        """Those before the source that has the name have said that they have nothing: that outlives them."""
        keys = [one.key for one in self._without if self._sources.is_online(one.source.repository)]
        if keys:
            known = await self._catalog.find_absences(keys)
            if new := [key for key in keys if key not in known]:
                await self._catalog.note_absences(new)
