"""What Maven and Gradle send, without them."""

from __future__ import annotations

import re

import httpx

from tests.support.maven_repository import ALGORITHMS, digest

GROUP = "com.example"
ROOT = "/maven2/com/example"


def folder(name: str, version: str = "") -> str:
    """The directory of an artifact, or of a version."""
    return f"{ROOT}/{name}/{version}".rstrip("/")


def path(name: str, version: str, end: str = ".jar") -> str:
    """Where a file is."""
    return f"{folder(name, version)}/{name}-{version}{end}"


def build(name: str, base: str, stamp: str, end: str = ".jar") -> str:
    """Where a file of a build of a snapshot is: `stamp` is `20261124.061329-1`."""
    return f"{folder(name, f'{base}-SNAPSHOT')}/{name}-{base}-{stamp}{end}"


def listed(document: str, element: str) -> list[str]:
    """The texts of all elements of a name."""
    return re.findall(f"<{element}>([^<]*)</{element}>", document)


async def put(
    http: httpx.AsyncClient, where: str, data: bytes, status: int = 201, **headers: str
) -> httpx.Response:
    """Upload something."""
    answer = await http.put(
        where, content=data, headers={key.replace("_", "-"): one for key, one in headers.items()}
    )
    assert answer.status_code == status, (where, answer.status_code, answer.text)
    return answer


async def text(http: httpx.AsyncClient, where: str) -> str:
    """What is there."""
    answer = await http.get(where)
    assert answer.status_code == 200, (where, answer.status_code, answer.text)
    return answer.text


async def metadata(http: httpx.AsyncClient, directory: str) -> str:
    """The metadata in a directory, after its checksums were compared with it in every way."""
    got = await http.get(f"{directory}/maven-metadata.xml")
    assert got.status_code == 200, got.text
    for algorithm in ALGORITHMS:
        right = digest(algorithm, got.content)
        assert got.headers[f"x-checksum-{algorithm}"] == right
        assert await text(http, f"{directory}/maven-metadata.xml.{algorithm}") == right
    return got.text
