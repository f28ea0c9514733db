"""Every error that NORA raises on purpose.

The domain raises these; a format renders them in its own dialect; `nora.http.errors` is the only place
that catches them on the way to a client.

    NoraError
    ├── StartError                     the process cannot start (never reaches a client)
    │   ├── ConfigError                a setting is wrong: names the key, the value and what to do
    │   └── CatalogUnusable            a newer schema, damage, an unsuitable file system or SQLite
    ├── BadRequest            400      the request cannot be understood
    │   ├── InvalidName                a repository, image or package name
    │   ├── InvalidTag
    │   ├── InvalidDigest              malformed, or of an unknown algorithm
    │   ├── DigestMismatch             the bytes are not those that were announced
    │   ├── SizeMismatch               more or fewer bytes than were announced
    │   ├── InvalidManifest
    │   ├── InvalidPackageFile         an archive … is not what its format demands
    │   ├── MissingReferences          a manifest needs content that is not there
    │   └── InvalidPage                `n` or `last` of a listing
    ├── Unauthenticated       401
    ├── Denied                403
    │   ├── Blocked                    an administrator has blocked it
    │   └── QuotaExceeded              the repository would hold more than it may
    ├── NotFound              404      there is no such thing (never: a read failed)
    │   ├── PackageNotFound            an image, project, crate …
    │   ├── VersionNotFound            a manifest, release …
    │   ├── BlobNotFound
    │   └── UploadNotFound
    ├── MethodNotAllowed      405
    ├── NotAcceptable         406      nothing that the client would take can be had
    ├── RequestTimeout        408      the client stopped sending
    ├── Conflict              409      it is there already, and may not be changed
    │   └── PackageChanged             since it was looked at: look again
    ├── PreconditionFailed    412
    ├── TooLarge              413
    ├── MediaNotSupported     415      the body is coded in a way that is not kept
    ├── RangeNotSatisfiable   416
    │   └── UploadOffsetMismatch       a chunk that does not continue the upload
    ├── Misdirected           421      the server is asked under a name that is not its own
    ├── TooManyRequests       429
    ├── ClientGone            499      nobody is left to answer
    ├── CodingNotSupported    501      the body is coded in a way that is not understood
    ├── StorageFailed         500      the disk, the bucket or the catalog failed
    │   └── StorageBusy       503      it may work in a moment
    ├── UpstreamFailed        502      somebody whom NORA asked gave no answer that can be used
    │   ├── UpstreamUnavailable 503    cannot be reached, or answers 5xx
    │   │   └── UpstreamLimited        asked too often (429)
    │   ├── UpstreamRefused            does not let NORA in (401, 403)
    │   └── UpstreamTimeout   504      did not answer in time
    └── StorageFull           507
"""

from __future__ import annotations

from typing import ClassVar

MOST_QUOTED = 200
"""Characters."""


def quoted(what: object) -> str:
    """A text that came in, or the message of a library about one, as messages quote it: the start of it."""
    text = str(what)
    return text if len(text) <= MOST_QUOTED else f"{text[: MOST_QUOTED - 1]}…"


class NoraError(Exception):
    """Base of all errors that NORA raises on purpose. `str(error)` is fit to be shown to a client."""

    status: ClassVar[int] = 500

    uncertain: bool = False
    """Whether what was asked for may be done all the same: its commit failed, and a log that is read again
    after a restart may hold it."""


class StartError(NoraError):
    """The process cannot start; the message says why and what to do."""


class ConfigError(StartError):
    """A setting has a bad name or value."""


class CatalogUnusable(StartError):
    """The catalog cannot be opened: newer schema, damage, unsuitable file system or SQLite."""


class BadRequest(NoraError):
    """The request cannot be understood; the message says what was expected."""

    status = 400


class InvalidName(BadRequest):
    """A name does not follow its format's grammar."""


class InvalidTag(BadRequest):
    """A tag does not follow its format's grammar."""


class InvalidDigest(BadRequest):
    """A digest is malformed or of an algorithm that is not supported."""


class DigestMismatch(BadRequest):
    """The bytes received do not have the digest that was announced."""


class SizeMismatch(BadRequest):
    """The number of bytes received is not the number that was announced."""


class InvalidManifest(BadRequest):
    """A document that describes content is not valid."""


class InvalidPackageFile(BadRequest):
    """A package file is damaged, dangerous to unpack, or not what its name says."""


class MissingReferences(BadRequest):
    """A document refers to content that is not in the package."""

    def __init__(self, digests: tuple[str, ...]) -> None:
        super().__init__(f"unknown content: {', '.join(digests[:8])}{' …' if len(digests) > 8 else ''}")
        self.digests = digests


class InvalidPage(BadRequest):
    """The page parameters of a listing are not valid."""


