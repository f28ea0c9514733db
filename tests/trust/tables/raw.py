"""What curl asks for: a path is a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import httpx

from tests.support.answers import Answer, Asked
from tests.support.upstream import Upstream
from tests.support.waiting import wait_until
from tests.trust.table import OURS, Case, Role, Table, What

if TYPE_CHECKING:
    from tests.trust.sites import Site


class FileServer:
    """Files by their names."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def mount(self, up: Upstream) -> None:
        up.mount("/shelf/", self)

    def __call__(self, asked: Asked) -> Answer:
        body = self.files.get(asked.path.rpartition("/")[2])
        return Answer(status=404) if body is None else Answer(body=body)


def name_of(segments: Sequence[str]) -> str:
    return segments[-1] if len(segments) == 2 else ""


def stock(site: Site, name: str, role: Role) -> bytes:
    body = f"{name} of {site.name}".encode()
    site.stores["raw"].files[name] = body
    return body


def publish(case: Case) -> bytes:
    body = f"{case.name} of {OURS}".encode()
    answer = case.http.put(case.at("/{name}"), content=body)
    assert answer.status_code == 201, answer.text
    return body


def kept(case: Case) -> str:
    """The path again, when the row of the file is there: that comes just after the last byte."""
    near = f"/?list&limit=20&after={case.name[:-1]}"

    def names() -> list[str]:
        return [one["name"] for one in case.http.get(case.at(near)).json()["entries"]]

    wait_until(lambda: case.name in names(), f"the row of {case.name}", seen=names)
    return "/{name}"


def is_file(body: bytes, answer: httpx.Response) -> bool:
    return answer.content == body


def has_size(body: bytes, answer: httpx.Response) -> bool:
    return answer.headers["content-length"] == str(len(body))


TABLE = Table(
    format="raw",
    store=FileServer,
    roots=("shelf",),
    name_of=name_of,
    upstream="/shelf",
    base="{mount}/raw",
    stock=stock,
    publish=publish,
    warm=("/{name}", kept),
    whats={
        "file": What(path="/{name}", fits=is_file, kept=("first",)),
        "head": What(path="/{name}", method="HEAD", fits=has_size, kept=("first",)),
    },
)
