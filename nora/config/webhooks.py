"""Webhooks: how `[[events.webhooks]]` is read, checked and written.

    [[events.webhooks]]
    name = "scanner"
    url = "https://scanner.example.com/nora"
    secret_file = "/run/secrets/scanner"
    kinds = ["published", "deleted"]
    repositories = ["internal", "corp-*"]
    names = ["team/**"]

In the environment the same is a list in JSON. A problem quotes no value: a secret may be a part of each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Final, cast
from urllib.parse import urlsplit

from nora.config import kinds
from nora.config.kinds import Kind
from nora.config.secrets import HIDDEN
from nora.errors import quoted
from nora.model import EVENT_KINDS

MOST_WEBHOOKS: Final = 50
LARGEST_SECRET: Final = 4096
SHORTEST_SECRET: Final = 16
USUAL_KINDS: Final = ("published", "tagged", "untagged", "deleted", "blocked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Somebody who is told what happens. Neither its secret nor its URL, which may hold one, appears in a
    representation."""

    name: str
    url: str = field(repr=False)
    secret: str = field(repr=False)
    """What the signature of each delivery is made with, from whatever field or file."""
    secret_file: str | None = None
    """Where `secret` was read from."""
    kinds: tuple[str, ...] = USUAL_KINDS
    """Of events."""
    repositories: tuple[str, ...] = ("**",)
    """Patterns; a group stands for all that is read through it."""
    names: tuple[str, ...] = ("**",)
    """Patterns of packages, or of paths where files belong to none."""
    timeout: int = 10
    """Seconds for a whole delivery."""
    enabled: bool = True

    @property
    def site(self) -> str:
        """Where it is, without what only the two sides know."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


# -- reading ----------------------------------------------------------------------------------------------


def _read_webhooks(raw: object) -> tuple[Webhook, ...]:
    tables = kinds.read_tables(raw, "webhooks", "events.webhooks", MOST_WEBHOOKS)
    webhooks = tuple(_read_webhook(f"webhook {number}", table) for number, table in enumerate(tables, 1))
    names = [one.name for one in webhooks]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"two webhooks have the name {twice}; expected each once")
    return webhooks


def _read_webhook(label: str, table: object) -> Webhook:
    found = kinds.read_fields(label, table, _READERS)
    for name in ("name", "url"):
        if name not in found:
            raise ValueError(f"{label}.{name} is missing; expected name, url, and secret_file or secret")
    if ("secret" in found) == ("secret_file" in found):
        raise ValueError(f"{label}: expected secret_file or secret, one of them")
    if "secret_file" in found:
        try:
            found["secret"] = _secret(_first_line(found["secret_file"]))
        except ValueError as error:
            raise ValueError(f"{label}.secret_file: {error}") from None
    return Webhook(**found)


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(LARGEST_SECRET).removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ValueError(f"expected a file; it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("expected a file in UTF-8") from None


def _name(raw: object) -> str:
    if isinstance(raw, str) and re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?", raw):
        return raw
    raise ValueError("expected lower-case letters, digits, and . _ - between them")


def _url(raw: object) -> str:
    """As it is written, a query included."""
    try:
        parts = urlsplit(raw if isinstance(raw, str) else "")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not isinstance(raw, str) or not raw.isascii() or not raw.isprintable() or " " in raw:
        raise ValueError('expected a URL such as "https://scanner.example.com/nora"')
    if parts.fragment or "@" in parts.netloc:
        raise ValueError("expected a URL without user or fragment: deliveries are signed instead")
    return raw


def _secret(raw: object) -> str:
    if isinstance(raw, str) and SHORTEST_SECRET <= len(raw) < LARGEST_SECRET and raw.isprintable():
        return raw
    raise ValueError(
        f"expected a text of {SHORTEST_SECRET} characters or more, such as `openssl rand -hex 32`"
    )


def _kinds(raw: object) -> tuple[str, ...]:
    found = cast("tuple[str, ...]", kinds.TEXTS.read(raw))
    if found == ("*",):
        return EVENT_KINDS
    for one in found:
        if one not in EVENT_KINDS:
            near = get_close_matches(one, EVENT_KINDS, n=1)
            hint = (
                f"did you mean {near[0]}?" if near else f'expected "*", or some of {", ".join(EVENT_KINDS)}'
            )
            raise ValueError(f"{quoted(one)} is no kind of event; {hint}")
    return tuple(dict.fromkeys(found))


def _patterns(raw: object) -> tuple[str, ...]:
    found = cast("tuple[str, ...]", kinds.PATTERNS.read(raw))
    if not found:
        raise ValueError('expected patterns; leave it out for "**", which is all')
    return found


def _flag(raw: object) -> bool:
    if not isinstance(raw, bool):
        raise ValueError("expected true or false")
    return raw


def _timeout(raw: object) -> int:
    seconds = kinds.parse_duration(raw)
    if not 1 <= seconds <= 60:
        raise ValueError("expected from 1 to 60 seconds")
    return seconds


_READERS: Final[dict[str, Callable[[object], Any]]] = {
    "name": _name,
    "url": _url,
    "secret_file": kinds.TEXT.read,
    "secret": _secret,
    "kinds": _kinds,
    "repositories": _patterns,
    "names": _patterns,
    "timeout": _timeout,
    "enabled": _flag,
}


# -- writing ----------------------------------------------------------------------------------------------


def _write_webhooks(value: object) -> object:
    return [_write(one) for one in cast("tuple[Webhook, ...]", value)]


def _write(webhook: Webhook) -> dict[str, object]:
    """As the table that makes it; of the URL only where it leads, as the rest may be a secret."""
    written: dict[str, object] = {one.name: getattr(webhook, one.name) for one in fields(webhook)}
    written["url"] = f"{webhook.site}/{HIDDEN}"
    written["secret"] = HIDDEN
    return {
        name: [*value] if isinstance(value, tuple) else value
        for name, value in written.items()
        if value is not None and not (name == "secret" and webhook.secret_file)
    }


WEBHOOKS = Kind("list of webhooks; in the environment in JSON", _read_webhooks, _write_webhooks, secret=True)
