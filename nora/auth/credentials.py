"""Credentials as clients send them: the one parser, from the headers of a request to a small value.

Authorization: Basic (RFC 7617), Bearer (RFC 6750), or a token alone, as some package managers send it.
X-NuGet-ApiKey: a token. Who reads the value decides what it is good for; nothing is looked up here.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from nora.errors import Unauthenticated

LONGEST_HEADER = 16 * 1024
"""Bytes; a workload identity token of GitHub has some 2,000."""

_CHARACTERS_OF_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
"""token68 of RFC 9110, 11.2."""
_control_character = re.compile(r"[\x00-\x1f\x7f-\x9f]").search


@dataclass(frozen=True, slots=True)
class Basic:
    """A user and a password: of an account, or any name with a token."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bare:
    """A token without a scheme, or in a header of its own."""

    token: str = field(repr=False)


Credentials = Basic | Bearer | Bare


def find_header(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The value that says who is asking; None when nothing does.

    Raises Unauthenticated when there are several, or when it is too long to be any.
    """
    authorization = key = None
    for name, value in headers:
        if name == b"authorization":
            if authorization is not None:
                raise Unauthenticated("there is more than one Authorization header")
            authorization = value
        elif name == b"x-nuget-apikey":
            key = value
    found = authorization or key
    if found is not None and len(found) > LONGEST_HEADER:
        raise Unauthenticated("the credentials are too long")
    return found or None


def parse_credentials(value: bytes) -> Credentials | None:
    """The credentials in what `find_header` found; None when a client says that it has none (`Basic Og==`).

    Raises Unauthenticated, and nothing else, for whatever cannot be read. Its message repeats no credentials.
    """
    scheme, _, rest = value.strip(b" \t").partition(b" ")
    rest = rest.lstrip(b" ")
    match scheme.lower():
        case b"basic":
            return _parse_basic(rest)
        case b"bearer":
            return Bearer(_parse_token(rest, "the Bearer token"))
        case b"":
            return None
    if rest:
        raise Unauthenticated("the Authorization scheme is none of Basic and Bearer")
    return Bare(_parse_token(scheme, "the token"))


def _parse_token(raw: bytes, what: str) -> str:
    text = raw.decode("latin-1")
    if not _CHARACTERS_OF_TOKEN.fullmatch(text):
        raise Unauthenticated(f"{what} has characters that no token has")
    return text


def _parse_basic(encoded: bytes) -> Basic | None:
    try:
        text = binascii.a2b_base64(encoded, strict_mode=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Unauthenticated("the Basic credentials are not base64 of UTF-8") from None
    user, colon, password = text.partition(":")  # a user's name has no colon, a password may
    if not colon:
        raise Unauthenticated("the Basic credentials have no colon")
    if _control_character(text):  # RFC 7617, 2
        raise Unauthenticated("the Basic credentials have a control character")
    return Basic(user, password) if user or password else None