class Unauthenticated(NoraError):
    """Who is asking is not known, and must be. `challenges` go into `WWW-Authenticate`, in this order."""

    status = 401

    def __init__(self, message: str, challenges: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.challenges = challenges


class Denied(NoraError):
    """Who is asking may not do this. `challenges` say how more could be asked for, as in Unauthenticated."""

    status = 403

    def __init__(self, message: str, challenges: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.challenges = challenges


class Blocked(Denied):
    """An administrator has said that this is neither served, fetched nor pushed here."""


class QuotaExceeded(Denied):
    """The repository would hold more than it may. Trying again does not help, so it is no 507."""


class NotFound(NoraError):
    """There is no such thing. Never raised because a read failed."""

    status = 404


class PackageNotFound(NotFound):
    """No such package (image, project, crate …)."""


class VersionNotFound(NotFound):
    """No such version (manifest, release …) or tag."""


class BlobNotFound(NotFound):
    """No such blob in the package."""


class UploadNotFound(NotFound):
    """No such upload session in the package: finished, cancelled, expired or never opened."""


class CodingNotSupported(NoraError):
    """The body comes in a transfer coding that is not understood (RFC 9112, 6.1)."""

    status = 501


class MethodNotAllowed(NoraError):
    """The resource exists, the method does not apply to it. `allow` lists those that do."""

    status = 405

    def __init__(self, allow: tuple[str, ...], message: str | None = None) -> None:
        super().__init__(message or f"method not allowed here; allowed: {', '.join(allow) or 'none'}")
        self.allow = allow


class NotAcceptable(NoraError):
    """There is no representation that the client takes; `offers` lists the media types that there are."""

    status = 406

    def __init__(self, offers: tuple[str, ...]) -> None:
        super().__init__(f"nothing acceptable; there are: {', '.join(offers)}")
        self.offers = offers


class RequestTimeout(NoraError):
    """The client did not send its body in time."""

    status = 408


class Conflict(NoraError):
    """What is there may not be changed this way."""

    status = 409


class PackageChanged(Conflict):
    """A package is not as it was when somebody looked at it: whoever decided by that looks again."""


class PreconditionFailed(NoraError):
    """An `If-Match` or `If-None-Match` condition does not hold."""

    status = 412


class TooLarge(NoraError):
    """The body is larger than `limit` bytes."""

    status = 413

    def __init__(self, limit: int, what: str = "body") -> None:
        super().__init__(f"{what} is larger than the limit of {limit} bytes")
        self.limit = limit


class MediaNotSupported(NoraError):
    """The content comes in a type or a coding that is not taken (RFC 9110, 15.5.16)."""

    status = 415


class RangeNotSatisfiable(NoraError):
    """The range lies outside the representation of `size` bytes."""

    status = 416

    def __init__(self, size: int, message: str | None = None) -> None:
        super().__init__(message or f"range is outside of {size} bytes")
        self.size = size


class UploadOffsetMismatch(RangeNotSatisfiable):
    """A chunk does not start where the upload stands (`size` bytes); the session is unharmed."""


class Misdirected(NoraError):
    """The server is asked under a name that is not its own (RFC 9110, 15.5.20)."""

    status = 421


class TooManyRequests(NoraError):
    """A limit is reached; `retry_after` is in seconds."""

    status = 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClientGone(NoraError):
    """The client left before its request was complete. Nobody reads the answer."""

    status = 499


class StorageFailed(NoraError):
    """The disk, the bucket or the catalog failed. Never reported as an absence."""

    status = 500


class StorageBusy(StorageFailed):
    """The storage cannot answer now and may in a moment."""

    status = 503


class UpstreamFailed(NoraError):
    """Somebody whom NORA asked (an upstream, an issuer) gave no answer that can be used. Never an absence."""

    status = 502

    transient: bool = False
    """Whether the same request may well be answered in a moment, and was not tried again yet."""
    is_unreachable: bool = False
    """Whether no connection came about, whatever was to be asked."""
    origin: str = ""
    """Who failed (see `nora.outbound.origin`), which after a redirect is not who was asked. Empty: nobody."""
    source: str = ""
    """Which of the configured sources was asked, for the log; empty where it was none of them."""


class UpstreamUnavailable(UpstreamFailed):
    """Somebody whom NORA asked cannot be reached, or answers 5xx; `retry_after` is in seconds."""

    status = 503

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = 5 if retry_after is None else retry_after
        self.is_told = retry_after is not None
        """Whether somebody said how long to wait."""


class UpstreamLimited(UpstreamUnavailable):
    """Somebody whom NORA asked was asked too often (429). To clients it is 503, where their protocol has no
    way to say more."""


class UpstreamRefused(UpstreamFailed):
    """Somebody whom NORA asked does not let it in, with the credentials that there are."""


class UpstreamTimeout(UpstreamFailed):
    """Somebody whom NORA asked did not answer in time."""

    status = 504


class StorageFull(NoraError):
    """There is no room for more bytes. Reads and deletes go on."""

    status = 507
