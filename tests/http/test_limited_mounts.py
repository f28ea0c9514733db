"""Which requests are limited, at the one place that all of them pass."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from blacksheep import Request, Response

from nora.errors import Unauthenticated
from nora.formats import load_config
from nora.http.application import NoraApplication
from nora.http.errors import render_json
from nora.http.limits import Rate, RateLimits
from nora.observability.metrics import Metrics
from nora.observability.shared import SharedMemory
from nora.observability.shared_table import SharedTable


@pytest.fixture
def app() -> NoraApplication:
    memory = SharedMemory(1)
    one = Rate(1, 1)
    limits = RateLimits(SharedTable(16), {"general": one, "upload": one}, lambda kind: None)
    found = NoraApplication(Metrics(memory, 0, version="1", compiled=False), limits=limits)

    async def answer(request: Request) -> Response:
        if request.scope["path"].endswith("/closed"):
            raise Unauthenticated("who are you")
        return Response(204)

    found.attach("/a/", "a", answer, render_json)
    found.attach("/patient/", "patient", answer, render_json, limited=False)
    return found


def statuses(app: NoraApplication, *paths: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> list[int]:
    found: list[int] = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def ask() -> None:
        for path in paths:
            scope = {
                "type": "http",
                "method": "GET",
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                "headers": [(b"host", b"localhost"), *headers],
                "http_version": "1.1",
                "client": ("192.0.2.1", 1),
            }
            await app(scope, receive, send)

    asyncio.run(ask())
    return found


def test_a_mount_is_limited(app: NoraApplication) -> None:
    assert statuses(app, "/a/1", "/a/2", "/a/3") == [204, 429, 429]


def test_a_mount_whose_clients_cannot_be_told_is_not(app: NoraApplication) -> None:
    assert statuses(app, "/patient/1", "/patient/2", "/patient/3") == [204, 204, 204]


def test_what_belongs_to_no_format_is_not(app: NoraApplication) -> None:
    assert statuses(app, "/none", "/none", "/none") == [404, 404, 404]


def test_being_asked_for_credentials_does_not_count(app: NoraApplication) -> None:
    assert statuses(app, "/a/closed", "/a/closed", "/a/closed", "/a/1") == [401, 401, 401, 204]


def test_wrong_credentials_count(app: NoraApplication) -> None:
    wrong = ((b"authorization", b"Bearer wrong"),)
    assert statuses(app, "/a/closed", "/a/closed", headers=wrong) == [401, 429]


@pytest.mark.parametrize(
    ("environ", "limited"),
    [
        ({}, False),  # a registry that asks nobody who they are, behind one address a whole CI
        ({"NORA_AUTH_ENABLED": "true"}, True),
        ({"NORA_RATE_LIMIT_ENABLED": "true"}, True),
        ({"NORA_AUTH_ENABLED": "true", "NORA_RATE_LIMIT_ENABLED": "false"}, False),
    ],
)
def test_when_limits_are_on(tmp_path: Path, environ: dict[str, str], limited: bool) -> None:
    memory = SharedMemory(1)
    metrics = Metrics(memory, 0, version="1", compiled=False)
    limits = RateLimits.build(load_config(environ, tmp_path), memory, metrics)
    assert (limits is not None) is limited
