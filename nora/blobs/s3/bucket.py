"""A bucket, as blocking calls: the only owner of boto3, which is loaded with the first call.

Every store with the protocol will do (AWS, MinIO, SeaweedFS, Ceph, …): nothing is asked for that only some
have. A checksum is sent where it is known already, and none is computed for the wire: over HTTP the signature
is one of the SHA-256 of the bytes, and over HTTPS they cannot change.

All of it raises StorageFailed: StorageBusy for what may pass without a change of ours (nobody answers, the
store is slowed down or broken, does not know us, has lost the bucket), StorageFull where the store has no
room; a missing object is None or False where a row cannot say better.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from nora.errors import StorageBusy, StorageFailed, StorageFull

CONNECT_SECONDS: Final = 5
SILENCE_SECONDS: Final = 30
TRIES: Final = 3
CONNECTIONS: Final = 64
PART_BYTES: Final = 8 << 20
"""Of a large object; one of more than 10,000 such parts gets larger ones."""
PARTS_AT_ONCE: Final = 8
"""Of all uploads of a process."""
_ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_FULL: Final = frozenset(
    {"507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "EntityTooLarge"}
)
_BUSY: Final = frozenset(
    {
        "SlowDown",
        "ServiceUnavailable",
        "InternalError",
        "RequestTimeout",
        # An upload that has to be sent once more: the store, or its answer, has lost some of it
        "NoSuchUpload",
        "InvalidPart",
        "BadDigest",
        "XAmzContentSHA256Mismatch",
    }
)


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """Which bucket, and who asks."""

    name: str
    endpoint: str | None = None
    """Without one it is AWS'."""
    region: str = "us-east-1"
    access_key: str | None = field(default=None, repr=False)
    """Without keys: what the environment, the files of AWS' tools or the machine's role say."""
    secret_key: str | None = field(default=None, repr=False)
    is_virtual_hosted: bool = False
    """Whether the name of the bucket is a part of the host, instead of the path."""
    ca_file: str | None = None
    """Certificates (PEM) that are trusted, for those of the system."""

    def __str__(self) -> str:
        return f"bucket {self.name} at {self.endpoint or 'AWS'}"


