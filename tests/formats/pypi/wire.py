"""Requests as Python's package managers make them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from tests.support.wheels import Built, Release

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"


def upload(
    http: httpx.Client, built: Built, path: str = "/legacy/", filename: str | None = None, **fields: str
) -> httpx.Response:
    """As twine does it; `fields` replace those of the form, one that is empty leaves it out."""
    form = {name: value for name, value in (built.form() | fields).items() if value}
    content = (filename or built.filename, built.body, "application/octet-stream")
    return http.post(path, data=form, files={"content": content})


def page(http: httpx.Client, project: str, prefix: str = "", **headers: str) -> dict[str, Any]:
    """The page of a project in JSON."""
    answer = http.get(f"{prefix}/simple/{project}/", headers={"accept": JSON, **headers})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == JSON
    found: dict[str, Any] = answer.json()
    return found


def filenames(http: httpx.Client, project: str, prefix: str = "") -> list[str]:
    """The files that a page lists."""
    return [file["filename"] for file in page(http, project, prefix)["files"]]


def raw(http: httpx.Client, path: str, method: str = "GET", **headers: str) -> tuple[httpx.Response, bytes]:
    """The answer, and its body as it is on the wire."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with http.stream(method, path, headers={"accept-encoding": "identity", **sent}) as answer:
        return answer, b"".join(answer.iter_raw())


def put_release(put: Callable[[Built], None], project: str, **said: Any) -> Built:
    """A wheel and an sdist; the wheel."""
    release = Release(project=project, requires_python=">=3.8,<4", padding=20_000, **said)
    wheel = release.wheel()
    for built in (wheel, release.sdist()):
        put(built)
    return wheel
