"""What an upstream says about a project or a file, one field at a time: each becomes a value that is safe to
store and to show, or is left out. A bad field never costs more than itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, urljoin, urlsplit

MAX_URL = 4096
MAX_TEXT = 2000
"""Characters of a reason, a specifier …"""
MAX_SIZE = 1 << 50

_HEX_DIGITS = {
    "md5": 32,
    "sha1": 40,
    "sha224": 56,
    "sha256": 64,
    "sha384": 96,
    "sha512": 128,
    "sha3_256": 64,
    "sha3_512": 128,
    "blake2b": 128,
    "blake2b_256": 64,
    "blake2s": 64,
}
_HEX = re.compile(r"[0-9a-f]+")
_PLAIN_URL = re.compile(
    r"https?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?/[A-Za-z0-9._~+/-]*"
)
_PLAIN_RELATIVE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~+/-]*")
_RELATIVE_PARTS = re.compile(r"/\.\.?(?:/|$)")
_PLAIN_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}")
# What URLs may contain (RFC 3986), and `%` because what is quoted stays as it is.
_URL_SAFE = "%:/?#[]@!$&'()*+,;=~"


def clean_text(value: object) -> str | None:
    """Text on one line, without control characters, U+2028 and the like; None when nothing is left."""
    return _on_one_line(value[:MAX_TEXT]) if isinstance(value, str) else None


@lru_cache(maxsize=1024)
def _on_one_line(text: str) -> str | None:
    """Remembered, because a page repeats the same few texts."""
    if not text.isprintable():
        text = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(text.split()) or None


def clean_url(text: object, base: str) -> str | None:
    """An absolute http or https address without credentials or fragment; None for everything else."""
    if not isinstance(text, str) or len(text) > MAX_URL:
        return None
    if _PLAIN_URL.fullmatch(text) and not _RELATIVE_PARTS.search(text):
        return text
    if _PLAIN_RELATIVE.fullmatch(text) and not _RELATIVE_PARTS.search(text):
        folder = _folder(base)
        return None if folder is None or len(folder) + len(text) > MAX_URL else folder + text
    return _absolute(text.strip(), base)


@lru_cache(maxsize=16)
def _folder(base: str) -> str | None:
    """What plain relative addresses on a page are appended to."""
    return _absolute("./", base)


def _absolute(text: str, base: str) -> str | None:
    try:
        parts = urlsplit(urljoin(base, text))
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    if not re.fullmatch(r"[A-Za-z0-9.\[\]:_-]+", parts.netloc):
        return None
    try:
        url = quote(parts._replace(fragment="").geturl(), safe=_URL_SAFE)
    except UnicodeEncodeError:  # a lone surrogate
        return None
    return url if len(url) <= MAX_URL else None


def clean_hashes(value: object) -> dict[str, str]:
    """Hashes that can be checked. What is unknown or misshapen is left out."""
    if not isinstance(value, dict):
        return {}
    if len(value) == 1:
        digest = value.get("sha256")
        if isinstance(digest, str) and _SHA256.fullmatch(digest):
            return {"sha256": digest}
    found = {}
    for algorithm, digest in value.items():
        if not isinstance(algorithm, str) or not isinstance(digest, str):
            continue
        algorithm, digest = algorithm.lower(), digest.lower()
        if len(digest) == _HEX_DIGITS.get(algorithm) and _HEX.fullmatch(digest):
            found[algorithm] = digest
    return found


def clean_size(value: object) -> int | None:
    """A number of bytes; None for what is absurd."""
    return value if type(value) is int and 0 <= value <= MAX_SIZE else None


def clean_time(value: object) -> str | None:
    """A time as PEP 700 writes it: UTC, `Z`, at most microseconds. None for what is no time."""
    if not isinstance(value, str) or not 16 <= len(value) <= 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if _PLAIN_TIME.fullmatch(value):
            return value
        utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return utc.isoformat(timespec="microseconds").replace("+00:00", "Z")


def clean_yanked(value: object) -> str | bool:
    """PEP 592 and 691: False, True, or the reason. An empty reason is True."""
    return (clean_text(value) or True) if isinstance(value, str) else value is True


def clean_metadata(value: object) -> dict[str, str] | bool:
    """PEP 658: whether the metadata file is there, and its hashes where they are known."""
    if isinstance(value, dict):
        return clean_hashes(value) or True
    return value is True


def clean_version(value: object) -> str | None:
    """A version as it is listed, normalized or not."""
    return value if isinstance(value, str) and _VERSION.fullmatch(value) else None
