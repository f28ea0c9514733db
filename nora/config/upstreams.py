"""Sources: how `upstreams` is read, checked and written, the same for every format.

    [repositories.mirror]
    format = …
    kind = "proxy"
    upstreams = [
        { url = "https://corp.example/simple", names = ["corp-*"], username = "nora", password_file = "pw" },
        "https://index.example.com/simple",
    ]

In the environment the same is a list in JSON, or `url|user:password,…`. A problem is told by the number of
the upstream and the name of the field, and quotes no value: each may hold a part of a credential.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from nora.config import kinds
from nora.config.kinds import Kind, TtlSeconds
from nora.errors import quoted

ABSENT = (404, 410)
"""Statuses by which a source says that it has nothing, whatever else it is configured to say."""
DEFAULT = "default"
"""Instead of an address: the public registry of the format."""
OTHER_WORDS = frozenset({"proxy", "proxies", "upstream", "remote", "remotes", "remote_url", "url", "mirrors"})
"""What `upstreams` is called elsewhere."""
LARGEST_CREDENTIALS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Upstream:
    """A source: who is asked for what is not here. Its credentials never appear in a representation."""

    url: str
    """Without a trailing slash; `DEFAULT` until the format is known whose public registry it stands for."""
    _: KW_ONLY
    mirrors: tuple[str, ...] = ()
    """Other addresses of the same source, asked in this order while the ones before fail."""
    names: tuple[str, ...] = ()
    """Patterns: for these names this source is asked, and no other one is."""
    merge: tuple[str, ...] = ()
    """Patterns: what this source has under these names is joined with what the sources before it have."""
    auth: str | None = field(default=None, repr=False)
    """`user:password`, from whatever fields or file."""
    auth_file: str | None = None
    """Where `auth` was read from."""
    password_file: str | None = None
    """Where the password of `auth` was read from."""
    token: str | None = field(default=None, repr=False)
    """Sent as a Bearer token."""
    token_file: str | None = None
    """Where `token` was read from."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Sent with each request to the source itself."""
    ca_cert: Path | None = None
    """Authorities (PEM) that are trusted for it beside the others."""
    ttl: TtlSeconds | None = None
    """How long its documents are fresh; None, as in the next two: as the settings of the format say."""
    serve_stale: bool | None = None
    timeout: int | None = None
    """Seconds for a whole document."""
    absent: tuple[int, ...] | None = None
    """Statuses that mean that it has nothing, `ABSENT` among them; None: just these."""
    allow_private: tuple[str, ...] | None = None
    """Hosts to which its redirects and links may lead wherever they are; None: as `proxy.allow_private`."""
    token_hosts: tuple[str, ...] = ()
    """Hosts beside its own site whose token service gets its credentials."""
    volatile: bool | None = None
    """Whether files are replaced there under their names; None: once that was seen."""
    prefix: str | None = None
    """The first segment of the names that are asked of this one only, without it."""
    namespace: str | None = None


# -- reading ----------------------------------------------------------------------------------------------

_PREFIX = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_NO_PREFIXES = frozenset({"blobs", "manifests", "tags", "referrers", "uploads", "v2"})
_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
"""A token of RFC 9110, 5.6.2."""
_OWN_FIELDS = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "upgrade"})


def _url(raw: object) -> str:
    try:
        has_user = "@" in urlsplit(raw if isinstance(raw, str) else "").netloc
    except ValueError:
        has_user = False
    if has_user:
        raise ValueError("expected a URL without credentials; use username and password (or auth_file)")
    found = kinds.parse_url(raw)
    if "," in urlsplit(found).netloc:
        raise ValueError('expected one URL such as "https://registry.example.com"')
    return found


def _url_or_default(raw: object) -> str:
    return DEFAULT if raw == DEFAULT else _url(raw)


def _urls(raw: object) -> tuple[str, ...]:
    entries = raw if isinstance(raw, list) else [raw]
    return tuple(map(_url, entries))


def _prefix(raw: object) -> str:
    if isinstance(raw, str) and _PREFIX.fullmatch(raw) and raw not in _NO_PREFIXES:
        return raw
    raise ValueError("expected a prefix of lower-case letters and digits, with single . _ or - between")


def _secret(raw: object) -> str:
    if isinstance(raw, str) and raw.isprintable():
        return raw
    raise ValueError("expected a printable text")


def _credentials(raw: object) -> str:
    user, colon, _ = raw.partition(":") if isinstance(raw, str) and raw.isprintable() else ("", "", "")
    if not user or not colon:
        raise ValueError("expected the credentials of an upstream as user:password")
    return str(raw)


