"""Blocks of Python packages: what is the same version is blocked, however it is spelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from nora.formats.pypi.parts import spellings
from tests.support.in_process import application
from tests.support.pypi_index import JSON, PyPIIndex
from tests.support.tables import each
from tests.support.upstream import upstream
from tests.support.wheels import Release


@each(
    ("version", "others"),
    [
        ("1.2", {"1.2.0", "1.2.0.0", "1.2.0.0.0", "1.2.0.0.0.0"}),
        ("1.2.0.0.0.0", {"1.2", "1.2.0", "1.2.0.0", "1.2.0.0.0"}),
        ("1!2.0rc1", {"1!2rc1", "1!2.0.0rc1", "1!2.0.0.0rc1", "1!2.0.0.0.0rc1", "1!2.0.0.0.0.0rc1"}),
        ("1.2.3.4.5.6.7", set()),
        ("0", {"0.0", "0.0.0", "0.0.0.0", "0.0.0.0.0", "0.0.0.0.0.0"}),
        ("1.2.3.4.5.post1.dev2+local.1", {"1.2.3.4.5.0.post1.dev2+local.1"}),
        ("2!2.2.2.2.2", {"2!2.2.2.2.2.0"}),
        ("no-version", set()),
    ],
)
def test_zeros_at_the_end_of_a_release_make_no_other_version(version: str, others: set[str]) -> None:
    """PEP 440: an installer that is asked for `==1.2` takes 1.2.0."""
    assert set(spellings(version)) == others


@pytest.mark.anyio
@pytest.mark.parametrize("said", [{"version": "1\n2"}, {"version": "\x00"}, {"name": "de\nmo"}])
async def test_what_is_blocked_is_said_on_one_line(tmp_path: Path, said: dict[str, str]) -> None:
    async with application(tmp_path) as http:
        body = {"repository": "pypi", "name": "demo", "reason": "it bites", **said}
        assert (await http.post("/api/v1/admin/blocks", json=body)).status_code == 400
        assert (await http.get("/api/v1/admin/blocks")).json() == {"blocks": []}


@pytest.mark.anyio
@pytest.mark.parametrize(("blocked", "listed"), [("1.2", "1.2.0"), ("1.2.0", "1.2")])
async def test_a_blocked_version_is_not_to_be_had_by_another_spelling(
    tmp_path: Path, blocked: str, listed: str
) -> None:
    with upstream() as up:
        index = PyPIIndex()
        index.mount(up)
        bad, good = (Release(project="demo", version=one).wheel() for one in (listed, "1.3"))
        index.add(bad, good)
        settings = {"NORA_PYPI_PROXY": f"{up.url}/simple", "NORA_PYPI_METADATA_TTL": "3600"}
        async with application(tmp_path, **settings) as http:
            assert (await http.get(f"/simple/demo/{bad.filename}")).content == bad.body
            said = {"repository": "pypi", "name": "demo", "version": blocked, "reason": "it bites"}
            answer = await http.post("/api/v1/admin/blocks", json=said)
            assert (answer.status_code, answer.json()["version"]) == (200, blocked)
            assert (await http.get(f"/simple/demo/{bad.filename}")).status_code == 403
            page = await http.get("/simple/demo/", headers={"accept": JSON})
            assert [file["filename"] for file in page.json()["files"]] == [good.filename]
            assert [one["version"] for one in (await http.get("/api/v1/admin/blocks")).json()["blocks"]] == [
                blocked
            ]
