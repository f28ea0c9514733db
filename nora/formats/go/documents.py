"""What is said of versions: lists of them, and the `.info` of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import orjson

from nora.catalog.blocks import Hidden
from nora.formats.go.names import is_canonical, is_pseudo, newest, version_order

MOST_VERSIONS: Final = 100_000
"""In a list: no module has a tenth of it."""


class Part(NamedTuple):
    """What a repository has of a module, and what of that is not offered."""

    listed: bytes = b""
    """The list of an upstream."""
    here: tuple[tuple[str, str], ...] = ()
    """Versions whose zips are here, and the digests of these."""
    hidden: Hidden | None = None
    """What is blocked."""

    @property
    def weight(self) -> int:
        """For `offload`."""
        return len(self.listed) + 32 * len(self.here)


def listed_versions(body: bytes) -> Iterator[str]:
    """The versions in a list: the first words of its lines. What is no version of a module is left out."""
    for number, line in enumerate(body.split(b"\n")):
        if number >= MOST_VERSIONS:
            return
        word = line.split(None, 1)[:1]
        text = word[0].decode("latin-1") if word else ""
        if is_canonical(text):
            yield text


def is_list(body: bytes) -> bool:
    """Whether it may be a list of versions, and no page that a stranger sends in its place."""
    return not body.strip() or any(line.lstrip()[:1] == b"v" for line in body[:4096].split(b"\n"))


def offered(parts: Iterable[Part]) -> list[str]:
    """The versions that there are, commits included, in their order."""
    found: set[str] = set()
    for part in parts:
        digests = dict(part.here)
        for version in {*digests, *listed_versions(part.listed)}:
            if part.hidden is None or not part.hidden.has(version, *filter(None, [digests.get(version)])):
                found.add(version)
    return sorted(found, key=version_order)


def render_list(parts: Sequence[Part]) -> bytes:
    """The list of a module: its versions but for those that name commits. It may run in another process."""
    return "".join(f"{one}\n" for one in offered(parts) if not is_pseudo(one)).encode()


def newest_of(parts: Sequence[Part]) -> str | None:
    """Which version is `latest` where nobody says it. It may run in another process."""
    return newest(offered(parts))


def version_in(info: bytes) -> str | None:
    """The version that an `.info` is about, as far as it says one in full."""
    try:
        fields = orjson.loads(info)
    except orjson.JSONDecodeError:
        return None
    version = fields.get("Version") if isinstance(fields, dict) else None
    return version if isinstance(version, str) and is_canonical(version) else None
