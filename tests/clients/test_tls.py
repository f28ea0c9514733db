"""TLS by NORA itself: 64 parallel pulls, over kept connections and over a new one for each request."""

from __future__ import annotations

import hashlib
import http.client
import random
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support import certificates
from tests.support.certificates import Certificates
from tests.support.command import run
from tests.support.images import Layout
from tests.support.oci import Image, Repository, digest
from tests.support.server import Server, running

pytestmark = pytest.mark.slow

PULLS = 64


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secure(made: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry that speaks TLS only."""
    env = {"NORA_TLS_CERT": str(made.certificate), "NORA_TLS_KEY": str(made.key)}
    with running(tmp_path_factory.mktemp("secure"), workers=2, env=env) as server:
        yield server


@pytest.fixture(scope="module")
def trust(made: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(made.authority))


@pytest.fixture(scope="module")
def image(secure: Server, trust: ssl.SSLContext) -> Image:
    """An image of three layers of 300 kB each, pushed over TLS."""
    noise = random.Random(22)
    with httpx.Client(base_url=secure.url, verify=trust, timeout=30, trust_env=False) as client:
        layers = [noise.randbytes(300_000) for _ in range(3)]
        return Repository(client, "tls/app").push_image("v1", layers=layers)


def pull(secure: Server, trust: ssl.SSLContext, image: Image, *, keep: bool) -> list[str]:
    """The digests of what one client got: the manifest by tag, then config and layers."""
    paths = ["manifests/v1", *(f"blobs/{digest(part)}" for part in (image.config, *image.layers))]
    found, connection = [], None
    for path in paths:
        connection = connection or http.client.HTTPSConnection(
            secure.host, secure.port, context=trust, timeout=60
        )
        connection.request("GET", f"/v2/tls/app/{path}", headers={} if keep else {"Connection": "close"})
        answer = connection.getresponse()
        assert answer.status == 200
        found.append(f"sha256:{hashlib.sha256(answer.read()).hexdigest()}")
        if not keep:
            connection.close()
            connection = None
    if connection is not None:
        connection.close()
    return found


@pytest.mark.parametrize("keep", [True, False], ids=["keep-alive", "close"])
def test_parallel_pulls(secure: Server, trust: ssl.SSLContext, image: Image, keep: bool) -> None:
    wanted = [image.digest, *(digest(part) for part in (image.config, *image.layers))]
    with ThreadPoolExecutor(PULLS) as pool:
        pulls = [pool.submit(pull, secure, trust, image, keep=keep) for _ in range(PULLS)]
        assert [found.result(timeout=120) for found in pulls] == [wanted] * PULLS


def test_an_authority_that_is_not_trusted_is_refused(secure: Server) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{secure.url}/v2/", trust_env=False)


def test_http_2(secure: Server, trust: ssl.SSLContext, image: Image) -> None:
    with httpx.Client(base_url=secure.url, verify=trust, http2=True, trust_env=False) as client:
        answer = Repository(client, "tls/app").get_manifest("v1")
        assert (answer.http_version, answer.content) == ("HTTP/2", image.manifest)
        head = Repository(client, "tls/app").head_blob(digest(image.config))
        assert head.headers["content-length"] == str(len(image.config))


@pytest.mark.client("skopeo")
def test_skopeo_pulls_in_parallel(
    secure: Server, made: Certificates, multi: Layout, repository: Callable[[str], str], tmp_path: Path
) -> None:
    """skopeo of Debian 12 closes the connection after each request."""
    remote = f"docker://{secure.address}/{repository('app')}:v1"
    trusted = ("--insecure-policy", "copy", "--all")
    authority = made.authority.parent
    run("skopeo", *trusted, f"--dest-cert-dir={authority}", f"oci:{multi.path}:v1", remote)
    commands = [
        ["skopeo", *trusted, f"--src-cert-dir={authority}", remote, f"oci:{tmp_path}/out{number}:v1"]
        for number in range(PULLS)
    ]
    with ThreadPoolExecutor(PULLS) as pool:
        list(pool.map(lambda words: run(*words), commands))
    for number in range(PULLS):
        assert Layout(tmp_path / f"out{number}", "v1", multi.top).blobs() == multi.blobs()
