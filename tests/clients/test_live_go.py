"""go downloads all that a real program needs through the registry: cold, warm, and cut off.

Says `ran`, or `not reached` where the Go module proxy is not to be had from here.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from nora.formats.go.settings import public_database
from tests.support.cargo_client import MACHINE
from tests.support.go_client import Go, write_program
from tests.support.server import running

pytestmark = [pytest.mark.client("go"), pytest.mark.live]
PROGRAM, VERSION = "github.com/golangci/golangci-lint", "v1.61.0"
LEAST_NEEDED = 100
[(DATABASE, _)] = public_database()
ROADS = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
UNREACHED = re.compile(r"\b50[234]\b")


def test_cold_warm_and_cut_off(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    # The way out of this machine, which tests of the loopback do without.
    roads = {"NO_PROXY": ""} | {name: value for name, value in MACHINE.items() if name.upper() in ROADS}
    # Where the Go module proxy is is known to this machine: in a private network, perhaps.
    env = {**roads, "NORA_PROXY_MODE": "online", "NORA_PROXY_ALLOW_PRIVATE": "true"}
    with running(tmp_path, workers=2, env=env) as server:

        def go_of(home: str) -> Go:
            own = {"GOPROXY": f"{server.url}/go,off", "GOSUMDB": DATABASE}
            return Go(tmp_path / home, own)

        answer = httpx.get(f"{server.url}/go/{PROGRAM}/@v/{VERSION}.info", timeout=90, trust_env=False)
        if answer.status_code in (502, 503, 504):
            record_property("run", f"not reached: {answer.status_code}")
            return
        assert answer.status_code == 200, answer.text
        program = tmp_path / "program"

        def download(home: str) -> dict[str, str]:
            """The hashes of the modules that a go without any has then."""
            go = go_of(home)
            if not program.exists():
                somewhere = write_program(tmp_path / "somewhere", {})
                go("mod", "download", f"{PROGRAM}@{VERSION}", cwd=somewhere, timeout=600)
                shutil.copytree(go.modules / f"{PROGRAM}@{VERSION}", program)
                (program / "go.sum").unlink()  # everything is looked up
            go("mod", "download", "all", cwd=program, timeout=900)
            assert "all modules verified" in go("mod", "verify", cwd=program, timeout=600)
            return go.hashes()

        try:
            cold = download("cold")
        except AssertionError as failure:
            if UNREACHED.search(str(failure)) is None:
                raise
            record_property("run", f"not reached: {str(failure)[-300:]}")  # it went away in between
            return
        assert len(cold) >= LEAST_NEEDED
        assert download("warm").items() <= cold.items()
        server.env = {"NORA_PROXY_MODE": "offline"}
        server.restart()
        assert download("offline").items() <= cold.items()
    record_property("run", f"ran: {len(cold)} modules, three times the same")
