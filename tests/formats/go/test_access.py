"""Who may do what with modules: roles, scopes, what is told to who may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from nora.auth.scopes import parse_scope
from nora.auth.tokens import Tokens
from nora.commands import open_catalog
from nora.formats import load_config
from nora.model import Role
from tests.formats.go.wire import module_path, path_of
from tests.support.go_modules import Module
from tests.support.in_process import application

pytestmark = pytest.mark.anyio
ENV = {"NORA_AUTH_ENABLED": "true", "NORA_PROXY_MODE": "offline"}
OURS, OTHER = Module("corp.example/Team/lib"), Module("other.example/lib")


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with application(tmp_path, **ENV) as client:
        yield client


async def token(folder: Path, role: Role, *scopes: str) -> dict[str, str]:
    env = {"NORA_STORAGE_PATH": str(folder / "storage"), **ENV}
    async with open_catalog(load_config(env, folder)) as catalog:
        text, _ = await Tokens(catalog).create("ci", role, scopes=tuple(map(parse_scope, scopes)))
    return {"authorization": f"Bearer {text}"}


async def put(http: httpx.AsyncClient, module: Module, who: dict[str, str], path: str = "") -> int:
    answer = await http.put(path or path_of(module), content=module.body, headers=who)
    return answer.status_code


async def test_a_scope_names_modules_by_their_paths(http: httpx.AsyncClient, tmp_path: Path) -> None:
    everywhere = await token(tmp_path, "write")
    limited = await token(tmp_path, "write", "go:corp.example/**:read,write")
    for module, status in ((OURS, 201), (OTHER, 403)):
        for path in ("", "/go/upload"):
            assert await put(http, module, limited, path) == status, (module.path, path)
    assert await put(http, OTHER, everywhere) == 201
    for module, status in ((OURS, 200), (OTHER, 403)):
        paths = [module_path(module, what) for what in ("@v/list", "@latest")]
        for path in (*paths, *(path_of(module, kind) for kind in ("info", "mod", "zip", "ziphash"))):
            assert (await http.get(path, headers=limited)).status_code == status, path
    assert (
        await http.get(module_path(Module("other.example/none"), "@v/list"), headers=limited)
    ).status_code == 403


async def test_nobody_reads_or_learns_anything_without_a_token(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    assert await put(http, OURS, await token(tmp_path, "write")) == 201
    for module in (OURS, Module("corp.example/none")):
        for path in (module_path(module, "@v/list"), path_of(module, "mod"), module_path(module, "@latest")):
            answer = await http.get(path)
            assert (answer.status_code, "www-authenticate" in answer.headers) == (401, True)
            assert answer.headers["content-type"].startswith("text/plain")


async def test_to_delete_is_for_who_may(http: httpx.AsyncClient, tmp_path: Path) -> None:
    writer, admin = await token(tmp_path, "write"), await token(tmp_path, "admin")
    assert await put(http, OURS, writer) == 201
    path = module_path(OURS, "@v/v1.0.0")
    for who, status in ((writer, 403), ({}, 401), (admin, 200), (admin, 404)):
        assert (await http.delete(path, headers=who)).status_code == status


async def test_a_whole_domain_is_for_administrators(http: httpx.AsyncClient, tmp_path: Path) -> None:
    """All modules below it are asked of nobody else from then on."""
    for role, status in (("write", 403), ("admin", 201)):
        who = await token(tmp_path, role)  # type: ignore[arg-type]
        for path in ("", "/go/upload"):
            assert await put(http, Module(f"{role}.example"), who, path) == status
            assert await put(http, Module(f"{role}.example/x"), who, path) == 201


async def test_what_is_done_is_counted(http: httpx.AsyncClient, tmp_path: Path) -> None:
    admin = await token(tmp_path, "admin")
    assert await put(http, OURS, admin) == 201
    for kind in ("info", "mod", "zip"):
        assert (await http.get(path_of(OURS, kind), headers=admin)).status_code == 200
    numbers = (await http.get("/metrics", headers=admin)).text
    for counted in ("uploads", "downloads"):
        assert f'nora_{counted}_total{{registry="go"}} 1.0' in numbers
