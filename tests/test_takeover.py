"""Publishing what the NORA written in Rust has in a real server, under kills."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import StartServer
from tests.support.command import run
from tests.support.legacy_tree import POM, Tree, npm_tarball, whole_tree
from tests.support.server import Server

pytestmark = pytest.mark.slow
MIGRATE = (sys.executable, "-m", "nora", "migrate", "--from-nora")
OWN = ("--own", "maven:com.corp:*", "--own", "go:corp.example/*", "--skip", "gems")
OTHERS = ("--skip", "maven:org.else:*", "--skip", "npm:left-pad", "--skip", "pypi:flask")


def fill(tree: Tree, files: int) -> None:
    """Small files, and a package with many versions."""
    for number in range(files):
        tree.put(f"raw/{number % 10}/{number}", f"file {number}".encode())
    tree.npm("many", *(f"1.0.{number}" for number in range(files // 20)), latest="1.0.1")


def killed(server: Server, words: tuple[str | Path, ...], path: str) -> None:
    """Begin, and kill it when some file is there."""
    migration = subprocess.Popen(words, env=server.environment(), cwd=server.data, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        while http.head(path).status_code != 200 and migration.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    migration.kill()
    migration.wait()


@pytest.mark.parametrize("files", [500, pytest.param(10_000, marks=pytest.mark.full)])
def test_a_takeover_that_is_killed_twice_goes_on(
    nora_server: StartServer, tmp_path: Path, files: int
) -> None:
    tree = whole_tree(tmp_path / "old")
    fill(tree, files)
    server = nora_server()
    words = (*MIGRATE, tmp_path / "old", "--registry", server.url, *OWN, *OTHERS)
    killed(server, words, "/npm/many/-/many-1.0.3.tgz")
    killed(server, words, "/raw/3/3")
    told = run("bash", "-c", 'exec "$@" 2>&1', "bash", *words, env=server.environment(), cwd=server.data)
    assert "0 refused" in told
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        for number in range(files):
            assert http.get(f"/raw/{number % 10}/{number}").content == f"file {number}".encode()
        packument = http.get("/npm/many").json()
        assert len(packument["versions"]) == files // 20
        assert packument["dist-tags"] == {"latest": "1.0.1"}
        assert http.get("/npm/many/-/many-1.0.2.tgz").content == npm_tarball("many", "1.0.2")
        assert http.get("/maven2/com/corp/lib/1.0/lib-1.0.pom").content == POM
        assert http.get("/v2/team/app/manifests/multi").status_code == 200
    tree.put("raw/0/0", b"other bytes", pinned=False)
    assert "raw 0/0: raw/0/0 is damaged" in run(*words, env=server.environment(), cwd=server.data, fails=True)
