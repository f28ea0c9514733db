"""Blobs on the wire: what a HEAD promises."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

import httpx
import pytest

from tests.support.oci import Repository
from tests.support.server import Server, running


def leases(server: Server, change: str = "") -> list[float]:
    """The leases of all links, of a server that is stopped."""
    with contextlib.closing(sqlite3.connect(server.storage / "catalog.sqlite3", isolation_level=None)) as db:
        if change:
            db.execute(change)
        return [row[0] for row in db.execute("SELECT lease_until FROM link")]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "renewed"), [("HEAD", True), ("GET", False)])
def test_a_head_that_finds_a_blob_renews_its_lease(tmp_path: Path, method: str, renewed: bool) -> None:
    """The client will not upload it again: it must still be there when the manifest comes."""
    with running(tmp_path) as server:
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            wanted = Repository(client, "app").push_blob(b"leased")
        server.stop()
        assert leases(server, "UPDATE link SET lease_until = 0") == [0]
        server.start()
        answer = httpx.request(method, f"{server.url}/v2/app/blobs/{wanted}", trust_env=False)
        assert answer.status_code == 200
        server.stop()  # what was noted is written on the way out, if not before
        (until,) = leases(server)
        assert (until > time.time()) is renewed
