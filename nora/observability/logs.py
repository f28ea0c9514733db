"""Log lines: text or JSON, on standard error or in a file, with the id of the request that they belong to.

`info` tells the life of the server and what failed; it has no line for each request, which the access log
(nora.observability.access_log) has at any level. `debug` has one when a request is answered, `trace` another
with the headers that say how its client speaks. None ever has a query string, a credential or a body: those
may hold secrets.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, Literal

import orjson

from nora.errors import StartError

TRACE = 5
LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_NAMES = {number: name for name, number in LEVELS.items()} | {logging.CRITICAL: "error"}

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that this task works for; empty outside of requests."""


def configure(level: str, shape: Literal["text", "json"], file: Path | None = None) -> None:
    """Send every log line of this process to standard error, or to the end of a file. Libraries speak up from
    `warn` on, or when NORA itself is at `debug`. Raises StartError when the file cannot be written."""
    number = LEVELS[level]
    handler = logging.StreamHandler(sys.stderr) if file is None else _file_handler(file)
    handler.setFormatter(JsonFormatter() if shape == "json" else TextFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number if number > logging.INFO else logging.WARNING)
    logging.addLevelName(TRACE, "TRACE")
    logging.getLogger("nora").setLevel(number)
    logging.getLogger("nora.access").setLevel(min(number, logging.INFO))  # its lines are asked for apart
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def _file_handler(file: Path) -> logging.Handler:
    """It opens the file anew when that was moved away, as logrotate does."""
    try:
        return WatchedFileHandler(file, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise StartError(f'log.file = "{file}": it cannot be written: {error.strerror}') from error


def server_config(level: str) -> dict[str, Any]:
    """The logging configuration to give to the server, which insists on one: its lines pass through ours,
    and its chatter about each start is for `debug`."""
    number = logging.DEBUG if LEVELS[level] <= logging.DEBUG else logging.ERROR
    names = {"_granian": number, "granian.access": logging.ERROR}
    return {
        "formatters": {},
        "handlers": {},
        "loggers": {
            name: {"handlers": [], "level": value, "propagate": True} for name, value in names.items()
        },
    }


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO  nora.server: message [request-id]`."""

    def format(self, record: logging.LogRecord) -> str:
        request_id = REQUEST_ID.get()
        line = f"{_time(record)} {_level(record).upper():5} {record.name}: {_one_line(record.getMessage())}"
        if request_id:
            line += f" [{request_id}]"
        trace = _trace(self, record)
        return f"{line}\n{trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message; request_id and traceback where they apply."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, str | int | float] = {
            "time": _time(record),
            "level": _level(record),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        if fields := getattr(record, "fields", None):
            line |= fields
        if trace := _trace(self, record):
            line["traceback"] = trace
        return orjson.dumps(_valid(line)).decode()


def _valid(line: dict[str, str | int | float]) -> dict[str, str | int | float]:
    """Without lone surrogates, which file names may have and JSON may not."""
    return {
        key: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for key, value in line.items()
    }


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _level(record: logging.LogRecord) -> str:
    return _NAMES.get(record.levelno) or record.levelname.lower()


def _one_line(message: str) -> str:
    """A message cannot forge a line of its own: control characters are escaped."""
    return (
        message if message.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in message)
    )


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
