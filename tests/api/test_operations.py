"""What the API does to packages is what their protocols do, and said before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.in_process import add_token
from tests.ui.test_rights import filled

pytestmark = pytest.mark.anyio

PATH = "/api/v1/operations"
FILE = {"repository": "raw", "file": "readme.txt"}
WHEEL = {"repository": "pypi", "package": "acme-lib"}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


async def names(http: httpx.AsyncClient, subject: dict[str, str]) -> set[str]:
    answer = await http.get(PATH, params=subject)
    assert answer.status_code == 200, answer.text
    return {one["name"] for one in answer.json()["operations"]}


async def do(http: httpx.AsyncClient, status: int, **said: Any) -> Any:
    answer = await http.post(PATH, json=said)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_dry_run_changes_nothing_and_the_run_does_what_it_said(tmp_path: Path) -> None:
    async with filled(tmp_path, NORA_AUTH_ANONYMOUS_READ="true") as http:
        assert await names(http, FILE) == set()
        await do(http, 401, **FILE, operation="delete")
        http.headers["authorization"] = f"Bearer {await add_token(tmp_path, 'read')}"
        assert await names(http, WHEEL) == set()
        await do(http, 404, **FILE, operation="delete", dry_run=True)
        await do(http, 403, **FILE, operation="delete")
        http.headers["authorization"] = f"Bearer {await add_token(tmp_path, 'admin')}"
        assert "delete" in await names(http, FILE)
        told = await do(http, 200, **FILE, operation="delete", dry_run=True)
        assert (told["done"], (await http.get("/raw/readme.txt")).status_code) == (False, 200)
        done = await do(http, 200, **FILE, operation="delete")
        assert (done["done"], done["extent"]) == (True, told["extent"])
        assert (await http.get("/raw/readme.txt")).status_code == 404
        versions = (await http.get("/api/v1/repositories/pypi/versions/acme-lib")).json()["versions"]
        one = {**WHEEL, "version": versions[0]["version"]}
        assert versions[0]["state"] == "live"
        assert "yank" in await names(http, one)
        await do(http, 200, **one, operation="yank", reason="a mistake")
        versions = (await http.get("/api/v1/repositories/pypi/versions/acme-lib")).json()["versions"]
        assert versions[0]["state"] == "yanked"
        for wrong in ({"dry_run": "yes"}, {"operation": ""}, {"repository": ""}, {"other": 1}):
            answer = await http.post(PATH, json={**one, "operation": "yank", **wrong})
            assert answer.status_code in (400, 404), wrong
