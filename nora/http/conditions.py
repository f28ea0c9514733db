"""Conditions of requests (RFC 9110, 13): decided by a strong ETag, and by when something was changed last."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate
from typing import NamedTuple

from blacksheep import Request

from nora.errors import PreconditionFailed
from nora.model import Digest
from nora.outbound.headers import parse_date

_Field = tuple[bytes, bytes]


class Conditions(NamedTuple):
    """What a request asks for only in part, or only under conditions."""

    range: bytes | None = None
    named: tuple[_Field, ...] = ()
    """The fields that begin with `if-`."""

    def get(self, name: bytes) -> bytes | None:
        """The value of one of them; of several that of the last."""
        found = None
        for field, value in self.named:
            if field == name:
                found = value
        return found

    def is_unchanged(self, etag: bytes, modified: float | None = None) -> bool:
        """Whether the client has what this is: then 304 is the answer. `modified` is in seconds since the
        epoch; None: nobody knows. Raises PreconditionFailed."""
        if not self.named:
            return False
        self._require(etag, modified)
        none_match = self.get(b"if-none-match")
        if none_match is not None:
            return matches(none_match, etag)
        since = _date(self.get(b"if-modified-since"))
        return since is not None and modified is not None and int(modified) <= since

    def require_for_change(self, etag: bytes, modified: float | None = None) -> None:
        """That something may be changed which has this ETag; empty: there is nothing, which is no state that
        a condition names. Raises PreconditionFailed."""
        none_match = self.get(b"if-none-match")
        if etag:
            self._require(etag, modified)
            if none_match is not None and matches(none_match, etag):
                raise PreconditionFailed(f"this is there already, with the ETag {etag.decode('latin-1')}")
        elif self.get(b"if-match") is not None:
            raise PreconditionFailed("there is nothing here that If-Match could name")

    def expected(self, digest: str) -> str | None:
        """What has to be there still when a change is made that may be made to these bytes (empty: to
        nothing), as `Catalog.put_file` has it."""
        if not self.named:
            return None
        return "*" if self.get(b"if-match") == b"*" else digest

    def allow_range(self, etag: bytes, modified: float | None = None) -> bool:
        """Whether a part may be sent: the client has the rest of the same (13.1.5)."""
        if_range = self.get(b"if-range")
        if if_range is None or if_range == etag:
            return True
        return modified is not None and if_range == http_date(modified)

    def _require(self, etag: bytes, modified: float | None) -> None:
        if_match = self.get(b"if-match")
        if if_match is not None:
            if not matches(if_match, etag, strongly=True):
                raise PreconditionFailed(f"this has the ETag {etag.decode('latin-1')}")
            return
        since = _date(self.get(b"if-unmodified-since"))
        if since is not None and modified is not None and int(modified) > since:
            raise PreconditionFailed(f"this was changed at {http_date(modified).decode()}")


_UNCONDITIONAL = Conditions()


def conditions_of(headers: Iterable[_Field]) -> Conditions:
    """Those among the header fields of a request."""
    wanted_range = None
    named: list[_Field] = []
    for name, value in headers:
        if name == b"range":
            wanted_range = value
        elif name.startswith(b"if-"):
            named.append((name, value))
    return Conditions(wanted_range, tuple(named)) if named or wanted_range else _UNCONDITIONAL


def is_unchanged(request: Request, etag: bytes, modified: float | None = None) -> bool:
    """See Conditions."""
    return conditions_of(request.headers.values or ()).is_unchanged(etag, modified)


def etag_of(digest: Digest) -> bytes:
    """The strong validator of bytes: their digest, without its algorithm."""
    return b'"%b"' % digest.encoded.encode()


def matches(listed: bytes, etag: bytes, *, strongly: bool = False) -> bool:
    """Whether a list has this tag, by weak comparison, or strongly: then no weak one is it (8.8.3.2)."""
    if listed in (etag, b"*"):
        return True
    tags = (tag.strip() for tag in listed.split(b","))
    return any((tag if strongly else tag.removeprefix(b"W/")) == etag for tag in tags)


def http_date(seconds: float) -> bytes:
    """As header fields have it (5.6.7)."""
    return formatdate(int(seconds), usegmt=True).encode()


def _date(value: bytes | None) -> float | None:
    return None if value is None else parse_date(value.decode("latin-1"))
