"""cargo fetches a real program and all that it needs through the registry: cold, warm, and cut off.

Says `ran`, or `not reached` where crates-io is not to be had from here.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.cargo_client import MACHINE, Cargo
from tests.support.server import running

pytestmark = [pytest.mark.client("cargo"), pytest.mark.live]
PROGRAM, VERSION = "bat", "0.25.0"
LEAST_NEEDED = 150
ROADS = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
REPLACED = """
[source.crates-io]
replace-with = "nora"
[source.nora]
registry = "sparse+{url}/cargo/index/"
"""


def test_cold_warm_and_cut_off(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    # The way out of this machine, which tests of the loopback do without.
    roads = {"NO_PROXY": ""} | {name: value for name, value in MACHINE.items() if name.upper() in ROADS}
    # Where the hosts of crates-io are is known to this machine: in a private network, perhaps.
    env = {**roads, "NORA_PROXY_MODE": "online", "NORA_PROXY_ALLOW_PRIVATE": "true"}
    with running(tmp_path, workers=2, env=env) as server:
        path = f"/cargo/api/v1/crates/{PROGRAM}/{VERSION}/download"
        program = httpx.get(server.url + path, timeout=90, trust_env=False)
        if program.status_code in (502, 503, 504):
            record_property("run", f"not reached: {program.status_code}")
            return
        assert program.status_code == 200, program.text
        unpack(program.content, tmp_path)

        def fetch(home: str) -> dict[str, str]:
            """The crate files that a cargo without any has then."""
            cargo = Cargo(tmp_path / home)
            cargo.configure(REPLACED.format(url=server.url))
            cargo("fetch", "--locked", cwd=tmp_path / f"{PROGRAM}-{VERSION}", timeout=600)
            files = (tmp_path / home / "registry" / "cache").glob("*/*.crate")
            return {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in files}

        try:
            cold = fetch("cold")
        except AssertionError as failure:
            if re.search(r"\b50[234]\b", str(failure)) is None:
                raise
            record_property("run", f"not reached: {str(failure)[-200:]}")  # it went away in between
            return
        assert len(cold) >= LEAST_NEEDED
        assert fetch("warm") == cold
        server.env = {"NORA_PROXY_MODE": "offline"}
        server.restart()
        assert fetch("offline") == cold
    record_property("run", f"ran: {len(cold)} crates, three times the same")


def unpack(crate: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(crate)) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            if file is not None and not member.name.startswith(("/", "..")):
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read())
