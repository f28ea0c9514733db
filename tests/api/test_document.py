"""The description of the API: that it is one, that it tells what is answered, and nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nora.formats import discover
from tests.support.in_process import add_token, application
from tests.test_access_matrix import ROUTES, settings

pytestmark = pytest.mark.anyio

PATH = "/api-docs/openapi.json"
METHODS = frozenset({"get", "head", "post", "put", "patch", "delete"})
PROBLEM = {"$ref": "#/components/schemas/Problem"}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def http(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A registry of everything, that anybody may read."""
    folder = tmp_path_factory.mktemp("open")
    environ = {**settings(folder), "NORA_AUTH_ANONYMOUS_READ": "true", "NORA_PROXY_MODE": "offline"}
    async with application(folder, **environ) as client:
        yield client


@pytest.fixture(scope="module")
async def document(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.get(PATH)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Method, path as the server has it, operation, path item."""
    return [
        (method.upper(), item["x-nora-path"], item[method], item)
        for item in document["paths"].values()
        for method in METHODS & item.keys()
    ]


async def test_what_it_refers_to_is_there(http: httpx.AsyncClient, document: dict[str, Any]) -> None:
    components = document["components"]
    for kind, name in re.findall(r'"#/components/(\w+)/([^"]+)"', (await http.get(PATH)).text):
        assert name in components[kind], (kind, name)


async def test_no_route_is_missing_and_none_is_invented(document: dict[str, Any]) -> None:
    told = {f"{method} {path}" for method, path, _, _ in operations(document)}
    assert told == {entry["route"] for entry in ROUTES}


async def test_every_operation_says_what_it_is(document: dict[str, Any]) -> None:
    seen = set()
    for method, path, one, item in operations(document):
        where = f"{method} {path}"
        assert len(one["summary"]) > 3, where
        assert one["summary"][0] in "`" or one["summary"][0].isupper(), (where, one["summary"])
        assert one["operationId"] not in seen, where
        seen.add(one["operationId"])
        assert [one["name"] for one in item.get("parameters", [])] == re.findall(r"\{@?([a-z_]+)", path), (
            where
        )
        assert {"token", "password"} <= {name for way in one["security"] for name in way}, where
        assert ({} in one["security"]) == (one.get("x-nora-action") in (None, "read")), where


async def test_paths_of_several_segments_say_so(document: dict[str, Any]) -> None:
    (parameter,) = document["paths"]["/raw/{path}"]["parameters"]
    assert "slashes" in parameter["description"]
    (parameter,) = document["paths"]["/npm/{package}"]["parameters"]
    assert "@scope/name" in parameter["description"]


async def test_every_format_has_its_tag_and_its_dialect(document: dict[str, Any]) -> None:
    tags = {one["name"] for one in document["tags"]}
    assert {one.name for one in discover()} <= tags
    refused = {one["tags"][0]: one["responses"]["4XX"] for m, _, one, _ in operations(document) if m == "PUT"}
    assert {name: [*one["content"]] for name, one in refused.items()} == {
        "cargo": ["application/json"],
        "docker": ["application/json"],
        "go": ["text/plain"],
        "maven": ["text/plain"],
        "npm": ["application/json"],
        "pypi": ["text/plain"],
        "raw": ["text/plain"],
    }


async def test_our_own_endpoints_say_what_they_take_and_give(document: dict[str, Any]) -> None:
    for method, path, one, _ in operations(document):
        if not path.startswith("/api/"):
            continue
        assert {"2XX", "4XX"}.isdisjoint(one["responses"]), path
        given = one["responses"].get("200") or one["responses"]["202"]
        assert method == "HEAD" or given["content"]["application/json"]["schema"]["$ref"], path
        assert method != "POST" or one["requestBody"]["content"]["application/json"]["schema"]["$ref"], path
    schemas = document["components"]["schemas"]
    wish = schemas["TokenWishForUser"]
    assert (wish["required"], wish["additionalProperties"]) == (["username"], False)
    assert "from 1 to 3650" in wish["properties"]["ttl_days"]["description"]
    assert schemas["TokenOfUser"]["properties"].keys() > {"user", "hash_prefix", "scopes"}
    assert (
        document["components"]["responses"]["Problem403"]["content"]["application/json"]["schema"] == PROBLEM
    )


async def test_it_is_sent_once(http: httpx.AsyncClient) -> None:
    first = await http.get(PATH, headers={"accept-encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["cache-control"] == "private, no-cache"
    again = await http.get(PATH, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_the_page_is_where_the_sessions_of_browsers_are(http: httpx.AsyncClient) -> None:
    for path, location in (("/api-docs", "ui/api-docs"), ("/api-docs/", "../ui/api-docs")):
        answer = await http.get(path)
        assert (answer.status_code, answer.headers["location"]) == (302, location)
    page = await http.get("/ui/api-docs")
    assert page.headers["content-security-policy"].endswith("; img-src 'self' data:")
    assert page.headers["x-frame-options"] == "DENY"
    for name in re.findall(r'(?:href|src)="\./(static/[^"]+)"', page.text):
        assert (await http.get(f"/ui/{name}")).status_code == 200, name
    assert "swagger-ui-bundle.js?v=" in page.text
    document = await http.get("/ui/openapi.json")
    assert document.headers["etag"] == (await http.get(PATH)).headers["etag"]


CLOSED = {"NORA_AUTH_ENABLED": "true"}
READERS = {
    "closed": (CLOSED, 401),
    "public web ui": ({**CLOSED, "NORA_AUTH_PUBLIC_WEB_UI": "true"}, 200),
}


@pytest.mark.parametrize("name", READERS)
async def test_who_may_see_it(name: str, tmp_path: Path) -> None:
    environ, status = READERS[name]
    async with application(tmp_path, **environ) as http:
        for path in (PATH, "/ui/openapi.json"):
            refused = 303 if path.startswith("/ui/") else 401
            assert (await http.get(path)).status_code == (200 if status == 200 else refused), path
        if status == 401:
            token = await add_token(tmp_path, "read", "docker:team/*:read")
            answer = await http.get(PATH, headers={"authorization": f"Bearer {token}"})
            assert answer.status_code == 200
