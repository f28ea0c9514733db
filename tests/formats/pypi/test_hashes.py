"""Files of upstreams whose pages list hashes of every kind."""

from __future__ import annotations

import hashlib

import httpx
import orjson
import pytest

from tests.blobs.test_checksums import ALGORITHMS
from tests.formats.pypi.conftest import Proxy
from tests.formats.pypi.wire import JSON
from tests.support.answers import document
from tests.support.pypi_index import PyPIIndex
from tests.support.upstream import Upstream
from tests.support.wheels import Built, Release


def serve(upstream: Upstream, built: Built, body: bytes, **said: object) -> None:
    """A page that lists one file, and what is given for it."""
    file = {"filename": built.filename, "url": f"{upstream.url}/there/{built.filename}", **said}
    page = {"meta": {"api-version": "1.0"}, "name": built.project, "files": [file]}
    upstream.serve(f"/simple/{built.project}/", document(orjson.dumps(page), JSON))
    upstream.serve(f"/there/{built.filename}", document(body))


@pytest.mark.parametrize("size", [0, 300_000])
@pytest.mark.parametrize("algorithm", ["md5", "sha384"])
def test_wrong_bytes_are_neither_sent_nor_kept(
    proxy: Proxy, upstream: Upstream, algorithm: str, size: int
) -> None:
    built, wrong = (Release(project="late", seed=seed, padding=size).wheel() for seed in ("right", "wrong"))
    hashes = {algorithm: ALGORITHMS[algorithm](built.body).hexdigest()}
    path = f"/simple/late/{built.filename}"
    serve(upstream, built, wrong.body, hashes=hashes)
    http = proxy(NORA_PROXY_RETRIES="0")
    assert http.head(path).status_code == 200
    for _ in range(2):
        if size:  # the end of it is held back
            with pytest.raises(httpx.RemoteProtocolError):
                http.get(path)
        else:
            assert http.get(path).status_code == 502
    serve(upstream, built, built.body, hashes=hashes)
    before = upstream.log.count("GET", f"/there/{built.filename}")
    for _ in range(2):
        assert http.get(path).content == built.body
    assert upstream.log.count("GET", f"/there/{built.filename}") == before + 1
    assert http.get(path, headers={"range": "bytes=1-5"}).content == built.body[1:6]


def test_an_absent_file_with_an_old_hash(proxy: Proxy, upstream: Upstream) -> None:
    built = Release(project="gone").wheel()
    serve(upstream, built, b"", hashes={"md5": "0" * 32})
    upstream.forget(f"/there/{built.filename}")
    assert proxy().get(f"/simple/gone/{built.filename}").status_code == 404


def test_wrong_core_metadata_with_an_old_hash_is_taken_from_the_wheel(
    proxy: Proxy, upstream: Upstream, index: PyPIIndex
) -> None:
    built = Release(project="inside").wheel()
    told = {"sha512": hashlib.sha512(built.metadata).hexdigest()}
    serve(upstream, built, built.body, **{"core-metadata": told, "hashes": {"sha256": built.sha256}})
    upstream.serve(f"/there/{built.filename}.metadata", document(b"Metadata-Version: 2.1\nName: other\n"))
    assert proxy().get(f"/simple/inside/{built.filename}.metadata").content == built.metadata
