"""Requests as cargo makes them."""

from __future__ import annotations

from typing import Any

import httpx
import orjson

from nora.formats.cargo.names import prefix_of
from nora.formats.cargo.samples import crate, publication

API = "/cargo/api/v1/crates"


def publish(
    http: httpx.Client,
    name: str,
    version: str,
    *,
    file: bytes | None = None,
    prefix: str = "",
    headers: dict[str, str] | None = None,
    **metadata: Any,
) -> httpx.Response:
    """`cargo publish`."""
    body = publication_of(name, version, file=file, **metadata)
    return http.put(f"{prefix}{API}/new", content=body, headers=headers)


def publication_of(name: str, version: str, *, file: bytes | None = None, **metadata: Any) -> bytes:
    """What `cargo publish` sends."""
    said = {"name": name, "vers": version, "deps": [], "features": {}, **metadata}
    return publication(orjson.dumps(said), crate(name, version) if file is None else file)


def published(http: httpx.Client, name: str, version: str, **said: Any) -> None:
    answer = publish(http, name, version, **said)
    assert answer.status_code == 200, answer.text


def index_path(name: str, prefix: str = "") -> str:
    return f"{prefix}/cargo/index/{prefix_of(name.lower())}/{name.lower()}"


def index_lines(http: httpx.Client, name: str, prefix: str = "") -> list[dict[str, Any]]:
    """The lines of the index file of a crate."""
    answer = http.get(index_path(name, prefix))
    assert answer.status_code == 200, answer.text
    assert answer.content.endswith(b"\n")
    return [orjson.loads(line) for line in answer.content.splitlines()]


def versions(http: httpx.Client, name: str, prefix: str = "") -> list[str]:
    return [line["vers"] for line in index_lines(http, name, prefix)]


def detail(answer: httpx.Response) -> str:
    """What cargo prints of an error."""
    [error] = answer.json()["errors"]
    text: str = error["detail"]
    return text
