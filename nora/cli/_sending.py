"""Requests with bodies of any size to a running NORA, over connections that are kept."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from nora.cli._remote import RemoteFailed, credentials, parse_url
from nora.errors import BadRequest
from nora.formats.legacy import Call
from nora.mirror.legacy import Answer

SECONDS: Final = 120
"""Without an answer, or without a byte of one."""
LONGEST_TOLD: Final = 2000
ATTEMPTS: Final = 4
"""Of requests whose connection breaks: a server that is restarted is back after some seconds."""


class HttpSender:
    """See nora.mirror.legacy.Sender."""

    def __init__(
        self, url: str, token: str | None = None, token_file: str | None = None, ca_cert: Path | None = None
    ) -> None:
        """Raises BadRequest."""
        self._url, hosts = parse_url(url, "--registry")
        self._headers = {"authorization": f"Bearer {token}"} if token else credentials(hosts, token_file)
        self._idle: list[http.client.HTTPConnection] = []
        self._tls: ssl.SSLContext | None = None
        if urlsplit(self._url).scheme == "https":
            try:
                self._tls = ssl.create_default_context(cafile=ca_cert)
                self._tls.load_default_certs()
            except OSError as error:
                raise BadRequest(f"--ca-cert cannot be read: {error}") from None

    async def send(self, call: Call) -> Answer:
        """See Sender. Raises RemoteFailed."""
        return await asyncio.to_thread(self._send, call)

    def close(self) -> None:
        """Close all connections."""
        for one in self._idle:
            one.close()

    def _send(self, call: Call) -> Answer:
        for attempt in range(ATTEMPTS):
            try:
                return self._send_once(call)
            except (OSError, http.client.HTTPException) as error:
                if attempt + 1 == ATTEMPTS:
                    raise RemoteFailed(
                        f"{self._url} cannot be asked: {error or type(error).__name__} (--registry says "
                        "where it is); run the same command again, and it goes on"
                    ) from None
                if attempt:  # the first one may have met a kept connection that was closed meanwhile
                    time.sleep(2.0**attempt)
        raise AssertionError

    def _send_once(self, call: Call) -> Answer:
        connection = self._idle.pop() if self._idle else self._connect()
        headers = {**self._headers, **call.headers, "content-length": str(call.length)}
        is_kept = False
        try:
            body = _pieces(call) if call.body else None
            with suppress(BrokenPipeError, ConnectionResetError):  # it may be refused before it is sent
                connection.request(call.method, urlsplit(self._url).path + call.path, body, headers)
                is_kept = True
            answer = connection.getresponse()
            said = answer.read(LONGEST_TOLD)
            is_kept = is_kept and not answer.will_close and not answer.read(1)
            return Answer(answer.status, _fields(answer), said)
        finally:
            if is_kept:
                self._idle.append(connection)
            else:
                connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._url)
        if self._tls is not None:
            return http.client.HTTPSConnection(parts.netloc, timeout=SECONDS, context=self._tls)
        return http.client.HTTPConnection(parts.netloc, timeout=SECONDS)


def _fields(answer: http.client.HTTPResponse) -> Mapping[str, str]:
    return {name.lower(): value for name, value in answer.getheaders()}


def _pieces(call: Call) -> Iterator[bytes]:
    for one in call.body:
        if isinstance(one, bytes):
            yield one
        else:
            yield from one.pieces()
