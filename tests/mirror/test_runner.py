"""Side by side, each once, and the rest goes on when something is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pytest

from nora.errors import NotFound
from nora.formats.mirroring import Missing, Registry, Want
from nora.mirror import Lost, Runner

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Asked:
    """Stands for a registry."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.now = 0
        self.most = 0


@dataclass(frozen=True, slots=True)
class Toy:
    title: str
    then: tuple[Toy, ...] = ()

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        asked = cast("Asked", registry)
        asked.titles.append(self.title)
        asked.now += 1
        asked.most = max(asked.most, asked.now)
        await asyncio.sleep(0)
        asked.now -= 1
        if self.title == "lost":
            raise NotFound("it is lost")
        return self.then


def runner(asked: Asked, concurrency: int = 8) -> Runner:
    return Runner(cast("Registry", asked), concurrency)


async def test_each_is_asked_for_once_whoever_wants_it() -> None:
    shared = Toy("shared")
    asked = Asked()
    report = await runner(asked).run([Toy("a", (shared,)), Toy("b", (shared, Toy("a", (shared,)))), shared])
    assert sorted(asked.titles) == ["a", "b", "shared"]
    assert (report.wanted, report.done, report.missing) == (3, 3, [])


async def test_no_more_are_asked_for_at_a_time_than_is_said() -> None:
    asked = Asked()
    await runner(asked, 3).run(Toy(str(number)) for number in range(20))
    assert asked.most == 3


async def test_the_rest_goes_on_when_something_is_missing() -> None:
    asked = Asked()
    wants = [Toy("lost", (Toy("never"),)), Missing("git", "of git"), Toy("a", (Toy("b"),))]
    report = await runner(asked, 1).run(wants)
    assert report.missing == [Lost("git", "of git"), Lost("lost", "it is lost")]
    assert (report.wanted, report.done) == (4, 2)


async def test_a_fault_of_the_program_is_not_taken_for_something_missing() -> None:
    class Broken:
        title = "broken"

        async def fetch(self, _: Registry) -> Sequence[Want]:
            raise KeyError

    with pytest.raises(ExceptionGroup):
        await runner(Asked()).run([Broken()])
