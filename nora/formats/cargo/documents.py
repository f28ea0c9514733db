"""What tools are told of a crate beside its index, as crates-io says it: made of the lines of the index.

All of it may run in another process: an index file may be large, and is what an upstream sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from nora.formats.cargo.hosted import about
from nora.formats.cargo.index import Line, Part, lines, offered, parts_file
from nora.formats.cargo.names import version_order

MOST_VERSIONS: Final = 10_000
"""Told of a crate: the ones that were published last."""
_ABOUT: Final = ("description", "homepage", "documentation", "repository")


def crate_document(parts: Sequence[Part]) -> bytes | None:
    """A crate with its versions, and what its newest one says of itself. None where nothing is left."""
    entries, _ = _entries(parts)
    if not entries:
        return None
    said = _about(parts)
    live = [one["num"] for one in entries if not one["yanked"]] or [one["num"] for one in entries]
    stable = [one for one in live if is_stable(one)]
    name = entries[0]["crate"]
    crate = {
        "id": name,
        "name": name,
        "max_version": newest(live),
        "newest_version": entries[-1]["num"],
        "max_stable_version": newest(stable) if stable else None,
        **{field: said.get(field) for field in _ABOUT},
        "keywords": said.get("keywords", []),
        "categories": said.get("categories", []),
        "versions": [entry["id"] for entry in entries],
    }
    return orjson.dumps({"crate": crate, "versions": entries[::-1], "keywords": [], "categories": []})


def versions_document(parts: Sequence[Part]) -> bytes | None:
    """The versions of a crate, the last published first; None where nothing is left."""
    entries, total = _entries(parts)
    if not entries:
        return None
    return orjson.dumps({"versions": entries[::-1], "meta": {"total": total}})


def version_document(parts: Sequence[Part], version: str) -> bytes | None:
    """One version of a crate."""
    found = _find(parts, version)
    return None if found is None else orjson.dumps({"version": _entry(*found)})


def dependencies_document(parts: Sequence[Part], version: str) -> bytes | None:
    """What a version needs."""
    found = _find(parts, version)
    return None if found is None else orjson.dumps({"dependencies": _dependencies(found[1])})


def newest(versions: Iterable[str]) -> str:
    """That of the highest precedence; what is no release only where there is nothing else."""
    return max(versions, key=lambda one: (is_stable(one), version_order(one)))


def is_stable(version: str) -> bool:
    """Whether it is a release."""
    return "-" not in version.partition("+")[0]


def _about(parts: Sequence[Part]) -> Mapping[str, Any]:
    """What was published says it; an index does not."""
    published = [one for part in parts for one in offered(part.versions, part.hidden)]
    if not published:
        return {}
    last = newest(one.name for one in published)
    return next(about(one) for one in published if one.name == last)


def _entries(parts: Sequence[Part]) -> tuple[list[dict[str, Any]], int]:
    """The last versions, the first published first; how many there are."""
    last: deque[tuple[int, Line]] = deque(enumerate(lines(parts_file(parts)), 1), MOST_VERSIONS)
    return [_entry(*one) for one in last], last[-1][0] if last else 0


def _find(parts: Sequence[Part], version: str) -> tuple[int, Line] | None:
    for number, line in enumerate(lines(parts_file(parts)), 1):
        if line.version == version:
            return number, line
    return None


def _entry(number: int, line: Line) -> dict[str, Any]:
    fields = line.fields
    return {
        "id": number,
        "crate": line.name,
        "num": line.version,
        "checksum": line.checksum,
        "yanked": bool(fields.get("yanked")),
        "dl_path": f"/api/v1/crates/{line.name}/{line.version}/download",
        "features": {**_object(fields.get("features")), **_object(fields.get("features2"))},
        "rust_version": fields.get("rust_version"),
        "links": fields.get("links"),
        "created_at": fields.get("pubtime"),
    }


def _dependencies(line: Line) -> list[dict[str, Any]]:
    listed = line.fields.get("deps")
    return [
        {
            "crate_id": one.get("package") or one.get("name"),
            "req": one.get("req"),
            "optional": bool(one.get("optional")),
            "default_features": one.get("default_features", True),
            "features": one.get("features", []),
            "target": one.get("target"),
            "kind": one.get("kind") or "normal",
        }
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, dict)
    ]


def _object(value: Any) -> Mapping[str, Any]:
    """What upstreams write there may be anything."""
    return value if isinstance(value, dict) else {}
