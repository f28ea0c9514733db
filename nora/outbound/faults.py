"""What goes wrong with a request, as NORA's errors. Whoever reads the log sees the cause."""

from __future__ import annotations

import os
import ssl
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from nora.errors import UpstreamFailed, UpstreamLimited, UpstreamTimeout, UpstreamUnavailable, quoted
from nora.outbound.headers import parse_retry_after
from nora.outbound.terms import Headers, host_of, origin

E = TypeVar("E", bound=UpstreamFailed)


def transient(error: E, url: str) -> E:
    """An error of whoever is at `url` that may be gone in a moment."""
    error.transient = True
    error.origin = origin(url)
    return error


def _unreachable(error: E, url: str) -> E:
    """An error of whoever is at `url`, to whom there is no connection."""
    error.is_unreachable = True
    return transient(error, url)


def refusal(status: int, headers: Headers, url: str) -> UpstreamFailed | None:
    """The error that a status is, where it means that nobody answered what was asked: 429 and 5xx."""
    if status != 429 and status < 500:
        return None
    kind = UpstreamLimited if status == 429 else UpstreamUnavailable
    wait = parse_retry_after(headers.get("retry-after"), time.time())
    return transient(kind(f"{host_of(url)} answers {status}", wait), url)


def check_size(count: int, limit: int, url: str) -> None:
    """Raises UpstreamFailed for more bytes than are taken."""
    if count > limit:
        raise UpstreamFailed(f"{host_of(url)} answers with more than {limit} bytes")


def _why(error: BaseException) -> str:
    """What the operating system, or OpenSSL, says of it; nothing where that is not known."""
    found: BaseException | None = error.__context__ or error
    while found is not None:
        if isinstance(found, ssl.SSLCertVerificationError):
            return f": {quoted(found.verify_message)}"
        if isinstance(found, ssl.SSLError) and found.reason:
            return f": {quoted(found.reason)}"
        if isinstance(found, OSError) and found.errno:  # that of a resolver is negative
            return f": {os.strerror(found.errno) if found.errno > 0 else found.strerror}"
        found = found.__context__ or found.__cause__
    return ""


@contextmanager
def translated(url: str) -> Iterator[None]:
    """What httpx and httpcore raise while they speak with `url`, as UpstreamFailed and its kinds."""
    import httpcore
    import httpx

    host = host_of(url)
    try:
        yield
    except httpcore.PoolTimeout as error:
        raise UpstreamUnavailable(f"too many requests to {host} are under way") from error
    except httpcore.ConnectTimeout as error:
        raise _unreachable(UpstreamTimeout(f"{host} did not answer in time"), url) from error
    except httpcore.TimeoutException as error:
        raise transient(UpstreamTimeout(f"{host} did not answer in time"), url) from error
    except httpcore.ConnectError as error:
        if isinstance(error.__context__, ssl.SSLError):  # httpcore takes the cause away
            message = f"no secure connection to {host}{_why(error)}; see NORA_TLS_CA_CERT"
            raise UpstreamFailed(message) from error
        raise _unreachable(UpstreamUnavailable(f"{host} cannot be reached{_why(error)}"), url) from error
    except httpcore.ProxyError as error:
        raise UpstreamUnavailable(f"the outbound proxy does not let NORA through to {host}") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        message = f"{host} ends in the middle of its answer, or does not speak HTTP"
        raise transient(UpstreamFailed(message), url) from error
    except zlib.error as error:
        raise UpstreamFailed(f"{host} answers with a body that cannot be decompressed") from error
    except (httpx.InvalidURL, httpcore.UnsupportedProtocol, ValueError) as error:
        raise UpstreamFailed(f"the address of {host} is not one that can be asked") from error
