"""Where errors become answers: the only place that catches them on the way to a client.

A format renders a NoraError in its own dialect; what HTTP itself wants to see beside (Allow, Retry-After,
Content-Range) is added here, the same for every dialect.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable

import orjson
from blacksheep import Content, Request, Response
from blacksheep.exceptions import HTTPException, MessageAborted

from nora import errors
from nora.errors import NoraError
from nora.observability.logs import REQUEST_ID

_log = logging.getLogger(__name__)

BASIC = 'Basic realm="NORA"'
"""The challenge where none is given."""

RenderError = Callable[[NoraError, Request], Response]


class _Unexpected(NoraError):
    """A fault of NORA itself; the log has what the client is not told."""


class _Refused(NoraError):
    """What BlackSheep refused by itself."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status  # type: ignore[misc]


def is_out_of_descriptors(error: BaseException | None) -> bool:
    """Whether this is because too many files are open, in this process or on the machine."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__
    return False


def no_descriptors() -> errors.StorageBusy:
    """What is told then. It passes when others are served, so it is 503 whoever met it: never an absence, and
    no fault of an upstream."""
    return errors.StorageBusy(
        "too many files are open; if this lasts, raise the limit (ulimit -n, LimitNOFILE)"
    )


def render_json(error: NoraError, request: Request) -> Response:
    """The dialect outside of the formats: `{"error": …, "request_id": …}`."""
    body = orjson.dumps({"error": str(error), "request_id": REQUEST_ID.get()})
    return Response(error.status, None, Content(b"application/json", body))


def render_text(error: NoraError, request: Request) -> Response:
    """The dialect of formats whose clients show their users a line of text."""
    content = Content(b"text/plain; charset=utf-8", f"{error}\n".encode("utf-8", "replace"))
    return Response(error.status, None, content)


def answer(error: Exception, render: RenderError, request: Request) -> Response:
    """The answer to a request that ended with `error`. Faults are logged with their traceback."""
    known = _as_known(error)
    try:
        response = render(known, request)
    except Exception:  # noqa: BLE001 - the client still gets an answer
        _log.exception("an error could not be rendered")
        response = render_json(known, request)
    for name, value in _headers(known):
        if not response.headers.contains(name):
            response.headers.add(name, value)
    return response


def _as_known(error: Exception) -> NoraError:
    if isinstance(error, MessageAborted | errors.ClientGone):
        _log.debug("the client left before its request was complete")
        return error if isinstance(error, NoraError) else errors.ClientGone("the client left")
    if not isinstance(error, errors.StorageBusy) and is_out_of_descriptors(error):
        _log.error("%s: too many files are open", type(error).__name__)
        return no_descriptors()
    if isinstance(error, errors.UpstreamFailed):  # nobody here is at fault: one line, the cause for `debug`
        cause = error.__cause__ if _log.isEnabledFor(logging.DEBUG) else None
        _log.warning("%s%s", f"{error.source}: " if error.source else "", error, exc_info=cause)
        return error
    if isinstance(error, NoraError):
        if error.status >= 500:
            _log.error("%s: %s", type(error).__name__, error, exc_info=error.__cause__)
        return error
    if isinstance(error, HTTPException) and error.status < 500:
        return _Refused(error.status, str(error) or "the request cannot be understood")
    _log.error("unexpected %s", type(error).__name__, exc_info=error)
    return _Unexpected(f"internal server error; the log says more about request {REQUEST_ID.get()}")


def _headers(error: NoraError) -> list[tuple[bytes, bytes]]:
    match error:
        case errors.Unauthenticated():  # RFC 9110, 15.5.2: never without one
            return [(b"www-authenticate", one.encode()) for one in error.challenges or (BASIC,)]
        case errors.Denied():  # RFC 6750, 3.1
            return [(b"www-authenticate", one.encode()) for one in error.challenges]
        case errors.NotAcceptable():  # RFC 9110, 12.5.5: with another Accept there is something
            return [(b"vary", b"Accept")]
        case errors.MethodNotAllowed():  # RFC 9110, 15.5.6
            return [(b"allow", ", ".join(error.allow).encode())]
        case errors.TooManyRequests() | errors.UpstreamUnavailable():  # RFC 6585, 4; RFC 9110, 15.6.4
            return [(b"retry-after", b"%d" % error.retry_after)]
        case errors.StorageBusy():  # RFC 9110, 15.6.4
            return [(b"retry-after", b"1")]
        case errors.UploadOffsetMismatch():
            return []
        case errors.RangeNotSatisfiable():  # RFC 9110, 15.5.17
            return [(b"content-range", b"bytes */%d" % error.size)]
        case errors.RequestTimeout():  # RFC 9110, 15.5.9
            return [(b"connection", b"close")]
    return []
