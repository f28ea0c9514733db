"""Answers that are given again to who shows credentials: for the same rights alone, as long as those hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from blacksheep import Response

from nora.blobs.layout import Layout
from nora.catalog.sqlite import SQLiteCatalog
from nora.formats.docker import manifests
from tests.support.access import PASSWORD, USER, write_users
from tests.support.in_process import add_token, application
from tests.support.oci import INDEX, index
from tests.support.waiting import until

PUBLIC, PRIVATE = "/v2/open/app/manifests/1", "/v2/team/app/manifests/1"
MANIFEST = index([])
CONFIG = """
[repositories.open]
format = "docker"
anonymous_read = true
"""

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all answers that were made, not given again."""
    found: list[str] = []
    respond = manifests.blob_response

    async def counted(request: httpx.Request, *args: object, **named: object) -> Response:
        found.append(request.scope["path"])  # type: ignore[attr-defined]
        return await respond(request, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(manifests, "blob_response", counted)
    return found


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "nora.toml").write_text(CONFIG)
    users = write_users(tmp_path / "users", **{USER: PASSWORD})
    return {
        "NORA_CONFIG_PATH": str(tmp_path / "nora.toml"),
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(users),
        "NORA_PROXY_MODE": "offline",
    }


@pytest.fixture
async def http(tmp_path: Path, settings: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with application(tmp_path, **settings) as client:
        await push(tmp_path, client)
        yield client


async def push(folder: Path, http: httpx.AsyncClient) -> None:
    held = bearer(await add_token(folder, "write"))
    for path in (PUBLIC, PRIVATE):
        answer = await http.put(path, content=MANIFEST, headers={"content-type": INDEX, **held})
        assert answer.status_code == 201, answer.text


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


async def test_who_has_the_same_rights_gets_the_same(
    http: httpx.AsyncClient, made: list[str], tmp_path: Path
) -> None:
    one, other = [bearer(await add_token(tmp_path, "read", user=name)) for name in ("one", "other")]
    first, *others = [await http.get(PRIVATE, headers=one) for _ in range(3)]
    assert made == [PRIVATE]
    assert (await http.get(PRIVATE, headers=other)).content == MANIFEST  # found out who that is
    made.clear()
    others += [await http.get(PRIVATE, headers=held) for held in (other, one)]
    assert made == []
    assert len({one.headers.pop("x-request-id") for one in (first, *others)}) == 5
    assert all((one.content, one.headers) == (MANIFEST, first.headers) for one in others)
    condition = {"if-none-match": first.headers["etag"]}
    assert (await http.get(PRIVATE, headers={**one, **condition})).status_code == 304
    assert made == []


async def test_nobody_else_gets_it(http: httpx.AsyncClient, made: list[str], tmp_path: Path) -> None:
    reader = bearer(await add_token(tmp_path, "read"))
    foreign = bearer(await add_token(tmp_path, "read", "docker:other/*:read"))
    own = bearer(await add_token(tmp_path, "read", "docker:team/*:read"))
    for _ in range(3):
        assert (await http.get(PRIVATE, headers=reader)).status_code == 200
        assert (await http.get(PRIVATE, headers=foreign)).status_code == 403
        assert (await http.get(PRIVATE, headers=own)).status_code == 200
        assert (await http.get(PRIVATE)).status_code == 401
        assert (await http.get(PRIVATE, headers=bearer("nra_wrong"))).status_code == 401
        assert (await http.get(PRIVATE, auth=(USER, "wrong"))).status_code == 401
        several = [*reader.items(), *own.items()]
        assert (await http.get(PRIVATE, headers=several)).status_code == 401
    assert made == [PRIVATE, PRIVATE]


async def test_what_another_worker_revoked_is_refused_at_once(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(application(tmp_path, **settings)) for _ in range(2)]
        await push(tmp_path, one)
        held = bearer(await add_token(tmp_path, "read", user="reader"))
        admin = bearer(await add_token(tmp_path, "admin", user="admin"))
        assert [(await one.get(PRIVATE, headers=held)).status_code for _ in range(3)] == [200] * 3
        revoked = {"username": "reader"}
        assert (await two.post("/api/v1/admin/tokens/revoke", json=revoked, headers=admin)).is_success
        assert (await one.get(PRIVATE, headers=held)).status_code == 401


async def test_a_password_is_one_for_as_long_as_it_is(
    http: httpx.AsyncClient, made: list[str], tmp_path: Path
) -> None:
    for _ in range(3):
        assert (await http.get(PRIVATE, auth=(USER, PASSWORD))).content == MANIFEST
    assert made == [PRIVATE]
    write_users(tmp_path / "users", **{USER: "another one"})

    async def is_refused() -> bool:
        return (await http.get(PRIVATE, auth=(USER, PASSWORD))).status_code == 401

    await until(is_refused, "the file of users read again")
    assert (await http.get(PRIVATE, auth=(USER, "another one"))).status_code == 200


async def test_who_is_locked_out_gets_nothing_that_is_kept(http: httpx.AsyncClient, tmp_path: Path) -> None:
    for _ in range(2):
        assert (await http.get(PRIVATE, auth=(USER, PASSWORD))).status_code == 200
    found = [(await http.get(PRIVATE, auth=(USER, f"{number}"))).status_code for number in range(30)]
    assert set(found) == {401, 429}
    assert (await http.get(PRIVATE, auth=(USER, PASSWORD))).status_code == 429


async def test_a_session_has_the_rights_that_it_was_made_with(
    http: httpx.AsyncClient, made: list[str]
) -> None:
    asked = {"service": "nora", "scope": "repository:team/app:pull"}
    for _ in range(2):
        answer = await http.get("/v2/token", params=asked, auth=(USER, PASSWORD))
        held = bearer(answer.json()["token"])
        for _ in range(2):
            assert (await http.get(PRIVATE, headers=held)).content == MANIFEST
        assert (await http.get(PRIVATE.replace("team", "other"), headers=held)).status_code == 401
    assert len(made) <= 2


async def test_credentials_that_mean_nothing_are_answered_anew(
    http: httpx.AsyncClient, made: list[str]
) -> None:
    for _ in range(2):
        assert (await http.get(PUBLIC, headers=bearer("of-another-registry"))).content == MANIFEST
    assert made == [PUBLIC, PUBLIC]


async def test_limits_for_everybody_are_for_the_known_as_well(
    tmp_path: Path, settings: dict[str, str], made: list[str]
) -> None:
    few = {"NORA_RATE_LIMIT_GENERAL_RPS": "1", "NORA_RATE_LIMIT_GENERAL_BURST": "4"}
    for everybody, found in (("false", [200] * 5), ("true", [200, 200, 200, 200, 429])):
        folder = tmp_path / everybody
        folder.mkdir()
        limits = {**settings, **few, "NORA_RATE_LIMIT_AUTHENTICATED": everybody}
        async with application(folder, **limits) as http:
            await push(folder, http)
            held = bearer(await add_token(folder, "read"))
            assert [(await http.get(PRIVATE, headers=held)).status_code for _ in range(5)] == found


async def test_each_read_is_audited_and_a_use_of_its_token(
    tmp_path: Path, settings: dict[str, str], made: list[str]
) -> None:
    audited = {**settings, "NORA_AUDIT_LOG": "file", "NORA_AUDIT_READS": "true"}
    async with application(tmp_path, **audited) as http:
        await push(tmp_path, http)
        held = bearer(await add_token(tmp_path, "read", user="reader"))
        for _ in range(3):
            assert (await http.get(PRIVATE, headers=held)).status_code == 200
    told = (tmp_path / "storage" / "audit.jsonl").read_text().splitlines()
    assert sum('"reader"' in line for line in told) == 3
    catalog = SQLiteCatalog.open(Layout(tmp_path / "storage").catalog)
    try:
        [token] = await catalog.list_tokens("reader", "", 10)
    finally:
        await catalog.close()
    assert token.last_used_at
