from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.config import kinds
from nora.config.kinds import MIB
from nora.config.names import Names
from nora.config.settings import available_cores
from tests.config.formats import FORMATS
from tests.support.tables import each

ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
ALL_KINDS = {one.key: one.declaration.kind for one in Names(FORMATS).settings.values()} | {"ttl": kinds.TTL}


@each(
    ("raw", "count"),
    [
        (0, 0),
        (1024, 1024),
        ("1024", 1024),
        ("512KiB", 512 * 1024),
        ("16MiB", 16 * MIB),
        ("16 mib", 16 * MIB),
        ("16M", 16 * MIB),
        ("2GB", 2_000_000_000),
        ("1TiB", 2**40),
        ("7B", 7),
    ],
)
def test_a_size_is_bytes_or_has_a_unit(raw: object, count: int) -> None:
    assert kinds.parse_size(raw) == count


@each("raw", [-1, True, 2**80, "9999999TiB", 1.5, None, "", "MiB", "1.5MiB", "16XB", "1e3", [], "\u0661MiB"])
def test_a_size_refuses_what_is_not_one(raw: object) -> None:
    with pytest.raises(ValueError, match="expected bytes"):
        kinds.parse_size(raw)


@each(
    ("raw", "seconds"),
    [
        (0, 0),
        (30, 30),
        ("30", 30),
        ("30s", 30),
        ("5m", 300),
        ("12h", 43200),
        ("7d", 604800),
        ("1w2d", 777600),
    ],
)
def test_a_duration_is_seconds_or_has_units(raw: object, seconds: int) -> None:
    assert kinds.parse_duration(raw) == seconds


@each("raw", [-1, True, 2**80, "99999d", 0.5, None, "", "s", "5 minutes", "1.5h", "-5s", {}])
def test_a_duration_refuses_what_is_not_one(raw: object) -> None:
    with pytest.raises(ValueError, match="expected seconds"):
        kinds.parse_duration(raw)


@each(("raw", "ttl"), [(0, 0), (300, 300), ("5m", 300), ("forever", inf), ("Forever", inf), ("0", 0)])
def test_a_ttl_has_one_meaning(raw: object, ttl: float) -> None:
    assert kinds.TTL.read(raw) == ttl


@pytest.mark.parametrize("raw", [-1, "-1", "never", True, inf])
def test_a_ttl_refuses_the_old_minus_one(raw: object) -> None:
    with pytest.raises(ValueError, match="always revalidate"):
        kinds.TTL.read(raw)


@given(st.integers(0, kinds.LARGEST_SIZE))
def test_a_written_size_is_read_back(count: int) -> None:
    assert kinds.parse_size(kinds.render_size(count)) == count


@given(st.integers(0, kinds.LONGEST_DURATION))
def test_a_written_duration_is_read_back(seconds: int) -> None:
    assert kinds.parse_duration(kinds.render_duration(seconds)) == seconds


@given(ANY_VALUE)
def test_reading_anything_gives_a_value_or_says_what_was_expected(raw: object) -> None:
    for setting, kind in ALL_KINDS.items():
        try:
            value = kind.read(raw)
        except ValueError as error:
            assert "expected" in str(error), setting  # noqa: PT017
        else:
            if value is not None:
                assert kind.read(kind.write(value)) == value, setting


@pytest.mark.parametrize("raw", ["https://r.example.com/", "http://[::1]:4000", "https://h/sub/path"])
def test_a_url_loses_its_last_slash(raw: str) -> None:
    assert kinds.OPTIONAL_URL.read(raw) == raw.rstrip("/")


@each("raw", ["r.example.com", "ftp://h", "https://", "https://u:p@h", "https://h?x=1", "http://h:99999", 5])
def test_a_url_refuses_what_is_not_one(raw: object) -> None:
    with pytest.raises(ValueError, match="expected a URL"):
        kinds.OPTIONAL_URL.read(raw)


@pytest.mark.parametrize(("quota", "most"), [("200000 100000", 2), ("50000 100000", 1), ("max 100000", None)])
def test_cores_follow_the_quota_of_the_container(tmp_path, quota: str, most: int | None) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    unlimited = available_cores(tmp_path / "absent")
    assert available_cores(file) == (unlimited if most is None else min(most, unlimited))


@each(
    ("raw", "value"),
    [
        (True, ("*",)),
        ("true", ("*",)),
        (False, ()),
        ("off", ()),
        ("Files.Example.com, *.example.net", ("files.example.com", "*.example.net")),
        (["10.0.0.1", "fd00::1"], ("10.0.0.1", "fd00::1")),
    ],
)
def test_hosts(raw: object, value: tuple[str, ...]) -> None:
    assert kinds.HOSTS.read(raw) == value


@each("raw", ["https://files.example.com", "a/b", "a b", [""], "", 7, ".", ["a", 7], "-a"])
def test_what_is_no_host(raw: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        kinds.HOSTS.read(raw)
