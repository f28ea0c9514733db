"""Whole publications of any kind: taken, and then served by every endpoint, or refused; never a failure."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from nora.formats.cargo.names import prefix_of
from nora.formats.cargo.samples import crate, publication
from tests.formats.cargo.wire import API
from tests.support.in_process import application
from tests.support.properties import DAMAGES, VALUES, Damage, damaged, holds_for_all

pytestmark = pytest.mark.anyio

DEPENDENCY = st.fixed_dictionaries(
    {"name": st.just("dep") | VALUES, "version_req": st.just("^1") | VALUES},
    optional=dict.fromkeys(
        ("features", "optional", "default_features", "target", "kind", "registry", "explicit_name_in_toml"),
        VALUES,
    ),
)
FIELDS = (
    *("name", "vers", "links", "rust_version", "description", "authors", "keywords", "categories", "license"),
    *("readme", "readme_file", "homepage", "documentation", "repository", "badges", "license_file", "x"),
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "deps": st.lists(DEPENDENCY, max_size=2) | VALUES,
        "features": st.dictionaries(st.text(max_size=6), st.lists(st.text(max_size=8), max_size=2)) | VALUES,
        **dict.fromkeys(FIELDS, VALUES),
    },
).map(lambda one: dict([*one.items()][:3]))
NUMBERS = itertools.count()


async def test_a_publication_is_taken_and_served_or_refused(tmp_path: Path) -> None:
    env = {"NORA_PROXY_MODE": "offline", "NORA_STORAGE_DURABILITY": "none"}
    async with application(tmp_path, **env) as http:

        async def check(example: tuple[dict[str, Any], Damage]) -> None:
            changes, damage = example
            name = f"published{next(NUMBERS)}"
            said = {"name": name, "vers": "1.0.0", "deps": [], "features": {}, **changes}
            body = damaged(publication(json.dumps(said).encode(), crate(name, "1.0.0")), damage)
            answer = await http.put(f"{API}/new", content=body)
            assert answer.status_code in (200, 400, 413), answer.text
            index = f"/cargo/index/{prefix_of(name)}/{name}"
            there = (await http.get(index)).status_code
            assert there == (200 if answer.status_code == 200 else 404), answer.text
            if there == 200:
                for path in (
                    f"{API}/{name}",
                    f"{API}/{name}/versions",
                    f"{API}/{name}/1.0.0",
                    f"{API}/{name}/1.0.0/dependencies",
                    f"{API}/{name}/1.0.0/download",
                    f"{API}?q={name}",
                ):
                    found = await http.get(path)
                    assert found.status_code == 200, (path, found.text)

        await holds_for_all(st.tuples(CHANGES, DAMAGES), check)
