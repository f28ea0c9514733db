"""What a format record says where the format says nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.formats import discover
from nora.formats.base import UploadLimits, natural_order

VERSIONS = ["", "1", "1.2", "1.2.1", "1.9", "1.10", "01.11", "2-rc1", "2.0", "a", "v1", "v9", "v10"]


def test_numbers_in_versions_are_sorted_by_value() -> None:
    backwards = [*reversed(VERSIONS)]
    assert sorted(backwards, key=natural_order) == VERSIONS


@pytest.mark.parametrize("one", discover(), ids=lambda one: one.name)
@given(versions=st.lists(st.text(max_size=20)))
def test_any_versions_can_be_sorted(one, versions: list[str]) -> None:  # type: ignore[no-untyped-def]
    sorted([*versions, *VERSIONS, "9" * 5000], key=one.version_order)


def test_limits_of_several_formats_suit_all() -> None:
    assert UploadLimits.of([]) == UploadLimits()
    found = UploadLimits.of([UploadLimits(1, 200, 3), UploadLimits(100, 2, 4)])
    assert found == UploadLimits(100, 200, 4)
