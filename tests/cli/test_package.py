"""`nora package`: names that are owned, beside a server that runs."""

from __future__ import annotations

import sys

import httpx

from tests.conftest import StartServer
from tests.support.command import run
from tests.support.server import Server

COMMAND = (sys.executable, "-m", "nora", "package")


def package(server: Server, *words: str, fails: bool = False) -> str:
    return run(*COMMAND, *words, env=server.environment(), cwd=server.data, fails=fails)


def test_names_are_listed_and_released_beside_a_server(nora_server: StartServer) -> None:
    server = nora_server(workers=2)
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        for name in ("team/b", "team/a"):
            assert client.post(f"/v2/{name}/blobs/uploads/").status_code == 202
        assert package(server, "list", "docker").splitlines() == ["team/a", "team/b"]
        assert "released team/a" in package(server, "release", "docker", "team/a")
        for _ in range(8):  # whichever worker answers
            answer = httpx.get(f"{server.url}/api/v1/admin/packages?repository=docker", trust_env=False)
            assert answer.json()["owned"] == ["team/b"]
    assert package(server, "list", "docker-hosted").splitlines() == ["team/b"]
    assert "owns no package team/a" in package(server, "release", "docker", "team/a", fails=True)
    assert "there is no repository docker-proxy that packages" in package(
        server, "list", "docker-proxy", fails=True
    )
    server.stop()
    package(server, "release", "docker", "team/b")
    assert package(server, "list", "docker") == ""
