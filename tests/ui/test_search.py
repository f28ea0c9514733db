"""The page of the search: what it finds, how it is narrowed, and for whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.support.in_process import add_token, application
from tests.ui.test_pages import Page
from tests.ui.test_rights import filled, session

pytestmark = pytest.mark.anyio


class Seeker(NamedTuple):
    http: httpx.AsyncClient
    folder: Path
    headers: dict[str, str]

    async def links(self, headers: dict[str, str] | None = None, **query: str) -> list[str]:
        """Where the results lead, without what is in front of all of them."""
        answer = await self.http.get("/ui/search", params=query, headers=headers or self.headers)
        assert answer.status_code == 200, answer.text
        found = [one.removeprefix("./") for one in Page(answer.text).values("href")]
        return [one for one in found if one.startswith(("packages/", "files/"))]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def seeker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seeker]:
    folder = tmp_path_factory.mktemp("searched")
    async with filled(folder) as http:
        yield Seeker(http, folder, await session(http, "alice", "correct horse"))


async def test_a_typing_mistake_is_forgiven(seeker: Seeker) -> None:
    assert "packages/docker/team/web" in await seeker.links(q="taem web")
    assert "packages/pypi/acme-lib" in await seeker.links(q="acmee-lib")


async def test_results_are_narrowed_by_format_repository_and_source(seeker: Seeker) -> None:
    every = await seeker.links(q="team")
    assert {one.split("/")[1] for one in every} >= {"docker", "npm", "cargo", "maven"}
    images = await seeker.links(q="team", format="docker")
    assert images
    assert all(one.startswith("packages/docker/team/") for one in images)
    assert await seeker.links(q="team", repository="docker") == images
    assert await seeker.links(q="team", format="docker", source="hosted") == images
    assert await seeker.links(q="team", source="cached") == []
    assert await seeker.links(q="team", format="absent") == await seeker.links(q="team", skip="500") == []
    odd = {"source": "x", "skip": "-1", "format": "", "repository": ""}
    assert await seeker.links(q="team", **odd) == every


async def test_tags_and_digests_are_found(seeker: Seeker) -> None:
    for text in ("tag:1.1", "team/app:1.1", "app:1.1", "1.1"):
        assert "packages/docker/team/app?tag=1.1" in await seeker.links(q=text), text
    assert await seeker.links(q="web:1.1") == []
    answer = await seeker.http.get("/v2/team/app/manifests/1.1", headers=await bearer(seeker))
    digest, config = answer.headers["docker-content-digest"], answer.json()["manifests"][0]["digest"]
    for text in (digest, digest[:15], digest[7:], digest.upper()):
        assert await seeker.links(q=text) == [
            f"packages/docker/team/app?version={digest.replace(':', '%3A')}"
        ]
    assert len(await seeker.links(q=config)) == 1
    assert await seeker.links(q=digest[:14]) == []
    raw = await seeker.http.get("/raw/readme.txt", headers=await bearer(seeker))
    assert await seeker.links(q=sha256(raw.content).hexdigest()[:20]) == ["files/raw/readme.txt"]


async def test_who_may_read_a_part_finds_that_part_alone(seeker: Seeker) -> None:
    token = await add_token(seeker.folder, "read", "docker:team/app:read", user="builds")
    narrow = await session(seeker.http, "builds", token)
    assert await seeker.links(narrow, q="team") == ["packages/docker/team/app"]
    assert await seeker.links(narrow, q="tag:latest") == ["packages/docker/team/app?tag=latest"]
    for text in ("acme-lib", "web", "acmee-lib"):
        page = await seeker.http.get("/ui/search", params={"q": text}, headers=narrow)
        assert "Nothing that you may read" in page.text, text
    web = await seeker.http.get("/v2/team/web/manifests/latest", headers=await bearer(seeker))
    assert await seeker.links(narrow, q=web.headers["docker-content-digest"]) == []


async def bearer(seeker: Seeker) -> dict[str, str]:
    token = await add_token(seeker.folder, "read", user="reader")
    return {"authorization": f"Bearer {token}"}


async def test_the_page_of_a_search_says_where_it_is(tmp_path: Path) -> None:
    async with application(tmp_path) as http:
        page = (await http.get("/ui/search?q=team")).text
        assert 'name="back" value="search?q=team"' in page
