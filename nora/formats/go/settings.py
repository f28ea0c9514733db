"""The settings of Go modules, and whom they ask by default."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from nora.config import ProxiedSettings, TtlSeconds, Upstream, kinds
from nora.config.declare import setting
from nora.config.kinds import MIB, MINUTE, Kind
from nora.config.registries import file_site

LARGEST_ZIP = 500 * MIB
"""That the go command takes, packed and unpacked."""


_database_name = re.compile(r"[a-z0-9]([a-z0-9.-]{0,253}[a-z0-9])?", re.ASCII).fullmatch


def _read_databases(raw: object) -> tuple[tuple[str, str], ...]:
    entries = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(entries, list):
        raise ValueError("expected a list of sum databases")
    found = []
    for entry in entries:
        name, _, url = str(entry).strip().partition("=")
        if not _database_name(name):
            raise ValueError('expected sum databases such as "sum.example.com", or "name=https://…"')
        found.append((name, kinds.parse_url(url or f"https://{name}")))
    return tuple(found)


def _read(raw: object) -> tuple[tuple[str, str], ...]:
    return () if raw in ("off", "", []) else _read_databases(raw)


def _write(value: object) -> object:
    assert isinstance(value, tuple)
    return [f"{name}={url}" for name, url in value]


DATABASES = Kind("list of `name` or `name=url`, or `off`", _read, _write)


@dataclass(frozen=True, slots=True)
class GoSettings(ProxiedSettings):
    """Go modules."""

    enabled: bool = setting(True, kinds.BOOLEAN, "Serve `/go/`.")
    proxy_timeout: int = setting(
        60, kinds.duration(1), "How long an upstream may take for a list, a branch or a `latest`."
    )
    metadata_ttl: TtlSeconds = setting(
        MINUTE, kinds.TTL, "How long lists, branches and `latest` of an upstream are not asked for again."
    )
    revalidate: bool | None = setting(
        None, kinds.BOOLEAN, "Ignored: what an upstream says that it has not changed is never fetched again."
    )
    proxy_timeout_zip: int | None = setting(
        None, kinds.duration(1), "Ignored: a file may take as long as its bytes keep coming (`read_timeout`)."
    )
    max_zip_size: int = setting(
        LARGEST_ZIP,
        kinds.size(1),
        "Largest `.zip` file, published or of an upstream; one that is published is no larger unpacked.",
    )

    verify: bool = setting(
        True, kinds.BOOLEAN, "Read `.zip` files of upstreams through before they are passed on in full."
    )

    sumdb: tuple[tuple[str, str], ...] | None = setting(
        None,
        DATABASES,
        "Sum databases that are passed on; `verify` asks the first one. None said: that of the go command.",
    )

    @property
    def databases(self) -> Mapping[str, str]:
        """Their addresses, by their names."""
        return dict(public_database() if self.sumdb is None else self.sumdb)

    def warnings(self) -> Iterator[str]:
        yield from ProxiedSettings.warnings(self)
        if self.revalidate is False:
            yield "revalidate = false is ignored: it is always done"
        if self.proxy_timeout_zip is not None:
            yield "proxy_timeout_zip is ignored: read_timeout says how long an upstream may be silent"


def module_proxy() -> tuple[Upstream, ...]:
    """The Go module proxy."""
    return (Upstream(file_site("golang")),)


def public_database() -> tuple[tuple[str, str], ...]:
    """The sum database that the go command asks by itself: it is beside the Go module proxy."""
    name = f"sum.{urlsplit(file_site('golang')).netloc.removeprefix('proxy.')}"
    return ((name, f"https://{name}"),)
