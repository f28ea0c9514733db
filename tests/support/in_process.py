"""An application without a server, for what is behind the wire: upstreams are asked by this process.

    async with application(tmp_path, NORA_PYPI_PROXY=f"{up.url}/simple") as http:
        answer = await http.get("/simple/requests/")

What is on the wire itself (HEAD, ranges, cuts) needs a real one: tests.support.server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from nora.app import build_app
from nora.auth.scopes import parse_scope
from nora.auth.tokens import Tokens
from nora.blobs.layout import Layout
from nora.blobs.scratch import ScratchLayout
from nora.commands import open_catalog
from nora.formats import load_config
from nora.model import Role
from tests.support.catalogs import prepare_catalog


@asynccontextmanager
async def application(folder: Path, **environ: str) -> AsyncIterator[httpx.AsyncClient]:
    """A worker on the data directory in `folder`, made when it is not there; a client of it."""
    env = {"NORA_STORAGE_PATH": str(folder / "storage"), "NORA_PROXY_MODE": "online", **environ}
    config = load_config(env, folder)
    layout = Layout(config.storage.path)
    layout.create()
    ScratchLayout(config.storage.path).create()
    prepare_catalog(layout.catalog)
    app = build_app(config)
    await app.start()
    try:

        async def served(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})  # as a server that sends no files by itself
            await app(scope, receive, send)

        transport = httpx.ASGITransport(app=served)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client
    finally:
        await app.stop()


async def add_token(folder: Path, role: Role, *scopes: str, user: str = "ci") -> str:
    """A new token of the application on the data directory in `folder`."""
    env = {"NORA_STORAGE_PATH": str(folder / "storage"), "NORA_AUTH_ENABLED": "true"}
    async with open_catalog(load_config(env, folder)) as catalog:
        text, _ = await Tokens(catalog).create(user, role, scopes=tuple(map(parse_scope, scopes)))
    return text
