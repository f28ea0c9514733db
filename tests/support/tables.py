"""One rule for many inputs, in one test: a thousand tests of `parametrize` take two seconds.

@each(("text", "number"), [("1", 1), ("2", 2)])
def test_numbers_are_read(text: str, number: int) -> None:
    assert int(text) == number

A failure names the row. What fixtures make is the same for all rows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

Test = Callable[..., None]


def each(names: str | Sequence[str], rows: Iterable[Any]) -> Callable[[Test], Test]:
    """Calls a test for each row: a value for a name, a sequence of them for several."""
    wanted = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    table = [(row,) if len(wanted) == 1 and isinstance(names, str) else tuple(row) for row in rows]
    assert table, f"no {names}"

    def decorate(test: Test) -> Test:
        def run(**fixtures: Any) -> None:
            for row in table:
                values = dict(zip(wanted, row, strict=True))
                try:
                    test(**fixtures, **values)
                except BaseException as error:
                    error.add_note(f"the row: {values!r}")
                    raise

        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        run.__signature__ = _without(inspect.signature(test), wanted)  # type: ignore[attr-defined]
        return run

    return decorate


def _without(signature: inspect.Signature, names: Collection[str]) -> inspect.Signature:
    left = [one for name, one in signature.parameters.items() if name not in names]
    return signature.replace(parameters=left)
