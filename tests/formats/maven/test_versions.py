"""The order of versions: what Maven's own tests of ComparableVersion say, and that it is an order."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from nora.formats.maven.versions import version_key

ASCENDING = [
    "1.0-alpha-1 1.0-alpha-2 1.0-beta-1 1.0-m1 1.0-rc1 1.0-SNAPSHOT 1.0 1.0-sp 1.0-foo 1.0-1 1.0.1 1.1 1.9",
    "1.9 1.10 2.0.0-M1 2.0.0",
    "1-alpha2snapshot 1-alpha2 1-alpha-123 1-beta-2 1-beta123 1-m2 1-m11 1-rc 1-cr2 1-rc123 1-SNAPSHOT 1",
    "1 1-sp 1-sp2 1-sp123 1-abc 1-def 1-pom-1 1-1-snapshot 1-1 1-2 1-123",
    "2.0 2.0.0.a 2-1 2.0.0.1 2.0.1 2.0.1-xyz 2.0.1-123",
    "2.0-1 2.0-1.1 2.0-2",
    "2.0.1.MR 2.0.1-1",
    "1.0-alpha-1-SNAPSHOT 1.0-alpha-1 1.0-beta-1-SNAPSHOT 1.0-beta-1",
    "6.1.0rc3 6.1.0 6.1H.5-beta 6.1.0-1",
    "20190126.230843 1234567890.12345 123456789012345.1H.5-beta 12345678901234567890.1H.5-beta",
    "1.0.RC2 1.0-RC3 1.0.1",
    "4.0.0.Beta3 4.0.0.Final 4.0.0.Final-jre8 4.0.0.Final-redhat-1 4.0.1.Final",
    "1-0.alpha 1-0.beta 1 1-0.1",
]
EQUAL = [
    "1 1.0 1.0.0 1-0 1.0-0 1.0.Final 1.0-ga 1.0.RELEASE 1- 1. 1.. 1.0.0-0.0.0 1.0.0-0-0 01 1.00",
    "1.0-rc1 1.0-cr1 1.0.CR1 1.0rc1 1.0-RC-1",
    "1a1 1-alpha-1 1A1 1.Alpha1",
    "1b2 1-beta-2",
    "1m3 1Milestone3 1-MileStone-3",
    "1x 1.0.0x 1.x 1-x 1.0-x 1.0.0.x",
    "0-1552 0.0-1552",
    "1-0.ga 1.0",
    "1.0.0-RC2 1.0.0.RC2",
    "0000000000000000000000000000000000000000000000000001 1 0001.0",
]
NOT_EQUAL = ["1a 1-alpha", "1b 1-beta", "1m 1-milestone", "1-x 1x2"]
_words = [*"012.-xé", "alpha", "beta", "b2", "m", "cr1", "SNAPSHOT", "Final", "sp", "00", "9" * 20]
_versions = st.lists(st.sampled_from(_words), max_size=8).map("".join) | st.text(max_size=12)


def test_versions_are_in_mavens_order() -> None:
    for row in ASCENDING:
        for low, high in combinations(row.split(), 2):
            assert version_key(low) < version_key(high), (low, high)
    for row in EQUAL:
        (first, *others) = row.split()
        for other in others:
            assert version_key(first) == version_key(other), (first, other)
    for row in NOT_EQUAL:
        one, other = row.split()
        assert version_key(one) != version_key(other), row


def test_items_that_count_as_nothing_do_not_break_the_order() -> None:
    row = ["1.0.ga.rc", "1.0.alpha.5", "1", "1.0.ga.1", "1.0.sp.1"]
    assert sorted({*row}, key=version_key) == row


@given(st.lists(_versions, min_size=3, max_size=3))
def test_any_texts_have_an_order(texts: list[str]) -> None:
    one, two, three = map(version_key, texts)
    assert (one < two) + (one == two) + (one > two) == 1
    assert (one < two) == (two > one)
    assert not (one <= two <= three) or one <= three
    assert one != two or hash(one) == hash(two)
    assert version_key(texts[0].upper()) == version_key(texts[0].upper().lower())


def test_long_versions_are_compared() -> None:
    for separator in (".", "-", "a", "-a-"):
        low, high = (f"{f'1{separator}' * 5_000}{last}" for last in (1, 2))
        assert version_key(low) < version_key(high)
    assert version_key(f"1.{'9' * 10_000}") < version_key(f"1.1{'0' * 10_000}")
