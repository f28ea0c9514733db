"""What those who do not say who they are may cost an upstream."""

from __future__ import annotations

import httpx
import pytest

from tests.conftest import StartServer
from tests.support.upstream import Answer, Upstream

PAGE = b'<!DOCTYPE html><html><body><a href="../../f/one-1.0.tar.gz#sha256=%s">one</a></body></html>' % (
    b"0" * 64
)
BURST = 5


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer junk"}], ids=["anonymous", "bad bearer"])
def test_no_more_is_asked_of_upstreams_once_the_limit_is_reached(
    nora_server: StartServer, upstream: Upstream, headers: dict[str, str]
) -> None:
    names = [f"project-{number}" for number in range(3 * BURST)]
    for name in names:
        upstream.serve(f"/simple/{name}/", Answer(body=PAGE, headers={"content-type": "text/html"}))
    env = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_ANONYMOUS_READ": "true",
        "NORA_PYPI_PROXY": f"{upstream.url}/simple/",
        "NORA_PROXY_MODE": "online",
        "NORA_RATE_LIMIT_UPSTREAM_RPS": "1",
        "NORA_RATE_LIMIT_UPSTREAM_BURST": str(BURST),
    }
    server = nora_server(env=env)
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False, headers=headers) as client:
        statuses = [client.get(f"/simple/{name}/").status_code for name in names]
        assert set(statuses) == {200, 429}
        assert statuses[:BURST] == [200] * BURST
        assert upstream.log.count() == statuses.count(200)
        for _ in range(10):  # what is here is not limited by that
            assert client.get(f"/simple/{names[0]}/").status_code == 200
    refused = names[statuses.index(429)]
    assert upstream.log.count(path=f"/simple/{refused}/") == 0
