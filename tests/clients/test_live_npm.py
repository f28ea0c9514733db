"""npm installs a real front-end starter through the registry: cold, warm, and cut off.

Says `ran`, or `not reached` where the public registry is not to be had from here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support import js_clients
from tests.support.js_clients import MACHINE, Client
from tests.support.server import running

pytestmark = [pytest.mark.client("npm"), pytest.mark.live]
LEAST_NEEDED = 300
ROADS = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
STARTER = {
    "name": "starter",
    "version": "1.0.0",
    "license": "MIT",
    "dependencies": {"react": "18.3.1", "react-dom": "18.3.1"},
    "devDependencies": {"react-scripts": "5.0.1"},
}


def test_cold_warm_and_cut_off(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    # The way out of this machine, which tests of the loopback do without.
    roads = {"NO_PROXY": ""} | {name: value for name, value in MACHINE.items() if name.upper() in ROADS}
    # Where the public registry is is known to this machine: in a private network, perhaps.
    env = {**roads, "NORA_PROXY_MODE": "online", "NORA_PROXY_ALLOW_PRIVATE": "true"}
    program = js_clients.install(Path(os.environ.get("JS_CLIENTS") or tmp_path / "clients"), "npm")
    with running(tmp_path / "server", workers=2, env=env) as server:
        answer = httpx.get(f"{server.url}/npm/react/18.3.1", timeout=90, trust_env=False)
        if answer.status_code in (502, 503, 504):
            record_property("run", f"not reached: {answer.status_code}")
            return
        assert answer.status_code == 200, answer.text

        def install(home: str) -> dict[str, str]:
            """What an npm without any cache has installed. What is for other systems is not fetched, so it is
            not offered offline either."""
            folder, own = tmp_path / home / "app", tmp_path / home / "home"
            folder.mkdir(parents=True)
            own.mkdir()
            (folder / "package.json").write_text(json.dumps(STARTER))
            npm = Client("npm", program, own, f"{server.url}/npm/")
            npm.configure(folder)
            npm("install", "--ignore-scripts", cwd=folder, timeout=600)
            packages = json.loads((folder / "package-lock.json").read_text())["packages"]
            assert (folder / "node_modules/react-scripts/package.json").exists()
            return {
                path: one["integrity"]
                for path, one in packages.items()
                if "integrity" in one and (folder / path).exists()
            }

        try:
            cold = install("cold")
        except AssertionError as failure:
            if re.search(r"\bE?50[234]\b", str(failure)) is None:
                raise
            record_property("run", f"not reached: {str(failure)[-200:]}")  # it went away in between
            return
        assert len(cold) >= LEAST_NEEDED
        warm = install("warm")
        server.env = {"NORA_PROXY_MODE": "offline"}
        server.restart()
        assert install("offline") == warm
        assert warm == cold
    record_property("run", f"ran: {len(cold)} packages, three times the same")
