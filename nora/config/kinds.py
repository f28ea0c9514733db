"""The kinds of values that a setting may have: how one is read, written and described.

A value arrives as TOML gives it, or as the text of an environment variable; both are read by the same
function, so `port = 4000`, `port = "4000"` and `NORA_PORT=4000` mean the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_network
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nora.errors import quoted
from nora.model import ROLES, Role

TtlSeconds = float
"""How long a copy is fresh, for all formats: 0 always revalidate, more: seconds, `math.inf` for ever."""

MIB = 2**20
MINUTE = 60
HOUR = 3600
DAY = 24 * HOUR
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
"""Values of `server.host` that nobody else than this machine reaches."""
LARGEST_SIZE = 2**59
"""Far beyond any disk, and within 64 bits."""
LONGEST_DURATION = 10_000 * DAY


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is read and written. `read` raises ValueError saying what was expected."""

    expects: str
    """As it stands in documents: `seconds, or 30s, 5m, 7d`."""
    read: Callable[[object], object]
    write: Callable[[object], object] = lambda value: value
    """To what TOML can hold."""
    secret: bool = False
    """Whether a value may hold credentials: no message shows any of it."""


def _text(raw: object) -> str:
    if isinstance(raw, str) and raw and raw.isprintable():
        return raw
    raise ValueError("expected a printable text")


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in ("true", "1", "yes", "on"):
        return True
    if isinstance(raw, str) and raw.lower() in ("false", "0", "no", "off"):
        return False
    raise ValueError("expected true or false")


def _integer(raw: object) -> int | None:
    text = _digits(raw)
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None


def integer(minimum: int, maximum: int | None = None) -> Kind:
    """A whole number of a range."""
    words = f"a whole number from {minimum}" + ("" if maximum is None else f" to {maximum}")

    def read(raw: object) -> int:
        number = _integer(raw)
        if number is None or number < minimum or (maximum is not None and number > maximum):
            raise ValueError(f"expected {words}")
        return number

    return Kind(words, read)


def choice(*names: str) -> Kind:
    """One of some words, whatever their case."""
    words = " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))

    def read(raw: object) -> str:
        if isinstance(raw, str) and raw.lower() in names:
            return raw.lower()
        raise ValueError(f"expected {words}")

    return Kind(words, read)


_FACTORS = {
    "": 1, "b": 1,
    "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
}  # fmt: skip


def parse_size(raw: object) -> int:
    """Bytes of `1024`, `"16MiB"` (binary) or `"2GB"` (decimal)."""
    match = re.fullmatch(r"([0-9]{1,18}) ?([A-Za-z]{0,3})", _digits(raw))
    if match is not None and match[2].lower() in _FACTORS:
        count = int(match[1]) * _FACTORS[match[2].lower()]
        if count <= LARGEST_SIZE:
            return count
    raise ValueError('expected bytes, or a size such as "512KiB", "16MiB" or "2GB"')


