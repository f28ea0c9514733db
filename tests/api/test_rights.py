"""Who sees what by the API: what the protocol of each format would have answered, and nothing beside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.support.in_process import add_token
from tests.ui.test_rights import filled

pytestmark = pytest.mark.anyio

V1 = "/api/v1"
OF_PACKAGES = ("packages", "versions", "version", "files", "tags")
SCOPES = ("docker:team/web:read", "pypi:acme-*:read", "raw:builds/7/**:read", "npm:@team/*:read,write")
NAMES = {
    "docker": "team/app",
    "pypi": "acme-lib",
    "npm": "@team/ui",
    "cargo": "team_counts",
}


class Place(NamedTuple):
    http: httpx.AsyncClient
    callers: Mapping[str, dict[str, str]]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A registry of which anybody may read the modules of npm alone, and who asks it."""
    folder = tmp_path_factory.mktemp("closed")
    async with filled(folder, NORA_NPM_ANONYMOUS_READ="true") as http:
        tokens = {
            "reader": await add_token(folder, "read"),
            "publisher": await add_token(folder, "write"),
            "admin": await add_token(folder, "admin"),
            "scoped": await add_token(folder, "write", *SCOPES),
            "elsewhere": await add_token(folder, "read", "maven:org.none:*:read"),
        }
        callers = {name: {"authorization": f"Bearer {token}"} for name, token in tokens.items()}
        yield Place(http, {"anonymous": {}, **callers})


async def get(place: Place, who: str, path: str) -> httpx.Response:
    return await place.http.get(path, headers=place.callers[who])


async def read(place: Place, who: str, path: str) -> Any:
    answer = await get(place, who, path)
    assert answer.status_code == 200, (who, path, answer.text)
    return answer.json()


def asked_of_protocol(form: str, name: str) -> str:
    """What a client asks for first."""
    return {
        "docker": f"/v2/{name}/tags/list",
        "pypi": f"/simple/{name}/",
        "npm": f"/npm/{name}",
        "cargo": f"/cargo/api/v1/crates/{name}",
    }[form]


async def everything(place: Place, form: str) -> set[str]:
    """All names of a format that there are."""
    found, after = set(), ""
    while after is not None:
        page = await read(place, "admin", f"{V1}/repositories/{form}/packages?limit=2&after={after}")
        found |= {one["name"] for one in page["packages"]}
        after = page["after"]
    return found


async def test_a_package_is_shown_to_who_may_fetch_it(place: Place) -> None:
    for form in NAMES:
        names = await everything(place, form)
        assert NAMES[form] in names
        for who in place.callers:
            fetched = set()
            for name in sorted(names):
                wanted = (await get(place, who, asked_of_protocol(form, name))).status_code
                fetched |= {name} if wanted == 200 else set()
                for part in OF_PACKAGES:
                    seen = await get(place, who, f"{V1}/repositories/{form}/{part}/{name}")
                    assert (seen.status_code == 200) == (wanted == 200), (who, part, name, seen.text)
                    assert seen.status_code in (200, 401, 403, 404)
            listing = await get(place, who, f"{V1}/repositories/{form}/packages?limit=100")
            listed = {one["name"] for one in listing.json().get("packages", [])}
            assert listed == fetched, (who, form)


async def test_what_is_found_is_what_may_be_fetched(place: Place) -> None:
    for who in place.callers:
        for text in ("team", "acme", "lib", "app"):
            answer = await get(place, who, f"{V1}/search?q={text}")
            assert answer.status_code == 200
            for one in answer.json()["packages"]:
                if one["format"] in NAMES:
                    path = asked_of_protocol(one["format"], one["name"])
                    assert (await get(place, who, path)).status_code == 200, (who, one)
        names = {one["name"] for one in (await read(place, who, f"{V1}/search?q=team"))["packages"]}
        assert ("team/app" in names) == (who in ("reader", "publisher", "admin")), who


async def test_files_are_listed_for_who_may_fetch_them(place: Place) -> None:
    paths = ("builds/7/app.tar.gz", "builds/8/app.tar.gz", "readme.txt")
    for who in place.callers:
        for path in paths:
            folder, _, name = path.rpartition("/")
            answer = await get(place, who, f"{V1}/repositories/raw/entries/{folder}".rstrip("/"))
            listed = {one["name"] for one in answer.json().get("entries", [])}
            assert (name in listed) == ((await get(place, who, f"/raw/{path}")).status_code == 200), (
                who,
                path,
            )


async def test_a_repository_is_told_of_to_who_may_read_in_it(place: Place) -> None:
    seen = {}
    for who in place.callers:
        found = (await read(place, who, f"{V1}/repositories"))["repositories"]
        seen[who] = {one["name"] for one in found}
        formats = (await read(place, who, f"{V1}/formats"))["formats"]
        assert {name for one in formats for name in one["repositories"]} == seen[who]
        for name in ("docker", "npm", "secret-wheels", "absent"):
            status = (await get(place, who, f"{V1}/repositories/{name}")).status_code
            hidden = 401 if who == "anonymous" else 404
            assert status == (200 if name in seen[who] else hidden), (who, name)
        held = {one["name"] for one in found if one["held"] is not None}
        open_to_all = {"npm"}
        assert held == (seen[who] if who in ("reader", "publisher", "admin") else open_to_all & seen[who])
        told = who in ("reader", "publisher", "admin")
        assert all((one["upstreams"] is not None) == told for one in found), who
    assert seen["anonymous"] == {"npm"}
    assert seen["scoped"] == {"docker", "pypi", "raw", "npm"}
    assert "secret-wheels" in seen["reader"]


async def test_what_concerns_the_server_is_for_who_may_read_all_of_it(place: Place) -> None:
    for who in place.callers:
        server = await read(place, who, f"{V1}/server")
        told = {name for name in ("stored", "traffic", "formats", "concerns") if server[name] is not None}
        assert bool(told) == (who in ("reader", "publisher", "admin")), who
        history = await read(place, who, f"{V1}/history")
        assert (history["slots"] is not None) == bool(told), who
        me = await read(place, who, f"{V1}/me")
        assert me["role"] == {"publisher": "write", "scoped": "write", "admin": "admin"}.get(who, "read")
        assert me["method"] == ("anonymous" if who == "anonymous" else "token")


async def test_administration_is_for_administrators(place: Place) -> None:
    document = await read(place, "admin", "/api-docs/openapi.json")
    paths = [
        (item["x-nora-path"], method)
        for item in document["paths"].values()
        for method in item
        if isinstance(item[method], dict) and item[method].get("x-nora-action") == "admin"
    ]
    assert len(paths) > 10
    for path, method in paths:
        for who in place.callers:
            answer = await place.http.request(method, path, headers=place.callers[who])
            refused = {"anonymous": (401,), "admin": (200, 400, 404)}.get(who, (403,))
            assert answer.status_code in refused, (who, method, path)


async def test_without_anonymous_read_nothing_is_told(tmp_path: Path) -> None:
    async with filled(tmp_path) as http:
        place = Place(http, {"anonymous": {}})
        for path in ("server", "me", "formats", "repositories", "search?q=a", "repositories/npm/packages"):
            assert (await get(place, "anonymous", f"{V1}/{path}")).status_code == 401, path
