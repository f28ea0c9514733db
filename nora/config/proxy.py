"""The settings of what is asked of upstreams, whatever the format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import inf
from typing import Literal, get_args

from nora.config import kinds
from nora.config.declare import setting
from nora.config.kinds import DAY, MIB, MINUTE, Kind, TtlSeconds
from nora.config.upstreams import ADDRESS

ProxyMode = Literal["online", "offline"]
PROXY_MODES: tuple[ProxyMode, ...] = get_args(ProxyMode)
ClaimPolicy = Literal["write", "admin", "reserved"]
CLAIM_POLICIES: tuple[ClaimPolicy, ...] = get_args(ClaimPolicy)


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What is asked of upstreams."""

    mode: ProxyMode = setting(
        "online",
        kinds.choice(*PROXY_MODES),
        "`offline`: no upstream is asked for anything; what is not cached is not there.",
    )
    reserved: tuple[str, ...] = setting(
        (),
        kinds.PATTERNS,
        "Names that are yours before you have uploaded anything: no upstream is asked for them. Patterns as "
        "in `corp-*`, `@corp/*`, `com.corp.**`.",
    )
    extend: tuple[str, ...] = setting(
        (),
        kinds.PATTERNS,
        "Names of yours for which upstreams are asked all the same: what is there and here is merged.",
    )
    claims: ClaimPolicy = setting(
        "write",
        kinds.choice(*CLAIM_POLICIES),
        "Who may claim a name that nobody has seen: `write` - whoever may write; `admin` - administrators; "
        "`reserved` - nobody, except for names of `reserved`.",
    )
    max_file_size: int = setting(64 * 1024 * MIB, kinds.size(1), "Largest file that is taken in.")
    finish_below: int = setting(
        64 * MIB,
        kinds.size(),
        "A file that nobody waits for any more is fetched to its end when at most so much is missing. Else "
        "what has come is kept for an hour for who asks next, who goes on from there if the upstream has "
        "Range, and a digest or a strong ETag tells that it is the same file; if not, it begins anew.",
    )
    absent_ttl: int = setting(
        MINUTE, kinds.duration(), "How long it is remembered that an upstream does not have something."
    )
    stale_ttl: TtlSeconds = setting(
        inf, kinds.TTL, "How long past its freshness a copy is served while an upstream fails."
    )
    unused_ttl: int = setting(
        30 * DAY, kinds.duration(MINUTE), "A document that nobody asked for so long is dropped."
    )
    connect_timeout: int = setting(5, kinds.duration(1), "How long a connection may take.")
    read_timeout: int = setting(30, kinds.duration(1), "The longest silence of an upstream in an answer.")
    timeout: int = setting(60, kinds.duration(1), "How long an upstream may take for a whole document.")
    answer_timeout: int = setting(
        12,
        kinds.duration(1),
        "How long a client waits for upstreams, over all tries, mirrors and sources, until it is told to try "
        "again; what is under way goes on. pip itself gives up after 15 seconds.",
    )
    retries: int = setting(
        2, kinds.integer(0, 10), "How often something is tried again that may work the next time."
    )
    allow_private: tuple[str, ...] = setting(
        (),
        kinds.HOSTS,
        "Hosts to which redirects and links of any upstream may lead wherever they are, such as "
        "`files.example.com` or `*.example.com`; `true`: any. Without it they lead to the internet, and into "
        "private networks only from an upstream that is in one itself. Upstreams that are configured may be "
        "anywhere.",
    )


@dataclass(frozen=True, slots=True)
class Breaker:
    """When an upstream is left alone for a while."""

    enabled: bool
    failure_threshold: int
    """Failures in a row."""
    reset_timeout: int
    """Seconds until it is tried again."""


Overrides = tuple[tuple[str, Mapping[str, object]], ...]
"""Of upstreams, by `format:url`."""
_OVERRIDES: Mapping[str, Kind] = {
    "enabled": kinds.BOOLEAN,
    "failure_threshold": kinds.integer(1),
    "reset_timeout": kinds.duration(1),
}
_EXPECTED = (
    "expected tables by format and URL, such as "
    '{ "format:https://registry.example.com" = { enabled = false } }'
)


def _read_overrides(raw: object) -> Overrides:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            raise ValueError(_EXPECTED) from None
    if not isinstance(raw, dict):
        raise ValueError(_EXPECTED)
    return tuple((_read_key(key), _read_override(table)) for key, table in raw.items())


def _read_key(key: object) -> str:
    format_name, colon, url = str(key).partition(":")
    if not format_name or not colon:
        raise ValueError(_EXPECTED)
    return f"{format_name}:{ADDRESS.read(url)}"


def _read_override(table: object) -> dict[str, object]:
    if not isinstance(table, dict) or not table.keys() <= _OVERRIDES.keys():
        raise ValueError(f"expected {', '.join(_OVERRIDES)} of an upstream")
    found = {}
    for name, value in table.items():
        try:
            found[name] = _OVERRIDES[name].read(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return found


def _write_overrides(value: object) -> object:
    assert isinstance(value, tuple)
    return {key: {name: _OVERRIDES[name].write(one) for name, one in table.items()} for key, table in value}


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When an upstream that fails is left alone."""

    enabled: bool = setting(
        True, kinds.BOOLEAN, "Leave an upstream alone that fails again and again, for a while."
    )
    failure_threshold: int = setting(
        5,
        kinds.integer(1),
        "So many failures in a row, of different resources or because no connection came about.",
        env=("NORA_CB_THRESHOLD",),
    )
    reset_timeout: int = setting(30, kinds.duration(1), "Until it is tried again, by one request.")
    overrides: Overrides = setting(
        (),
        Kind('`{ "format:url" = { … } }`; in the environment in JSON', _read_overrides, _write_overrides),
        "The same three for one upstream.",
    )

    def of(self, format_name: str, url: str) -> Breaker:
        """What holds for the upstream `url` of a format."""
        values = {one.name: getattr(self, one.name) for one in fields(Breaker)}
        return Breaker(**{**values, **dict(self.overrides).get(f"{format_name}:{url}", {})})


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long upstreams may take, in seconds."""

    connect: int
    idle: int
    """Before an answer begins, and between two pieces of it."""
    total: int
    """For a whole document."""
    answer: int = 12
    """Until a client has its answer, whoever is asked for it."""
