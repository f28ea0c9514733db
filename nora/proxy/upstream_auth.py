"""What an upstream is told about who is asking."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from nora.config import Upstream
from nora.outbound import Headers, Method


class StaticAuthorization:
    """The user and password (RFC 7617) or the token (RFC 6750) of a setting, sent with each request."""

    def __init__(self, setting: Upstream) -> None:
        self._headers: Headers = static_headers(setting)

    async def headers(self, method: Method, url: str) -> Headers:
        """See nora.proxy.base.Authorization."""
        return self._headers

    async def challenged(
        self, method: Method, url: str, challenges: Sequence[str], *, is_inside: bool = False
    ) -> bool:
        """There is nothing else to say."""
        return False


def static_headers(setting: Upstream) -> Headers:
    """The credentials of a setting; empty where it has none."""
    if setting.token is not None:
        return {"authorization": f"Bearer {setting.token}"}
    if setting.auth is not None:
        return {"authorization": f"Basic {b64encode(setting.auth.encode()).decode()}"}
    return {}
