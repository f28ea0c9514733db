"""Where the pages of upstreams are worked on."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nora.config import ProxySettings, Upstream
from nora.formats.pypi import upstream as module
from nora.formats.pypi.names import ProjectName
from nora.formats.pypi.upstream import Index
from nora.model import Repository
from nora.outbound import Reply
from nora.proxy import offload
from nora.resolve import Source

ROWS = Repository(1, "index", "pypi", "proxy")
SOURCE = Source(ROWS, "index", Upstream("https://index.example.com/simple"), str, (), ())
NAME = ProjectName("a")


class Elsewhere:
    """Instead of the other process."""

    async def call(self, *_: object) -> tuple[bytes, bool]:
        return b"elsewhere", False


class Pages:
    """An upstream whose every page is this."""

    url = "https://index.example.com/simple"

    def __init__(self, body: bytes, media_type: str) -> None:
        self._reply = Reply(200, {"content-type": media_type}, body, f"{self.url}/a/")

    async def ask(self, *_: object, **__: object) -> Reply:
        return self._reply


@pytest.mark.parametrize(
    ("size", "media_type", "here"),
    [
        (32 << 10, "text/html", True),
        (128 << 10, "text/html", False),
        (128 << 10, "application/json", True),
        (512 << 10, "application/json", False),
    ],
)
def test_a_page_of_many_small_files_does_not_stop_the_worker(
    size: int, media_type: str, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 1 MiB it would take seconds."""
    monkeypatch.setattr(module, "read_page", lambda *_: (b"here", False))
    monkeypatch.setattr(offload, "_helper", Elsewhere())

    async def document(place: object, policy: object, fetch: Any) -> bytes:
        fetched = await fetch(None)
        return bytes(fetched.body)

    async def find_cached(*_: object) -> None:
        return None

    settings = SimpleNamespace(max_index_size=1 << 30, metadata_ttl=60, serve_stale=True)
    services = SimpleNamespace(
        upstreams=SimpleNamespace(of=lambda _: Pages(bytes(size), media_type)),
        cache=SimpleNamespace(document=document),
        blobs=None,
        catalog=SimpleNamespace(find_cached=find_cached),
        resolver=SimpleNamespace(sources=None),
        config=SimpleNamespace(proxy=ProxySettings()),
        settings=lambda _: settings,
    )
    where = asyncio.run(Index(cast("Any", services)).page(SOURCE, NAME))
    assert cast("Any", where) == (b"here" if here else b"elsewhere")
