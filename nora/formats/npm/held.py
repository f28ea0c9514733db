"""What is here of an upstream's package: its tarballs, and of each what its packument said when it came.

So a package can be installed from a source that is not asked, whatever became of its packument.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from nora.catalog.records import PackageFile
from nora.formats.npm.names import PackageName, version_order
from nora.formats.npm.packument import Listed, encode, listed


def remember(hashes: Mapping[str, str], manifest: Mapping[str, Any] | None) -> bytes:
    """The document in the row of a tarball."""
    return orjson.dumps({"hashes": hashes, **({} if manifest is None else {"manifest": manifest})})


def known_hashes(document: bytes) -> Mapping[str, str]:
    """Those that were listed when a tarball came."""
    found: Mapping[str, str] = orjson.loads(document).get("hashes", {})
    return found


def held_versions(rows: Sequence[PackageFile]) -> frozenset[str]:
    """The versions whose tarballs are here."""
    return frozenset(row.version for row in rows if row.version is not None)


def held_stored(name: str, rows: Sequence[PackageFile]) -> bytes:
    """The packument of what is here, in its stored form, where the upstream's is not."""
    return encode(_listed(name, rows), lambda: ({"_id": name, "name": name}, {}))


def _listed(name: str, rows: Sequence[PackageFile]) -> Iterator[Listed]:
    found = [(row.version, row) for row in rows if row.version is not None]
    for version, row in sorted(found, key=lambda one: version_order(one[0])):
        document = orjson.loads(row.document)
        manifest = document.get("manifest")
        if isinstance(manifest, dict) and isinstance(manifest.get("dist"), dict):
            hashes = {**document.get("hashes", {}), "sha256": row.blob.digest.encoded}
            filename = row.path.removeprefix(f"{PackageName(name)}/-/")
            yield listed(version, filename, manifest, hashes)
