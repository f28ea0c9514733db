"""Log lines."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from nora.errors import StartError
from nora.observability import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the process' logging as it was."""
    names = ["", "nora", "asyncio"]
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    handlers = logging.getLogger().handlers[:]
    yield
    logging.captureWarnings(capture=False)
    logging.getLogger().handlers[:] = handlers
    for logger, level in before:
        logger.setLevel(level)


def test_text_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")
    token = logs.REQUEST_ID.set("abc-1")
    logging.getLogger("nora.test").info("pushed %s", "app")
    logs.REQUEST_ID.reset(token)
    logging.getLogger("nora.test").warning("outside")
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert out == ""
    assert first.endswith("Z INFO  nora.test: pushed app [abc-1]")
    assert second.endswith("Z WARN  nora.test: outside")


def test_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    token = logs.REQUEST_ID.set("abc-1")
    try:
        raise ValueError("odd \udcff name")
    except ValueError:
        logging.getLogger("nora.test").exception('failed "here"')
    logs.REQUEST_ID.reset(token)
    line = orjson.loads(capsys.readouterr().err)
    assert line["level"] == "error"
    assert line["logger"] == "nora.test"
    assert line["message"] == 'failed "here"'
    assert line["request_id"] == "abc-1"
    assert "ValueError: odd \\udcff name" in line["traceback"]


@pytest.mark.parametrize("shape", ["text", "json"])
def test_a_message_cannot_forge_a_line(capsys: pytest.CaptureFixture[str], shape: str) -> None:
    logs.configure("info", shape)  # type: ignore[arg-type]
    logging.getLogger("nora.test").info("path %s", "a\n2026 INFO nora: all is well\x1b[0m")
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("trace", ["trace", "debug", "info", "warn", "error"]),
        ("debug", ["debug", "info", "warn", "error"]),
        ("info", ["info", "warn", "error"]),
        ("warn", ["warn", "error"]),
        ("error", ["error"]),
    ],
)
def test_levels(capsys: pytest.CaptureFixture[str], level: str, seen: list[str]) -> None:
    logs.configure(level, "json")
    for name, number in logs.LEVELS.items():
        logging.getLogger("nora.test").log(number, name)
    lines = capsys.readouterr().err.splitlines()
    assert [orjson.loads(line)["level"] for line in lines] == seen


def test_libraries_are_quiet_at_info(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")
    logging.getLogger("somelib").info("chatter")
    logging.getLogger("somelib").warning("trouble")
    assert capsys.readouterr().err.count("\n") == 1


def test_the_server_writes_through_our_handler(capsys: pytest.CaptureFixture[str]) -> None:
    from granian.log import LogLevels, configure_logging

    logs.configure("info", "json")
    configure_logging(LogLevels.error, logs.server_config("info"))
    logging.getLogger("_granian").error("trouble")
    logging.getLogger("_granian").info("Spawning worker-1")
    (line,) = capsys.readouterr().err.splitlines()
    assert orjson.loads(line)["message"] == "trouble"
    assert sys.stderr.writable()


def test_a_file_is_followed_by_a_new_one_when_it_was_put_aside(tmp_path: Path) -> None:
    file, aside = tmp_path / "nora.log", tmp_path / "nora.log.1"
    logs.configure("info", "text", file)
    logging.getLogger("nora.test").info("one")
    file.rename(aside)
    logging.getLogger("nora.test").info("two \ud800")
    logging.getLogger().handlers[0].close()
    assert aside.read_text().endswith("nora.test: one\n")
    assert "nora.test: two" in file.read_text()


def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"log\.file = .*: it cannot be written: No such file"):
        logs.configure("info", "text", tmp_path / "absent/nora.log")