def _digits(raw: object) -> str:
    """A number of TOML as the text that it would be in an environment variable."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw)
    return raw.strip() if isinstance(raw, str) else ""


def render_size(count: object) -> object:
    """The shortest exact way to write a number of bytes."""
    assert isinstance(count, int)
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count and count % factor == 0:
            return f"{count // factor}{unit}"
    return count


def size(minimum: int = 0) -> Kind:
    """A number of bytes."""

    def read(raw: object) -> int:
        count = parse_size(raw)
        if count < minimum:
            raise ValueError(f"expected at least {render_size(minimum)}")
        return count

    return Kind('bytes, or `"16MiB"`, `"2GB"`', read, render_size)


_SECONDS = {"s": 1, "m": 60, "h": HOUR, "d": DAY, "w": 7 * DAY}


def parse_duration(raw: object) -> int:
    """Seconds of `30`, `"30s"`, `"5m"`, `"12h"`, `"7d"`, `"1w2d"`."""
    text = _digits(raw).lower()
    text = f"{text}s" if text.isdecimal() else text
    if re.fullmatch(r"([0-9]{1,9}[smhdw])+", text):
        seconds = sum(int(count) * _SECONDS[unit] for count, unit in re.findall(r"([0-9]+)([smhdw])", text))
        if seconds <= LONGEST_DURATION:
            return seconds
    raise ValueError('expected seconds, or a time such as "30s", "5m", "12h", "7d"')


def render_duration(seconds: object) -> object:
    """The shortest exact way to write a number of seconds."""
    assert isinstance(seconds, int)
    for unit, length in (("d", DAY), ("h", HOUR), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def duration(minimum: int = 0) -> Kind:
    """A number of seconds."""

    def read(raw: object) -> int:
        seconds = parse_duration(raw)
        if seconds < minimum:
            raise ValueError(f"expected at least {minimum} seconds")
        return seconds

    return Kind('seconds, or `"30s"`, `"5m"`, `"7d"`', read, render_duration)


def _ttl(raw: object) -> TtlSeconds:
    if isinstance(raw, str) and raw.strip().lower() == "forever":
        return inf
    try:
        return parse_duration(raw)
    except ValueError:
        raise ValueError(
            'expected 0 (always revalidate), seconds, a time such as "7d", or "forever"'
        ) from None


def _render_ttl(seconds: object) -> object:
    assert isinstance(seconds, int | float)
    return "forever" if seconds == inf else render_duration(int(seconds))


def _path(raw: object) -> Path:
    if isinstance(raw, str) and raw and "\0" not in raw:
        return Path(raw)
    raise ValueError("expected a path")


def parse_url(raw: object) -> str:
    """An absolute http or https URL without a trailing slash."""
    try:
        parts = urlsplit(raw if isinstance(raw, str) else "")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not isinstance(raw, str) or not raw.isprintable() or " " in raw:
        raise ValueError('expected a URL such as "https://registry.example.com"')
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("expected a URL without user, query or fragment")
    return raw.rstrip("/")


_LIKE_LOCAL = ("local", "filesystem")


def _storage(raw: object) -> str:
    text = raw.lower() if isinstance(raw, str) else ""
    if text == "gcs":
        raise ValueError(
            "expected local or s3: Google Cloud Storage is asked by its S3 interface. "
            'Set mode = "s3", s3_url = "https://storage.googleapis.com", s3_region = "auto" '
            "and the two parts of an HMAC key"
        )
    if text not in (*_LIKE_LOCAL, "s3"):
        raise ValueError("expected local or s3")
    return "local" if text in _LIKE_LOCAL else text


def _bucket(raw: object) -> str:
    """A name that every S3 server takes."""
    if isinstance(raw, str) and _BUCKET.fullmatch(raw) and ".." not in raw:
        return raw
    raise ValueError("expected 3 to 63 lower-case letters, digits, dots and hyphens")


def _prefix(raw: object) -> str:
    """How keys begin; with a slash at the end, unless it is empty."""
    text = raw.strip("/") if isinstance(raw, str) else "?"
    if _PREFIX.fullmatch(text) and not {".", ".."} & set(text.split("/")):
        return f"{text}/" if text else ""
    raise ValueError('expected the beginning of keys, such as "registries/internal/"')


_PREFIX = re.compile(r"[A-Za-z0-9._/-]{0,200}", re.ASCII)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


def _optional_url(raw: object) -> str | None:
    return None if raw == "" else parse_url(raw)


def _workers(raw: object) -> int | str:
    if isinstance(raw, str) and raw.lower() == "auto":
        return "auto"
    number = _integer(raw)
    if number is None or not 1 <= number <= 256:
        raise ValueError('expected a number of processes from 1 to 256, or "auto" for one per core')
    return number


def _switch(raw: object) -> bool | str:
    if isinstance(raw, str) and raw.lower() == "auto":
        return "auto"
    try:
        return _boolean(raw)
    except ValueError:
        raise ValueError("expected true, false or auto") from None


_HOST = re.compile(r"[a-z0-9*]([a-z0-9.*:-]{0,253}[a-z0-9*])?", re.ASCII)


def _hosts(raw: object) -> tuple[str, ...]:
    """Names or addresses without a port, in lower case; `*` for all where the value is true."""
    try:
        return ("*",) if _boolean(raw) else ()
    except ValueError:
        hosts = tuple(text.lower() for text in _texts(raw))
    if not all(map(_HOST.fullmatch, hosts)):
        raise ValueError('expected names of hosts, such as "files.example.com" or "*.example.com"')
    return hosts


def _texts(raw: object) -> tuple[str, ...]:
    entries: Sequence[object] = (
        raw.split(",") if isinstance(raw, str) else raw if isinstance(raw, list) else [0]
    )
    if not all(isinstance(entry, str) and entry.strip() for entry in entries):
        raise ValueError("expected a list of texts (in an environment variable: separated by commas)")
    return tuple(str(entry).strip() for entry in entries)


def _render_texts(value: object) -> object:
    assert isinstance(value, tuple)
    return [*value]


def _networks(raw: object) -> tuple[str, ...]:
    texts = _texts(raw) if raw not in ("", []) else ()
    try:
        for text in texts:
            ip_network(text, strict=False)
    except ValueError:
        raise ValueError('expected addresses and networks such as "127.0.0.1", "10.0.0.0/8"') from None
    return texts


def _roles(raw: object) -> tuple[tuple[str, Role], ...]:
    if isinstance(raw, str):
        raw = dict(entry.strip().rpartition("=")[::2] for entry in raw.split(","))
    if not isinstance(raw, dict) or not all(
        name and isinstance(role, str) and role in ROLES for name, role in raw.items()
    ):
        raise ValueError('expected { alice = "read" }, or alice=read,…; the roles are read, write and admin')
    return tuple(raw.items())


def _render_roles(value: object) -> object:
    assert isinstance(value, tuple)
    return dict(value)


def _patterns(raw: object) -> tuple[str, ...]:
    found = _texts(raw) if raw not in ("", []) else ()
    for one in found:
        if not _PATTERN.fullmatch(one):
            raise ValueError(
                'expected patterns of names such as "corp-*", "@corp/*", "com.corp.**", in which only * '
                "(within a segment) and ** are special"
            )
    return found


_PATTERN = re.compile(r"[^\s\x00-\x1f\x7f?\[\]{}()|\\^$,;\"']{1,256}")


TEXT = Kind("text", _text)
BOOLEAN = Kind("true or false", _boolean)
SWITCH = Kind("true, false or `auto`", _switch)
PORT = integer(1, 65535)
TTL = Kind('0 (always revalidate), seconds, `"7d"`, or `"forever"`', _ttl, _render_ttl)
PATH = Kind("path", _path, str)
URL = Kind("URL", parse_url)
STORAGE = Kind("local or s3", _storage)
BUCKET = Kind("name of a bucket", _bucket)
KEY_PREFIX = Kind("beginning of keys", _prefix)
SECRET = Kind("text", _text, secret=True)
OPTIONAL_URL = Kind("URL", _optional_url)
WORKERS = Kind("number or `auto`", _workers)
TEXTS = Kind("list of texts", _texts, _render_texts)
HOSTS = Kind("list of names of hosts, or `true`", _hosts, _render_texts)
NETWORKS = Kind("list of addresses and networks", _networks, _render_texts)
ROLES_OF_USERS = Kind("`{ user = role }`, or `user=role,…`", _roles, _render_roles)
PATTERNS = Kind("list of patterns", _patterns, _render_texts)


def read_tables(raw: object, noun: str, setting: str, most: int) -> list[object]:
    """The tables of a setting such as `[[retention.rules]]`, which a variable has as JSON: what is to be read
    as a `noun` each, at most so many. Raises ValueError."""
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            raise ValueError(f"expected a list of {noun} in JSON") from None
    if not isinstance(raw, list):
        raise ValueError(f"expected tables such as [[{setting}]]")
    if len(raw) > most:
        raise ValueError(f"expected at most {most} {noun}")
    return raw


def read_fields(label: str, table: object, readers: Mapping[str, Callable[[Any], object]]) -> dict[str, Any]:
    """The fields of one of such tables, each by its reader. Raises ValueError, which says where."""
    if not isinstance(table, dict):
        raise ValueError(f"{label}: expected a table")
    found: dict[str, Any] = {}
    for name, value in table.items():
        if name not in readers:
            near = get_close_matches(str(name), readers, n=1)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(readers)}"
            raise ValueError(f"{label}.{quoted(name)}: there is no such field; {hint}")
        try:
            found[name] = readers[name](value)
        except ValueError as error:
            raise ValueError(f"{label}.{name}: {error}") from None
    return found
