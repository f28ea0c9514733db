"""Real lock files are mirrored from public registries, and installed by real clients with these cut off.

Says `ran`, or `not reached` where the registry is not to be had from here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import pytest

from tests.support import js_clients
from tests.support.cargo_client import MACHINE
from tests.support.go_client import Go, write_program
from tests.support.js_clients import Client
from tests.support.mirroring import mirror
from tests.support.server import Server, running

pytestmark = pytest.mark.live
ROADS = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
Record = Callable[[str, object], None]


def online() -> Mapping[str, str]:
    # The way out of this machine, which tests of the loopback do without.
    roads = {"NO_PROXY": ""} | {name: value for name, value in MACHINE.items() if name.upper() in ROADS}
    # Where the public registry is is known to this machine: in a private network, perhaps.
    return {**roads, "NORA_PROXY_MODE": "online", "NORA_PROXY_ALLOW_PRIVATE": "true"}


def is_reached(server: Server, path: str, record: Record) -> bool:
    status = httpx.get(server.url + path, timeout=90, trust_env=False).status_code
    if status in (502, 503, 504):
        record("run", f"not reached: {status}")
        return False
    assert status == 200
    return True


def cut_off(server: Server) -> None:
    server.env = {"NORA_PROXY_MODE": "offline"}
    server.restart()


@pytest.mark.client("npm")
def test_a_package_lock(tmp_path: Path, record_property: Record) -> None:
    program = js_clients.install(Path(os.environ.get("JS_CLIENTS") or tmp_path / "clients"), "npm")
    app = {"name": "app", "version": "1.0.0", "dependencies": {"express": "4.21.2"}}

    def npm(home: str, server: Server) -> Client:
        own = tmp_path / home
        own.mkdir()
        client = Client("npm", program, own, f"{server.url}/npm/")
        client.configure(folder)
        return client

    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps(app))
    with running(tmp_path / "first", env=online()) as first:
        if not is_reached(first, "/npm/express/4.21.2", record_property):
            return
        npm("npm-one", first)("install", "--package-lock-only", cwd=folder, timeout=300)
    lock = folder / "package-lock.json"
    packages = json.loads(lock.read_text())["packages"]
    with running(tmp_path / "second", env=online()) as second:
        done = mirror(second, "npm", "--lockfile", lock, "--json")
        assert done.code == 0, done.stdout
        cut_off(second)
        lock.write_text(lock.read_text().replace(first.url, second.url))
        npm("npm-two", second)("ci", "--ignore-scripts", cwd=folder, timeout=300)
    assert all((folder / path).exists() for path in packages)
    record_property("run", f"ran: {len(packages) - 1} packages, {done.json['received_bytes']} bytes")


@pytest.mark.client("go")
def test_a_go_sum(tmp_path: Path, record_property: Record) -> None:
    program = write_program(tmp_path / "program", {"github.com/spf13/cobra": "v1.8.1"})
    with running(tmp_path / "first", env=online()) as first:
        if not is_reached(first, "/go/github.com/spf13/cobra/@v/v1.8.1.info", record_property):
            return
        known = Go(tmp_path / "one", {"GOPROXY": f"{first.url}/go,off"})
        known("mod", "tidy", cwd=program, timeout=300)
    sums = program / "go.sum"
    with running(tmp_path / "second", env=online()) as second:
        done = mirror(second, "go", "--lockfile", sums, "--json")
        assert done.code == 0, done.stdout
        cut_off(second)
        cold = Go(tmp_path / "two", {"GOPROXY": f"{second.url}/go,off"})
        cold("mod", "download", cwd=program, timeout=300)
        assert "all modules verified" in cold("mod", "verify", cwd=program, timeout=300)
    record_property("run", f"ran: {len(sums.read_text().splitlines())} lines of go.sum")