def _username(raw: object) -> str:
    if isinstance(raw, str) and raw and raw.isprintable() and ":" not in raw:
        return raw
    raise ValueError("expected a printable text without a colon")


def _token(raw: object) -> str:
    if isinstance(raw, str) and raw and raw.isascii() and raw.isprintable() and " " not in raw:
        return raw
    raise ValueError("expected a token: printable, and without spaces")


def _headers(raw: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(raw, dict):
        raise ValueError('expected a table such as { "X-Api-Key" = "…" }')
    for name, value in raw.items():
        if not _FIELD_NAME.fullmatch(str(name)) or str(name).lower() in _OWN_FIELDS:
            raise ValueError("expected names of header fields that a request may be given")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise ValueError("expected values of printable ASCII")
    return tuple((name.lower(), value) for name, value in raw.items())


def _absent(raw: object) -> tuple[int, ...]:
    found = set(ABSENT)
    for one in raw if isinstance(raw, list) else [raw]:
        # 408 and 429 ask to come again: they say nothing about what is there.
        if not isinstance(one, int) or not 400 <= one < 500 or one in (408, 429):
            raise ValueError("expected a list of statuses from 400 to 499, without 408 and 429")
        found.add(one)
    return tuple(sorted(found))


def _certificates(raw: object) -> Path:
    path = cast("Path", kinds.PATH.read(raw))
    check_certificates(path)
    return path


def check_certificates(path: Path) -> None:
    """Raises ValueError unless a file has certificates in PEM."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:
        reason = "it has no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise ValueError(f"expected a file with certificates: {reason}") from None


_PLAIN: Mapping[str, Callable[[object], Any]] = {
    "url": _url_or_default,
    "mirrors": _urls,
    "names": kinds.PATTERNS.read,
    "merge": kinds.PATTERNS.read,
    "headers": _headers,
    "ca_cert": _certificates,
    "ttl": kinds.TTL.read,
    "serve_stale": kinds.BOOLEAN.read,
    "timeout": kinds.duration(1).read,
    "absent": _absent,
    "allow_private": kinds.HOSTS.read,
    "token_hosts": kinds.HOSTS.read,
    "volatile": kinds.BOOLEAN.read,
    "prefix": _prefix,
    "namespace": kinds.TEXT.read,
}
"""Fields of a table that are fields of `Upstream`."""
_CREDENTIALS: Mapping[str, Callable[[object], Any]] = {
    "username": _username,
    "password": _secret,
    "password_file": kinds.TEXT.read,
    "token": _token,
    "token_file": kinds.TEXT.read,
    "auth": _credentials,
    "auth_file": kinds.TEXT.read,
}
_FILES: Mapping[str, Callable[[object], str]] = {
    "auth_file": _credentials,
    "password_file": _secret,
    "token_file": _token,
}
"""Fields that are paths, with what is read from there."""
_READERS = {**_PLAIN, **_CREDENTIALS}
_TEXT_FORM = ("url", "auth", "prefix")
_WAYS = (
    {"username", "password"},
    {"username", "password_file"},
    {"token"},
    {"token_file"},
    {"auth"},
    {"auth_file"},
)
"""How a source may be told who is asking: one of them."""
_OTHER_FIELDS = {
    **dict.fromkeys(("user", "login"), "username"),
    **dict.fromkeys(("pass", "passwd", "secret"), "password"),
    **dict.fromkeys(("credentials", "proxy_auth"), "auth"),
    **dict.fromkeys(("remote_url", "proxy", "upstream", "address"), "url"),
}


def _read_file(read: Callable[[object], str], path: str) -> str:
    """The first line of a file."""
    try:
        with open(path, encoding="utf-8") as file:
            return read(file.read(LARGEST_CREDENTIALS).removesuffix("\n").removesuffix("\r"))
    except OSError as error:
        raise ValueError(f"expected a file; it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("expected a file in UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{error} (in the file)") from None


def _read_upstream(entry: object) -> Upstream:
    if isinstance(entry, str):
        parts = zip(_TEXT_FORM, entry.strip().split("|", 2), strict=False)
        entry = {name: text for name, text in parts if text or name == "url"}
    if not isinstance(entry, dict):
        raise ValueError('expected a table such as { url = "https://registry.example.com" }')
    said = {name: value for name, value in entry.items() if value != "" or name in ("url", "password")}
    found: dict[str, Any] = {}
    for name, value in said.items():
        if name not in _READERS:
            raise ValueError(f"{quoted(name)}: there is no such field; {_suggestion(str(name))}")
        found[name] = _labelled(name, _READERS[name], value)
    if "url" not in found:
        raise ValueError('url is missing; expected url = "https://registry.example.com"')
    used = found.keys() & _CREDENTIALS.keys()
    if used and used not in _WAYS:
        raise ValueError(
            "expected one of: username with password or password_file, token, token_file, auth, auth_file"
        )
    return Upstream(
        **{name: value for name, value in found.items() if name in _PLAIN}, **_credentials_of(found)
    )


def _credentials_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Upstream` that say who asks."""
    read = {name: _from_file(name, found[name]) for name in _FILES if name in found}
    auth = read.get("auth_file", found.get("auth"))
    if "username" in found:
        auth = f"{found['username']}:{read.get('password_file', found.get('password'))}"
    token = read.get("token_file", found.get("token"))
    return {"auth": auth, "token": token, **{name: found[name] for name in read}}


def _from_file(name: str, path: str) -> str:
    return cast("str", _labelled(name, lambda path: _read_file(_FILES[name], path), path))


def _labelled(name: str, read: Callable[[Any], Any], value: object) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _suggestion(name: str) -> str:
    near = [_OTHER_FIELDS.get(name.lower(), "")] if name.lower() in _OTHER_FIELDS else []
    near = near or get_close_matches(name, _READERS, n=1)
    return f"expected {near[0]}?" if near else f"expected one of {', '.join(_READERS)}"


def _entries(raw: object) -> list[object]:
    if isinstance(raw, str) and raw.lstrip().startswith(("[", "{")):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            raise ValueError("expected a list of upstreams in JSON") from None
    if isinstance(raw, str):
        # Only before the next address: a password may have commas.
        return [
            text for text in re.split(r",(?=\s*(?:https?://|default(?:[|,]|$)|,|$))", raw) if text.strip(" ,")
        ]
    if isinstance(raw, dict):
        return [raw]
    if not isinstance(raw, list):
        raise ValueError('expected a list of upstreams, or "url|user:password,…"')
    return raw


def _read_upstreams(raw: object) -> tuple[Upstream, ...]:
    if isinstance(raw, str) and raw.strip().lower() == "off":
        return ()
    entries = _entries(raw)
    found = []
    for number, entry in enumerate(entries, 1):
        try:
            found.append(_read_upstream(entry))
        except ValueError as error:
            raise ValueError(f"upstream {number}: {error}" if len(entries) > 1 else str(error)) from None
    prefixes = [one.prefix for one in found if one.prefix is not None]
    if len({(one.url, one.prefix) for one in found}) < len(found) or len(set(prefixes)) < len(prefixes):
        raise ValueError("expected each upstream and each prefix once")
    return tuple(found)


def with_defaults(said: tuple[Upstream, ...], public: tuple[Upstream, ...]) -> tuple[Upstream, ...]:
    """The sources with the public registry of their format instead of `DEFAULT`, asked as is said there."""
    return tuple(
        replace(one, url=address)
        for one in said
        for address in ([known.url for known in public] if public and one.url == DEFAULT else [one.url])
    )


def _read_address(raw: object) -> str:
    return "" if raw == "" or (isinstance(raw, str) and raw.lower() == "off") else _url(raw)


# -- writing ----------------------------------------------------------------------------------------------


def render_upstream(one: Upstream) -> dict[str, object]:
    """As a table, its credentials included unless they are in a file."""
    table = {each.name: getattr(one, each.name) for each in fields(one)}
    if one.password_file is not None and one.auth is not None:
        table["username"] = one.auth.partition(":")[0]
    if one.auth_file is not None or one.password_file is not None:
        del table["auth"]
    if one.token_file is not None:
        del table["token"]
    return {
        name: _plain(name, value) for name, value in table.items() if value is not None and value != ()
    } | ({"allow_private": []} if one.allow_private == () else {})


def _plain(name: str, value: object) -> object:
    if name == "headers":
        return dict(cast("tuple[tuple[str, str], ...]", value))
    if name == "ttl":
        return kinds.TTL.write(value)
    if isinstance(value, Path):
        return str(value)
    return [*value] if isinstance(value, tuple) else value


def _render_upstreams(value: object) -> object:
    return [render_upstream(one) for one in cast("tuple[Upstream, ...]", value)]


UPSTREAMS = Kind("list of upstreams, or `off`", _read_upstreams, _render_upstreams, secret=True)
ADDRESS = Kind("URL, or `off`", _read_address, secret=True)
CREDENTIALS = Kind("`user:password`", _credentials, secret=True)
