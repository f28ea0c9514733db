"""A server somewhere, for commands that are its clients: they need nothing but its address."""

from __future__ import annotations

import http.client
import netrc
import os
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from nora.errors import BadRequest, NoraError

SECONDS = 60
LONGEST_TOLD = 2000
_SCHEMES = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


class RemoteFailed(NoraError):
    """The server has not done what it was asked for."""


class HttpRemote:
    """See nora.formats.base.Remote."""

    def __init__(self, url: str, token_file: str | None = None) -> None:
        """Who asks is in the file, a token and nothing else, or in the netrc of the user, as for git. Raises
        BadRequest."""
        self._url, hosts = parse_url(url, "--url")
        self._headers = credentials(hosts, token_file)

    def put(self, path: str, file: str, media_type: str) -> bytes:
        """See nora.formats.base.Remote."""
        parts = urlsplit(self._url + path)
        connection = _SCHEMES[parts.scheme](parts.netloc, timeout=SECONDS)
        headers = {
            "content-type": media_type,
            "content-length": str(Path(file).stat().st_size),
            **self._headers,
        }
        try:
            with open(file, "rb") as body, suppress(BrokenPipeError, ConnectionResetError):
                connection.request("PUT", parts.path, body, headers)  # it may be refused before it is sent
            answer = connection.getresponse()
            said: bytes = answer.read(LONGEST_TOLD)
        except (OSError, http.client.HTTPException) as error:
            raise RemoteFailed(f"{parts.netloc} cannot be asked: {error} (--url says where it is)") from None
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            told = said.decode("utf-8", "replace").strip()
            raise RemoteFailed(
                f"{parts.netloc} answers {answer.status}: {told}{self._hint(answer.status, path)}"
            )
        return said

    def _hint(self, status: int, path: str) -> str:
        """What to do, where it is about the options."""
        base, mount = urlsplit(self._url).path, "/" + path.split("/")[1]
        if status == 401 and "authorization" not in self._headers:
            return " (--token-file or a netrc says who asks)"
        if status in (400, 404) and base.endswith(mount):
            return f" (--url is the address of the server itself, without {mount})"
        if status == 404 and base:
            return " (is there a repository of this name, and may you write to it?)"
        return ""


def parse_url(url: str, option: str) -> tuple[str, tuple[str, str]]:
    """The URL of a server without a slash at its end, and its host with and without the port. Raises
    BadRequest."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.username is not None:
        raise BadRequest(
            f"{option} is that of a server, such as https://nora.example.com, without a password"
        )
    return url.rstrip("/"), (parts.netloc, parts.hostname)


def credentials(hosts: tuple[str, ...], token_file: str | None) -> Mapping[str, str]:
    """The header of who asks one of these hosts, by the file or by the netrc. Raises BadRequest."""
    if token_file is not None:
        try:
            token = Path(token_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequest(f"--token-file cannot be read: {error}") from None
        if not token.isprintable() or not token.isascii() or " " in token:
            raise BadRequest("--token-file has a token and nothing else")
        return {"authorization": f"Bearer {token}"}
    try:
        known = netrc.netrc(os.environ.get("NETRC"))
    except FileNotFoundError:
        return {}
    except (OSError, netrc.NetrcParseError) as error:
        raise BadRequest(f"the netrc cannot be read: {error}") from None
    found = next(filter(None, map(known.authenticators, hosts)), None)
    if found is None:
        return {}
    login, _, password = found
    return {"authorization": f"Basic {b64encode(f'{login}:{password}'.encode()).decode()}"}
