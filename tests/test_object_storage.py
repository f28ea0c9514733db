"""NORA with its blobs in a bucket, as clients and operators see it."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from tests.support.buckets import BUCKET, SECRET_KEY, S3Server
from tests.support.s3_server import make_bucket, s3_server
from tests.support.server import running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

LARGE = os.urandom(3_000_000)


@pytest.mark.parametrize("redirect", ["false", "true"])
def test_files_are_stored_in_the_bucket_and_come_back(tmp_path: Path, redirect: str) -> None:
    with s3_server(tmp_path / "s3") as server:
        make_bucket(server, BUCKET)
        env = {**server.environment(BUCKET), "NORA_STORAGE_S3_REDIRECT": redirect}
        with running(tmp_path / "nora", workers=2, env=env) as nora:
            files = {"small": b"abc", "large": LARGE, "empty": b""}
            for name, data in files.items():
                assert httpx.put(f"{nora.url}/raw/{name}", content=data).status_code == 201
            nora.kill()
            nora.start()
            for name, data in files.items():
                answer = httpx.get(f"{nora.url}/raw/{name}", follow_redirects=True)
                assert answer.content == data
                assert [one.status_code for one in answer.history] == (
                    [307] if redirect == "true" and name == "large" else []
                )
            part = httpx.get(f"{nora.url}/raw/large", headers={"range": "bytes=-7"}, follow_redirects=True)
            assert (part.status_code, part.content) == (206, LARGE[-7:])
            health = httpx.get(f"{nora.url}/health").text
            assert '"backend":"s3"' in health
            assert SECRET_KEY not in health + nora.log.read_text()
        assert not any((tmp_path / "nora/storage/blobs").rglob("*-*"))


def test_an_outage_is_told_and_over_when_it_is_over(tmp_path: Path) -> None:
    with s3_server(tmp_path / "s3") as server:
        make_bucket(server, BUCKET)
        port, env = server.port, server.environment(BUCKET)
        nora = running(tmp_path / "nora", workers=1, env=env)
        running_nora = nora.__enter__()
        assert httpx.put(f"{running_nora.url}/raw/large", content=LARGE).status_code == 201
    try:
        url = f"{running_nora.url}/raw"
        assert httpx.get(f"{url}/large", timeout=30).status_code == 503
        assert httpx.put(f"{url}/other", content=LARGE, timeout=60).status_code == 503
        assert httpx.get(f"{url}/nothing").status_code == 404
        assert httpx.head(f"{url}/large").headers["content-length"] == str(len(LARGE))
        wait_until(
            lambda: httpx.get(f"{running_nora.url}/ready", timeout=60).status_code == 503, "/ready to say 503"
        )
        with s3_server(tmp_path / "s3", port) as server:
            make_bucket(S3Server(server.url, port), BUCKET)
            # It takes writes before it finds what was written before it was killed.
            wait_until(lambda: httpx.get(f"{url}/large", timeout=60).status_code == 200, "what was written")
            assert httpx.get(f"{url}/large", timeout=60).content == LARGE
            assert httpx.put(f"{url}/other", content=LARGE, timeout=60).status_code == 201
    finally:
        nora.__exit__(None, None, None)
