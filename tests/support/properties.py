"""Properties of what needs the event loop of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")
Damage = tuple[int, int, bytes] | None

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=8), below, max_size=4),
    max_leaves=12,
)
"""What JSON may have anywhere; NaN is none, and its parsers differ."""
DAMAGES: SearchStrategy[Damage] = st.none() | st.tuples(
    st.integers(0, 2000), st.integers(0, 60), st.binary(max_size=30)
)
"""Where bytes are taken out, how many, and what is there instead."""

EXAMPLES = max(20, settings.default.max_examples // 4)
"""Each is a request or several, and costs what many inputs of a parser do."""


def damaged(whole: bytes, damage: Damage) -> bytes:
    """Bytes with others in the place of some."""
    if damage is None:
        return whole
    at, length, instead = damage
    return whole[:at] + instead + whole[at + length :]


async def holds_for_all(values: SearchStrategy[T], check: Callable[[T], Awaitable[None]]) -> None:
    """That `check`, which runs here, raises nothing for what `values` gives."""
    loop = asyncio.get_running_loop()

    async def checked(value: T) -> None:
        await check(value)

    @settings(max_examples=EXAMPLES)
    @given(values)
    def one(value: T) -> None:
        asyncio.run_coroutine_threadsafe(checked(value), loop).result(60)

    await asyncio.to_thread(one)
