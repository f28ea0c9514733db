"""Requests as the go command makes them, and what is around them."""

from __future__ import annotations

from urllib.parse import quote

import httpx

from nora.formats.go.names import escape
from tests.support.go_modules import Module
from tests.support.waiting import until

REASON = "it steals tokens"


def path_of(module: Module, kind: str = "zip", prefix: str = "") -> str:
    """Where a file is, escaped as the go command does it."""
    return f"{prefix}/go/{quote(module.url(kind))}"


def module_path(module: Module, rest: str) -> str:
    return f"/go/{quote(escape(module.path))}/{rest}"


async def publish(http: httpx.AsyncClient, module: Module, prefix: str = "") -> httpx.Response:
    return await http.put(path_of(module, prefix=prefix), content=module.body)


async def published(http: httpx.AsyncClient, module: Module) -> None:
    answer = await publish(http, module)
    assert answer.status_code == 201, answer.text


async def versions(http: httpx.AsyncClient, module: Module, prefix: str = "") -> list[str]:
    answer = await http.get(prefix + module_path(module, "@v/list"))
    assert answer.status_code == 200, answer.text
    return answer.text.splitlines()


async def fetched(http: httpx.AsyncClient, module: Module, kind: str = "zip") -> bytes:
    answer = await http.get(path_of(module, kind))
    assert answer.status_code == 200, answer.text
    return answer.content


async def _is_here(http: httpx.AsyncClient, path: str) -> bool:
    return (await http.get(path, headers={"disable-module-fetch": "true"})).status_code == 200


async def kept(http: httpx.AsyncClient, *modules: Module) -> None:
    """Fetch all files of versions, and wait for their rows: these come just after the last byte."""
    for module in modules:
        for kind in ("info", "mod", "zip", "ziphash"):
            if kind != "ziphash":
                await fetched(http, module, kind)
            path = path_of(module, kind)
            await until(lambda: _is_here(http, path), f"the row of {path}")  # noqa: B023


async def block(http: httpx.AsyncClient, **what: str) -> int:
    answer = await http.post("/api/v1/admin/blocks", json={"reason": REASON, **what})
    assert answer.status_code == 200, answer.text
    number: int = answer.json()["id"]
    return number


async def lift(http: httpx.AsyncClient, number: int) -> None:
    assert (await http.post("/api/v1/admin/blocks/lift", json={"id": number})).status_code == 200
