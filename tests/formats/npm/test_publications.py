"""Whole publications of any kind: taken, and then served in all forms, or refused; never a failure."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from tests.support.in_process import application
from tests.support.npm_registry import ABBREVIATED, Built
from tests.support.properties import DAMAGES, VALUES, Damage, damaged, holds_for_all

pytestmark = pytest.mark.anyio

FIELDS = (
    *(
        "_id",
        "name",
        "dist-tags",
        "versions",
        "_attachments",
        "readme",
        "access",
        "time",
        "users",
        "maintainers",
    ),
    *(f"versions {name}" for name in ("1.0.0", "9", "__proto__")),
    *(
        f"versions 1.0.0 {name}"
        for name in (
            *("name", "version", "dist", "deprecated", "scripts", "dependencies", "bin", "engines", "readme"),
            *(
                "funding",
                "author",
                "keywords",
                "homepage",
                "license",
                "private",
                "hasInstallScript",
                "_npmUser",
            ),
            *(
                "optionalDependencies",
                "peerDependenciesMeta",
                "bundleDependencies",
                "os",
                "cpu",
                "directories",
            ),
        )
    ),
    *(
        f"versions 1.0.0 dist {name}"
        for name in ("integrity", "shasum", "tarball", "signatures", "attestations")
    ),
    *("dist-tags latest", "dist-tags next", "dist-tags 1.0.0", "_attachments other.tgz"),
    *(f"_attachments @ {name}" for name in ("data", "length", "content_type")),
)
CHANGES = st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=0, max_size=3)
NUMBERS = itertools.count()


def put(document: dict[str, Any], path: list[str], value: object) -> None:
    """Replace what is at a path, where that is in objects."""
    below: Any = document
    for name in path[:-1]:
        below = below.get(name) if isinstance(below, dict) else None
    if isinstance(below, dict):
        below[path[-1]] = value


def body_of(built: Built, changes: dict[str, object], damage: Damage) -> bytes:
    """A publication, with other values in some places, and bytes in the place of others."""
    document = built.publication()
    file = f"{built.name}-1.0.0.tgz"
    for path, value in changes.items():
        put(document, [file if name == "@" else name for name in path.split(" ")], value)
    return damaged(json.dumps(document).encode(), damage)


async def test_a_publication_is_taken_and_served_or_refused(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline", NORA_STORAGE_DURABILITY="none") as http:

        async def check(example: tuple[dict[str, object], Damage]) -> None:
            name = f"p{next(NUMBERS)}"
            body = body_of(Built(name), *example)
            answer = await http.put(
                f"/npm/{name}", content=body, headers={"content-type": "application/json"}
            )
            assert answer.status_code in (201, 400, 403, 404, 413), answer.text
            there = (await http.get(f"/npm/{name}")).status_code
            assert there == (200 if answer.status_code == 201 else 404), answer.text
            if there == 200:
                for path, accept in (
                    (f"/npm/{name}", ABBREVIATED),
                    (f"/npm/{name}/1.0.0", "*/*"),
                    (f"/npm/-/package/{name}/dist-tags", "*/*"),
                    (f"/npm/-/v1/search?text={name}", "*/*"),
                    (f"/npm/{name}/-/{name}-1.0.0.tgz", "*/*"),
                ):
                    found = await http.get(path, headers={"accept": accept})
                    assert found.status_code == 200, (path, found.text)

        await holds_for_all(st.tuples(CHANGES, DAMAGES), check)
