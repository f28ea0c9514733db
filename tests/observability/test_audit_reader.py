"""The audit log read back: the newest first, over rotations, within bounds, whatever the files hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from nora.errors import BadRequest
from nora.observability import audit_reader
from nora.observability.audit import AuditFile
from nora.observability.audit_reader import AuditReader, Cursor, Question

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def line(number: int, **fields: object) -> bytes:
    at = (START + timedelta(minutes=number)).isoformat(timespec="milliseconds")[:-6] + "Z"
    record = {"ts": at, "subject": "ci", "client": "192.0.2.7", "action": "write", "registry": "docker"}
    record |= {"repository": "internal", "object": f"team/app:{number}", "digest": "", "outcome": "ok"}
    return orjson.dumps({**record, **fields}, option=orjson.OPT_APPEND_NEWLINE)


def write(path: Path, numbers: range, **fields: object) -> None:
    with path.open("ab") as file:
        for number in numbers:
            file.write(line(number, **fields))


def read_all(reader: AuditReader, question: Question | None = None, limit: int = 7) -> list[str]:
    """The objects of all lines, page by page."""
    found, cursor = [], None
    for _ in range(10_000):
        page = reader.read(question or Question(), cursor, limit)
        assert len(page.records) <= limit
        found += [one["object"].rpartition(":")[2] for one in page.records]
        cursor = page.next
        if cursor is None:
            return found
        cursor = Cursor.parse(str(cursor))
    raise AssertionError("it never ends")


def numbers(found: range) -> list[str]:
    return [str(one) for one in reversed(found)]


@pytest.mark.parametrize("block", [97, 1000, 1 << 18])
def test_lines_come_from_the_newest_over_all_files(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_reader, "BLOCK_BYTES", block)
    path = tmp_path / "audit.jsonl"
    write(tmp_path / "audit.jsonl.3", range(10))
    write(tmp_path / "audit.jsonl.1", range(10, 40))  # there is no second one, at the moment
    write(path, range(40, 55))
    reader = AuditReader(path, 3)
    assert read_all(reader) == numbers(range(55))
    assert read_all(reader, limit=1) == numbers(range(55))


def test_a_page_goes_on_where_it_was_when_the_file_is_rotated(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, 4000, 3)
    for number in range(12):
        file.append(line(number))
    reader = AuditReader(path, 3)
    page = reader.read(Question(), None, 5)
    for number in range(12, 40):
        file.append(line(number))
    file.close()
    assert path.with_name("audit.jsonl.1").exists()
    following = reader.read(Question(), page.next, 100)
    assert [one["object"] for one in following.records] == [f"team/app:{one}" for one in range(6, -1, -1)]
    for old in tmp_path.glob("audit.jsonl*"):
        old.unlink()
    gone = reader.read(Question(), page.next, 100)
    assert (gone.records, gone.next) == ([], None)
    assert not reader.is_there


def test_what_is_no_whole_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    hostile = [
        b"",
        b"\0\xff\n",
        b"[1]\n",
        b"null\n",
        b'{"ts": 5}\n',
        b"{}\n",
        b"x" * 700_000 + b"\n",
        b"\n\n",
    ]
    half = line(9)[:50]
    path.write_bytes(line(1) + b"".join(hostile) + line(2) + half)
    assert read_all(AuditReader(path, 1)) == ["2", "1"]
    for text in (b"", half, b"\n", b"\n\n\n"):
        path.write_bytes(text)
        assert read_all(AuditReader(path, 1)) == []
    odd = orjson.dumps({"ts": "tomorrow", "object": 5, "subject": None, "outcome": ["ok"]})
    path.write_bytes(line(1) + odd + b"\n")
    page = AuditReader(path, 1).read(Question.parse(who="none", since="2026-01-01"), None, 9)
    assert [one["ts"] for one in page.records] == ["tomorrow"]


def test_filters_look_for_texts_in_any_case_and_times_by_the_day(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, range(3))
    write(path, range(3, 5), subject="Alice", action="delete", outcome="denied")
    write(path, range(1440, 1442), client="2001:db8::1", repository="wheels", registry="pypi")
    reader = AuditReader(path, 1)
    rows = [
        ({"who": "alice"}, "4 3"),
        ({"who": "192.0"}, "4 3 2 1 0"),
        ({"who": "2001:DB8"}, "1441 1440"),
        ({"action": "delete"}, "4 3"),
        ({"where": "WHEELS"}, "1441 1440"),
        ({"where": "app:144"}, "1441 1440"),
        ({"outcome": "denied"}, "4 3"),
        ({"since": "2026-02-01"}, "1441 1440"),
        ({"until": "2026-01-31"}, "4 3 2 1 0"),
        ({"since": "2026-01-31T12:02", "until": "2026-01-31T12:04:00Z"}, "3 2"),
        ({"since": "2026-01-31 12:04:00.000", "who": "alice"}, "4"),
        ({"who": "nobody"}, ""),
    ]
    for said, expected in rows:
        assert " ".join(read_all(reader, Question.parse(**said))) == expected, said
    for wrong in (
        {"outcome": "good"},
        {"since": "yesterday"},
        {"until": "2026-13-01"},
        {"since": "0001-01-01"},
        {"who": "a" * 300},
    ):
        with pytest.raises(BadRequest):
            Question.parse(**wrong)
    for text in ("x", "1", "1-", "-1", "1-2-3", "9" * 30 + "-1"):
        with pytest.raises(BadRequest):
            Cursor.parse(text)


def test_a_request_looks_through_no_more_than_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, range(1), subject="rare")
    write(path, range(1, 500))
    size = len(line(1))
    reader = AuditReader(path, 1, most_bytes=50 * size)
    page = reader.read(Question.parse(who="rare"), None, 10)
    assert page.records == []
    assert page.next is not None
    assert 440 <= int((datetime.fromisoformat(page.reached) - START).total_seconds() / 60) <= 455
    assert read_all(reader, Question.parse(who="rare")) == ["0"]


def test_a_time_is_found_without_reading_what_is_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_reader, "BLOCK_BYTES", 2000)
    path = tmp_path / "audit.jsonl"
    write(path, range(5000))
    reader = AuditReader(path, 1, most_bytes=20_000)
    early = Question.parse(until="2026-01-31T12:10:00")
    page = reader.read(early, None, 100)
    assert [one["object"].rpartition(":")[2] for one in page.records] == numbers(range(10))
    late = reader.read(Question.parse(since="2026-02-03T23:15:00"), None, 1000)
    assert (len(late.records), late.next) == (5, None)
