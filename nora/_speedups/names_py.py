"""Paths, names, tags, digests and keys: the pure Python twin of `names_c`.

Every function takes the text as a client sent it and either accepts it or raises ValueError with a message
fit to be shown (TypeError when it is not a `str` at all). Both twins accept, return and raise the same.
"""

from __future__ import annotations

import re
from unicodedata import is_normalized
from urllib.parse import unquote_to_bytes

PING, CATALOG, TAGS, MANIFEST, BLOB, UPLOADS, UPLOAD, REFERRERS, EXTENSIONS, TOKEN, NOWHERE = range(11)
"""What a path below `/v2` asks for: the first value that `split_oci_path` returns."""

# Every separator stands between two alphanumerics, so `/` is one more of them (distribution-spec, "Pulling
# manifests"). Possessive repeats: nothing is ever tried twice.
_image_name = re.compile(r"[a-z0-9]++(?:(?:__|[._/]|-++)[a-z0-9]++)*+").fullmatch
_tag = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}").fullmatch
_digest = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}").fullmatch
_request_id = re.compile(r"[!-~]{1,128}").fullmatch
_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_bad_escape = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_plain_key = re.compile(
    r"(?!\.{1,2}(?:/|\Z))[ -.0-\[\]-~]{1,255}+(?:/(?!\.{1,2}(?:/|\Z))[ -.0-\[\]-~]{1,255}+)*+"
).fullmatch


def split_oci_path(path: str) -> tuple[int, str, str]:  # noqa: C901 - one branch for each route
    """Split a raw request path (still percent-encoded) into kind, image name and reference.

    Parsed from the right on the reserved words, so that a name may have any depth and hold these words as
    components. Escapes are decoded once, before anything is decided. Name and reference are not checked.
    A path that is no endpoint is NOWHERE (distribution-spec 1.1, "Endpoints"); raises ValueError when it is
    malformed.
    """
    if not isinstance(path, str):
        raise TypeError(f"path must be str, not {type(path).__name__}")
    if not path.isascii():
        raise ValueError("path is not percent-encoded: it holds a character outside of ASCII")
    if "%" in path:
        path = _unquote(path)
    elif not path.isprintable():
        raise ValueError("path holds a control character")
    head, _, last = path.rpartition("/")
    head, _, word = head.rpartition("/")
    if last and head[:4] == "/v2/" and len(head) > 4:
        if word == "manifests":
            return MANIFEST, head[4:], last
        if word == "blobs":
            return (UPLOADS, head[4:], "") if last == "uploads" else (BLOB, head[4:], last)
        if word == "uploads" and head.endswith("/blobs") and len(head) > 10:
            return UPLOAD, head[4:-6], last
        if word == "tags" and last == "list":
            return TAGS, head[4:], ""
        if word == "referrers":
            return REFERRERS, head[4:], last
    return _split_rare(path)


def _split_rare(path: str) -> tuple[int, str, str]:
    """The routes without a name, and those that are asked for seldom."""
    if path in {"/v2/", "/v2"}:
        return PING, "", ""
    if path.startswith("/v2/"):
        if path.endswith("/blobs/uploads/") and len(path) > 19:
            return UPLOADS, path[4:-15], ""
        if path == "/v2/token":
            return TOKEN, "", ""
        if path == "/v2/_catalog":
            return CATALOG, "", ""
        if path == "/v2/_oci/ext/discover":
            return EXTENSIONS, "", ""
        if path.endswith("/_oci/ext/discover") and len(path) > 22:
            return EXTENSIONS, path[4:-18], ""
    return NOWHERE, "", ""


def _unquote(path: str) -> str:
    if _bad_escape(path):
        raise ValueError("path holds a malformed percent-escape")
    try:
        text = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise ValueError("path is not UTF-8 once its escapes are decoded") from None
    if _control(text):
        raise ValueError("path holds a control character")
    return text


def is_image_name(text: str) -> bool:
    """Whether `text` is an image name of at most 255 characters (distribution-spec 1.1, `<name>`)."""
    if not isinstance(text, str):
        raise TypeError(f"name must be str, not {type(text).__name__}")
    return len(text) <= 255 and _image_name(text) is not None


def is_tag(text: str) -> bool:
    """Whether `text` is a tag (distribution-spec 1.1, `<reference>` as a tag)."""
    if not isinstance(text, str):
        raise TypeError(f"tag must be str, not {type(text).__name__}")
    return _tag(text) is not None


def parse_digest(text: str) -> tuple[str, str]:
    """Split a digest into algorithm (sha256 or sha512) and hexadecimal digits; ValueError for any other."""
    if not isinstance(text, str):
        raise TypeError(f"digest must be str, not {type(text).__name__}")
    if _digest(text) is None:
        raise ValueError("digest is not sha256: or sha512: and 64 or 128 lower-case hex digits")
    return text[:6], text[7:]


def is_digest(text: str) -> bool:
    """Whether `parse_digest` accepts `text`."""
    if not isinstance(text, str):
        raise TypeError(f"digest must be str, not {type(text).__name__}")
    return _digest(text) is not None


def check_storage_key(text: str) -> str:
    """Return `text` if it is a relative path that is safe to keep as a key on every platform.

    At most 1024 bytes of UTF-8 in normalisation form C; segments of 1 to 255 bytes between single slashes,
    none of them `.` or `..`; no control character, no backslash. Raises ValueError else.
    """
    if not isinstance(text, str):
        raise TypeError(f"storage key must be str, not {type(text).__name__}")
    if len(text) <= 1024 and _plain_key(text):
        return text
    return _check_any_key(text)


def _check_any_key(text: str) -> str:
    if not text:
        raise ValueError("storage key is empty")
    if len(text) > 1024:
        raise ValueError("storage key is longer than 1024 bytes")
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise ValueError("storage key holds a lone surrogate") from None
    if len(data) > 1024:
        raise ValueError("storage key is longer than 1024 bytes")
    if _control(text):
        raise ValueError("storage key holds a control character")
    if "\\" in text:
        raise ValueError("storage key holds a backslash")
    _check_segments(data.split(b"/"))
    if not is_normalized("NFC", text):
        raise ValueError("storage key is not in Unicode normalisation form C")
    return text


def _check_segments(segments: list[bytes]) -> None:
    if b"" in segments:
        raise ValueError("storage key has an empty segment")
    if b"." in segments or b".." in segments:
        raise ValueError("storage key has a dot segment")
    if max(map(len, segments)) > 255:
        raise ValueError("storage key has a segment longer than 255 bytes")


def is_request_id(text: str) -> bool:
    """Whether a client's `X-Request-ID` may be echoed: 1 to 128 printable ASCII characters, no space."""
    if not isinstance(text, str):
        raise TypeError(f"request id must be str, not {type(text).__name__}")
    return _request_id(text) is not None
