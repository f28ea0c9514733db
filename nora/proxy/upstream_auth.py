"""What an upstream is told about who is asking."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from nora.outbound import Headers, Method


class Basic:
    """A user and a password, sent with each request (RFC 7617); without them: nothing."""

    def __init__(self, credentials: str | None) -> None:
        """`credentials` are `user:password`."""
        self._headers: Headers = (
            {}
            if credentials is None
            else {"authorization": f"Basic {b64encode(credentials.encode()).decode()}"}
        )

    async def headers(self, method: Method, url: str) -> Headers:
        """See nora.proxy.base.Authorization."""
        return self._headers

    async def challenged(self, method: Method, url: str, challenges: Sequence[str]) -> bool:
        """There is nothing else to say."""
        return False
