"""A bucket in this process, whose answers can be spoilt: moto keeps it, a hook of botocore spoils.

moto has no faults of its own: silence, cuts, an answer that is lost after the work was done. They are put in
front of it, where botocore sends.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, ReadTimeoutError
from moto import mock_aws
from moto.core.models import botocore_stubber
from urllib3.exceptions import ProtocolError

from nora.blobs.s3 import bucket

URL = "https://s3.us-east-1.amazonaws.com"
"""The one that moto answers for."""
NAME = "registry"

Fault = Callable[[Any], AWSResponse]
"""The answer to a request, in the place of the bucket's; or it raises."""


@dataclass(slots=True)
class Faults:
    """What happens from now on to requests whose operation's name is among these; None: to all."""

    fault: Fault | None = None
    operations: frozenset[str] | None = None
    met: int = 0
    """Requests that it has happened to."""

    def begin(self, fault: Fault, *operations: str) -> None:
        """Let it happen, to `PutObject` and so on."""
        self.fault, self.operations, self.met = fault, frozenset(operations) or None, 0

    def end(self) -> None:
        """Let all be well."""
        self.fault = None

    def __call__(self, request: Any, event_name: str, **_: Any) -> AWSResponse:
        """A handler of botocore's `before-send.s3.<operation>`."""
        operation = event_name.rpartition(".")[2]
        if self.fault is None or (self.operations is not None and operation not in self.operations):
            return ask(request)
        self.met += 1
        return self.fault(request)


@contextmanager
def faulty_bucket(monkeypatch: Any) -> Iterator[Faults]:
    """An empty bucket, and what happens to requests of clients that are made inside."""
    faults, make = Faults(), bucket._make_client

    def make_client(address: bucket.BucketAddress) -> Any:
        client = make(address)
        client.meta.events.unregister("before-send", botocore_stubber)  # else it does what is refused
        client.meta.events.register("before-send.s3", faults)
        return client

    monkeypatch.setattr(bucket, "_make_client", make_client)
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)  # between two tries
    with mock_aws():
        make(bucket.BucketAddress(NAME, URL, access_key="a", secret_key="b")).create_bucket(Bucket=NAME)
        yield faults


def refused(status: int, code: str) -> Fault:
    """An answer in the words of the protocol."""
    text = f"<Error><Code>{code}</Code><Message>as the test says</Message></Error>"
    return lambda request: _answer(request, status, _Body(text.encode()))


def silent(request: AWSRequest) -> AWSResponse:
    """Nothing comes back."""
    raise ReadTimeoutError(endpoint_url=request.url)


def unreachable(request: AWSRequest) -> AWSResponse:
    """Nobody takes the connection."""
    raise ConnectTimeoutError(endpoint_url=request.url)


def reset(request: AWSRequest) -> AWSResponse:
    """The connection ends before the answer."""
    raise ConnectionClosedError(endpoint_url=request.url)


def cut(request: AWSRequest) -> AWSResponse:
    """The answer is the bucket's, and its connection is reset after half of the body."""
    return _halved(request, ProtocolError("reset"))


def short(request: AWSRequest) -> AWSResponse:
    """The answer is the bucket's, and ends after half of the body."""
    return _halved(request, None)


def mistaken(request: AWSRequest) -> AWSResponse:
    """The bucket does what it was asked for, and its answer has another ETag."""
    answer = ask(request)
    answer.headers["ETag"] = '"00000000000000000000000000000000"'
    return answer


def done_and_lost(request: AWSRequest) -> AWSResponse:
    """The bucket does what it was asked for, and says that it did not."""
    ask(request)
    return refused(500, "InternalError")(request)


def done_with_error_inside(request: AWSRequest) -> AWSResponse:
    """The bucket says 200 before it has done it, and then what is wrong."""
    return refused(200, "InternalError")(request)


def ask(request: AWSRequest) -> AWSResponse:
    """What the bucket says."""
    answer: AWSResponse | None = botocore_stubber(event_name="before-send", request=request)
    assert answer is not None
    return answer


def _halved(request: AWSRequest, error: Exception | None) -> AWSResponse:
    answer = ask(request)
    body = _Body(answer.content, error, half=True)
    return AWSResponse(answer.url, answer.status_code, answer.headers, body)


def _answer(request: AWSRequest, status: int, body: _Body) -> AWSResponse:
    return AWSResponse(request.url, status, {"Content-Type": "application/xml"}, body)


class _Body(io.BytesIO):
    """A body as botocore reads it."""

    def __init__(self, data: bytes, error: Exception | None = None, *, half: bool = False) -> None:
        super().__init__(data[: len(data) // 2] if half else data)
        self._error = error

    def read(self, size: int | None = -1, **_: Any) -> bytes:
        data = super().read(size)
        if self._error is not None and (not data or size in {None, -1}):
            raise self._error
        return data

    def stream(self, **_: Any) -> Iterator[bytes]:
        while data := self.read(1 << 16):
            yield data
