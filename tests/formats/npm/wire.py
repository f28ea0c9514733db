"""What clients of npm send, as plain HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.npm_registry import ABBREVIATED, Built


def publish(http: httpx.Client, built: Built, tag: str = "latest", **changes: Any) -> httpx.Response:
    """As `npm publish` does it."""
    path = f"/npm/{built.name.replace('/', '%2f')}"
    return http.put(path, json=built.publication(tag, **changes))


def packument(http: httpx.Client, name: str) -> dict[str, Any]:
    """The full document of a package."""
    answer = http.get(f"/npm/{name.replace('/', '%2f')}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def abbreviated(http: httpx.Client, name: str) -> dict[str, Any]:
    """The document that installers ask for."""
    answer = http.get(f"/npm/{name.replace('/', '%2f')}", headers={"accept": ABBREVIATED})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == ABBREVIATED
    found: dict[str, Any] = answer.json()
    return found