class Stop:
    """How another thread ends what nobody wants any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Callable[[], None]] = []
        self._is_wanted = False

    def by(self, call: Callable[[], None]) -> None:
        """This ends it. It is called at once when that is wanted already."""
        with self._lock:
            self._calls.append(call)
            is_wanted = self._is_wanted
        if is_wanted:
            call()

    def now(self) -> None:
        """End it."""
        with self._lock:
            self._is_wanted = True
            calls = [*self._calls]
        for call in calls:
            call()


class Bucket:
    """The calls. From any thread; of one process, since connections are not shared by fork."""

    def __init__(self, address: BucketAddress) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._client: Any = None
        self._manager: Any = None

    @property
    def client(self) -> Any:
        """The client of boto3, made by the first who asks."""
        with self._lock:
            if self._client is None:
                self._client = _make_client(self.address)
            return self._client

    @property
    def _transfers(self) -> Any:
        client = self.client
        with self._lock:
            if self._manager is None:
                from s3transfer.manager import TransferConfig, TransferManager

                config = TransferConfig(
                    multipart_threshold=2 * PART_BYTES,
                    multipart_chunksize=PART_BYTES,
                    max_request_concurrency=PARTS_AT_ONCE,
                    max_in_memory_upload_chunks=1,
                )
                self._manager = TransferManager(client, config)
            return self._manager

    def put(self, key: str, data: bytes, *, sha256: bytes, notes: dict[str, str]) -> None:
        """Make an object of a few bytes, which the store checks if it can."""
        from base64 import b64encode

        checksum = b64encode(sha256).decode()
        with self._reporting():
            self.client.put_object(
                Bucket=self.address.name, Key=key, Body=data, ChecksumSHA256=checksum, Metadata=notes
            )

    def put_file(self, key: str, path: str, notes: dict[str, str], stop: Stop) -> None:
        """Make an object of a file: in parts, several at a time, each read from the disk as it is sent. There
        is an object when all of them are there, and nothing to be copied then. Raises anything at all when it
        was stopped."""
        with self._reporting():
            transfer = self._transfers.upload(path, self.address.name, key, {"Metadata": notes})
            stop.by(transfer.cancel)
            transfer.result()

    def put_stream(self, key: str, file: Any, size: int, notes: dict[str, str]) -> None:
        """Make an object of what is read from a file, which is opened by somebody else: in one request where
        it is small, else in parts."""
        with self._reporting():
            if size <= 2 * PART_BYTES:
                parts = []
                while data := file.read(PART_BYTES):
                    parts.append(data)
                body = b"".join(parts)
                self.client.put_object(Bucket=self.address.name, Key=key, Body=body, Metadata=notes)
            else:
                self._transfers.upload(file, self.address.name, key, {"Metadata": notes}).result()

    def get(self, key: str) -> bytes:
        """All bytes of an object."""
        body = self.open(key, 0, None)
        with self._reporting():
            try:
                data: bytes = body.read()
            finally:
                body.close()
        return data

    def open(self, key: str, start: int, stop: int | None) -> Any:
        """Bytes start..stop (exclusive) of an object, to be read and closed."""
        options = {} if stop is None else {"Range": f"bytes={start}-{stop - 1}"}
        with self._reporting():
            body: Any = self.client.get_object(Bucket=self.address.name, Key=key, **options)["Body"]
        return body

    def read(self, body: Any, size: int) -> bytes:
        """The next bytes of what was opened; none at its end."""
        with self._reporting():
            data: bytes = body.read(size)
        return data

    def size(self, key: str) -> int | None:
        """How many bytes an object has; None when there is none."""
        try:
            with self._reporting():
                size: int = self.client.head_object(Bucket=self.address.name, Key=key)["ContentLength"]
        except _Lost:
            self._require()
            return None
        return size

    def _require(self) -> None:
        """Raise StorageBusy unless there is a bucket: the answer to HEAD does not tell what is missing."""
        try:
            with self._reporting():
                self.client.head_bucket(Bucket=self.address.name)
        except _Lost as error:
            raise StorageBusy(f"{self.address}: there is no such bucket") from error

    def remove(self, key: str) -> None:
        """Remove an object, if it is there. Raises StorageFailed, not StorageBusy, where that is forbidden:
        others may be removed yet."""
        try:
            with self._reporting():
                self.client.delete_object(Bucket=self.address.name, Key=key)
        except _Denied as error:
            raise StorageFailed(str(error)) from error

    def move(self, key: str, other: str) -> None:
        """Give an object another key: the store copies it."""
        with self._reporting():
            source = {"Bucket": self.address.name, "Key": key}
            self.client.copy(source, self.address.name, other)
        self.remove(key)

    def folders(self, prefix: str) -> Iterator[str]:
        """What stands between this and the next slash in keys that have one."""
        options = {"Bucket": self.address.name, "Prefix": prefix, "Delimiter": "/"}
        with self._reporting():
            for page in self.client.get_paginator("list_objects_v2").paginate(**options):
                for one in page.get("CommonPrefixes", ()):
                    yield one["Prefix"][len(prefix) : -1]

    def list(self, prefix: str, *, limit: int | None = None) -> Iterator[tuple[str, int]]:
        """Keys that begin so, in their order, and sizes; the first `limit` of them."""
        for one in self._listed(prefix, limit):
            yield one["Key"], one["Size"]

    def list_changed(self, prefix: str) -> Iterator[tuple[str, int, float]]:
        """Keys that begin so, sizes, and when the objects were made, in seconds since the epoch."""
        for one in self._listed(prefix, None):
            yield one["Key"], one["Size"], one["LastModified"].timestamp()

    def _listed(self, prefix: str, limit: int | None) -> Iterator[dict[str, Any]]:
        options: dict[str, Any] = {"Bucket": self.address.name, "Prefix": prefix}
        if limit is not None:
            options["PaginationConfig"] = {"MaxItems": limit, "PageSize": min(limit, 1000)}
        with self._reporting():
            for page in self.client.get_paginator("list_objects_v2").paginate(**options):
                yield from page.get("Contents", ())

    def signed_url(self, key: str, media_type: str, seconds: int) -> str:
        """Where anybody gets an object for so long. Asks nobody."""
        options = {"Bucket": self.address.name, "Key": key, "ResponseContentType": media_type}
        with self._reporting():
            url: str = self.client.generate_presigned_url("get_object", options, ExpiresIn=seconds)
        return url

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Failures as ours, without anything secret."""
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ClientError as error:
            raise self._failure(error.response) from error
        except (BotoCoreError, HTTPError, OSError) as error:
            raise StorageBusy(f"{self.address}: {_reason(error)}") from error

    def _failure(self, response: Any) -> Exception:
        told = response.get("Error", {})
        code = str(told.get("Code", ""))
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        what = f"{self.address}: {code or status}"
        if code in _ABSENT:
            return _Lost(f"{what}: the object is not there")
        if code in _FULL:
            return StorageFull("the storage has no room left")
        if code == "NoSuchBucket":
            return StorageBusy(f"{self.address}: there is no such bucket")
        if status in {401, 403}:
            return _Denied(what)
        # 404 in other words: something else than the object is not there, as who asks
        if code in _BUSY or status >= 500 or status in {404, 429}:
            return StorageBusy(what)
        return StorageFailed(what)

    def close(self) -> None:
        """End what runs, and let go of connections."""
        if self._manager is not None:
            self._manager.shutdown()
        if self._client is not None:
            self._client.close()


class _Lost(StorageFailed):
    """There is no such object."""


class _Denied(StorageBusy):
    """The store does not let us, as things stand: keys and policies change without a start of ours."""


def _reason(error: BaseException) -> str:
    """The kind of a failure of the client's own; what it says may hold addresses with signatures."""
    hints: dict[str, str] = {
        "NoCredentialsError": "no credentials were found: set storage.s3_access_key and "
        "storage.s3_secret_key, or give the machine a role",
        "PartialCredentialsError": "only one of access key and secret key is known",
        "EndpointConnectionError": "nobody answers there",
        "ConnectTimeoutError": "nobody answers there",
        "ReadTimeoutError": f"no answer for {SILENCE_SECONDS} seconds",
        "SSLError": "its certificate is not trusted: see tls.ca_cert",
    }
    name = type(error).__name__
    return hints.get(name, name)


def _make_client(address: BucketAddress) -> Any:
    from boto3.session import Session
    from botocore.config import Config

    return Session().client(
        "s3",
        endpoint_url=address.endpoint,
        region_name=address.region,
        aws_access_key_id=address.access_key,
        aws_secret_access_key=address.secret_key,
        verify=address.ca_file,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "virtual" if address.is_virtual_hosted else "path"},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=SILENCE_SECONDS,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            max_pool_connections=CONNECTIONS,
            tcp_keepalive=True,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
