"""The audit log: what is in a line, and that lines are whole whoever writes, rotates, fails or dies."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from nora.errors import StorageFailed
from nora.model import ANONYMOUS, Principal
from nora.observability import audit
from nora.observability.audit import Audit, AuditFile, note
from nora.observability.logs import REQUEST_ID
from nora.observability.shared import SharedMemory, Value
from tests.support.waiting import wait_until

CI = Principal("ci", "token", "write")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "GATHER_SECONDS", 0.001)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


class Log:
    """A log, and what it counted."""

    def __init__(self, file: AuditFile | None, *, stdout: bool = False, reads: bool = False) -> None:
        self._slot = SharedMemory(1).slot(0)
        self.audit = Audit(
            file, stdout=stdout, reads=reads, dropped=self.value("dropped"), failed=self.value("failed")
        )

    def value(self, key: str) -> Value:
        return self._slot.value(key)

    def count(self, key: str) -> float:
        value = self.value(key)
        return value._view[value._index]


@pytest.fixture
def log(path: Path) -> Log:
    return Log(AuditFile(path, 1 << 20, 3))


def scope(method: str = "PUT", headers: tuple[bytes, ...] = (), **extra: Any) -> dict[str, Any]:
    return {
        "method": method,
        "path": "/v2/app/manifests/1",
        "headers": [(name, b"secret") for name in headers],
        "nora.client": "192.0.2.7",
        **{f"nora.{key}": value for key, value in extra.items()},
    }


def noted(**extra: Any) -> dict[str, Any]:
    one = scope(**extra)
    note(one, "write", "docker", "app:1", "sha256:abc")
    return one


def written(log: Log, path: Path) -> list[dict[str, Any]]:
    """What is in the file when the log is closed."""
    log.audit.close()
    return lines(path)


def lines(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes() if path.exists() else b""
    assert not data or data.endswith(b"\n")
    return [orjson.loads(line) for line in data.splitlines()]


def test_a_line(log: Log, path: Path) -> None:
    log.audit.start()
    token = REQUEST_ID.set("id-1")
    log.audit.observe(noted(principal=CI), "docker", 201)
    REQUEST_ID.reset(token)
    (line,) = written(log, path)
    assert line.pop("ts").endswith("Z")
    assert line == {
        "request_id": "id-1",
        "client": "192.0.2.7",
        "subject": "ci",
        "method": "token",
        "action": "write",
        "registry": "docker",
        "repository": "docker",
        "object": "app:1",
        "digest": "sha256:abc",
        "outcome": "ok",
        "status": 201,
    }
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("one", "status", "action"),
    [
        (scope("GET"), 200, None),
        (scope("PUT"), 400, None),
        (scope("PATCH"), 202, None),
        (scope("GET"), 401, None),  # only asked for credentials
        (scope("GET", (b"authorization",)), 401, "authenticate"),
        (scope("GET", (b"x-nuget-apikey",)), 401, "authenticate"),
        (scope("POST", claimed="ann"), 401, "authenticate"),
        (scope("GET", (b"authorization",), claimed="ann"), 429, "authenticate"),  # not looked at any more
        (scope("GET", (b"authorization",)), 429, None),  # too many requests of another kind
        (scope("GET", principal=CI), 403, "read"),
        (scope("POST", principal=CI), 403, "write"),
        (scope("DELETE", principal=CI), 403, "delete"),
        (noted(), 500, "write"),
        (noted(principal=CI), 401, "write"),
    ],
)
def test_what_is_written(log: Log, path: Path, one: dict[str, Any], status: int, action: str | None) -> None:
    log.audit.start()
    log.audit.observe(one, "docker", status)
    found = written(log, path)
    assert [line["action"] for line in found] == ([] if action is None else [action])
    for line in found:
        assert line["outcome"] == ("denied" if status in {401, 403, 429} else "failed")


def test_reads_when_asked_for(path: Path) -> None:
    log = Log(AuditFile(path, 1 << 20, 3), reads=True)
    log.audit.start()
    log.audit.observe(scope("GET", principal=CI), "docker", 200)
    log.audit.observe(scope("GET"), "system", 200)
    log.audit.observe(scope("PATCH"), "docker", 202)
    (line,) = written(log, path)
    assert (line["action"], line["object"], line["subject"]) == ("read", "/v2/app/manifests/1", "ci")


def test_who_was_not_let_in(log: Log, path: Path) -> None:
    log.audit.start()
    for claimed in ("mallory", "nra_0123", "eyJhbGciOi.eyJ.x", "", "line\nbreak\x00\x1b[31m", "\ud800"):
        log.audit.observe(scope("GET", (b"authorization",), claimed=claimed), "docker", 401)
    log.audit.observe(scope("GET", (b"authorization",), claimed="ci", principal=CI), "docker", 403)
    assert [line["subject"] for line in written(log, path)] == [
        "mallory",
        "***",
        "***",
        ANONYMOUS.name,
        "line\nbreak\x00\x1b[31m",
        "\\ud800",
        "ci",
    ]
    data = path.read_bytes()
    assert b"secret" not in data
    assert data.count(b"\n") == 7
    assert not any(byte < 32 and byte != 10 for byte in data)


def test_a_line_is_never_longer_than_a_pipe_takes_at_once(log: Log, path: Path) -> None:
    log.audit.start()
    long = scope(principal=Principal("\x01" * 5000, "password", "write"))
    note(long, "write", "\x01" * 5000, "\x01" * 5000, "\x01" * 5000)
    log.audit.observe(long, "docker", 201)
    assert len(written(log, path)) == 1
    assert path.stat().st_size <= audit.LONGEST_LINE


def test_what_the_queue_has_no_room_for_is_counted(
    log: Log, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "QUEUE_LENGTH", 10)
    for _ in range(25):
        log.audit.observe(noted(), "docker", 201)
    log.audit.start()
    assert len(written(log, path)) == 10
    assert log.count("dropped") == 15


def test_everything_is_written_at_the_end(log: Log, path: Path) -> None:
    log.audit.start()
    for _ in range(2000):
        log.audit.observe(noted(), "docker", 201)
    assert len(written(log, path)) == 2000


def test_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(None, stdout=True)
    log.audit.start()
    log.audit.observe(noted(), "docker", 201)
    log.audit.close()
    out, err = capfd.readouterr()
    assert orjson.loads(out)["object"] == "app:1"
    assert err == ""


# -- the file ---------------------------------------------------------------------------------------------


def test_rotation(path: Path) -> None:
    file = AuditFile(path, 100, 2)
    for number in range(8):
        file.append(b"%030d\n%030d\n" % (number, number))
    file.close()
    assert sorted(one.name for one in path.parent.iterdir()) == [
        "audit.jsonl",
        "audit.jsonl.1",
        "audit.jsonl.2",
        "audit.jsonl.lock",
    ]
    found = [int(Path(f"{path}{end}").read_bytes().split()[0]) for end in ("", ".1", ".2")]
    assert found == [7, 6, 5]


def test_nothing_kept(path: Path) -> None:
    file = AuditFile(path, 100, 0)
    for _ in range(3):
        file.append(b"x" * 90 + b"\n")
    file.close()
    assert path.stat().st_size == 91
    assert len(list(path.parent.iterdir())) == 2


def test_a_file_that_another_rotated_is_opened_anew(path: Path) -> None:
    one, other = AuditFile(path, 100, 5), AuditFile(path, 100, 5)
    one.append(b"a" * 60 + b"\n")
    other.append(b"b" * 60 + b"\n")
    one.append(b"c\n")
    path.rename(path.with_suffix(".moved"))  # as logrotate does
    one.append(b"d\n")
    path.unlink()
    other.append(b"e\n")
    assert path.read_bytes() == b"e\n"
    assert path.with_suffix(".moved").read_bytes() == b"b" * 60 + b"\nc\n"
    assert path.with_suffix(".jsonl.1").read_bytes() == b"a" * 60 + b"\n"
    one.close()
    other.close()


def test_half_a_line_of_a_killed_process_is_cut_off(path: Path) -> None:
    path.write_bytes(b'{"whole":1}\n{"half":')
    file = AuditFile(path, 1000, 1)
    file.append(b'{"next":1}\n')
    file.close()
    assert path.read_bytes() == b'{"whole":1}\n{"next":1}\n'


def test_a_full_disk_leaves_whole_lines_and_is_counted(
    log: Log, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log.audit.start()
    real, room = os.write, [100]

    def write(fd: int, data: bytes | memoryview) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        done = real(fd, data[: room[0]])
        room[0] -= done
        return done

    monkeypatch.setattr(audit.os, "write", write)
    log.audit.observe(noted(), "docker", 201)
    wait_until(lambda: log.count("failed") == 1, "the failure")
    room[0] = 100_000
    log.audit.observe(noted(), "docker", 202)
    assert [line["status"] for line in written(log, path)] == [202]
    assert "No space left" in caplog.text


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    file = AuditFile(tmp_path / "none" / "audit.jsonl", 1000, 1)
    with pytest.raises(StorageFailed, match=r"audit\.jsonl"):
        file.append(b"x\n")


def test_lines_of_several_processes_are_whole_and_all_there(path: Path) -> None:
    def work(number: int) -> None:
        file = AuditFile(path, 20_000, 1000)
        for count in range(300):
            file.append(orjson.dumps({"process": number, "count": count, "fill": "x" * 50}) + b"\n")

    children = [_forked(work, number) for number in range(4)]
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    files = [one for one in path.parent.iterdir() if one.suffix != ".lock"]
    assert len(files) > 3
    assert all(one.stat().st_size <= 20_000 for one in files)
    found = sorted((line["process"], line["count"]) for one in files for line in lines(one))
    assert found == [(number, count) for number in range(4) for count in range(300)]


def _forked(work: Callable[[int], None], number: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work(number)
        os._exit(0)
    finally:
        os._exit(1)
