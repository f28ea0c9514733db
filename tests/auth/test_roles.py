"""The roles, as anybody meets them who pushes, pulls and deletes."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import StartServer
from tests.support.access import make_token, write_users
from tests.support.server import Server, running

pytestmark = pytest.mark.slow

USERS = {"reader": "books", "writer": "pen", "root": "toor"}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("roles")
    env = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(write_users(folder / "users", **USERS)),
        "NORA_AUTH_ADMIN_USERS": "root",
        "NORA_AUTH_ROLES": "reader=read",
        "NORA_RATE_LIMIT_ENABLED": "false",
    }
    with running(folder / "one", env=env) as server:
        yield server


def outcomes(server: Server, image: str = "app", **credentials: Any) -> tuple[int, int, int]:
    """What becomes of a push, a pull and a delete of a blob; the pull and the delete of one that is there."""
    content = b"%d" % next(_numbers)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        path = f"/v2/{image}/blobs/uploads/?digest={digest}"
        push = client.post(path, content=content, **credentials).status_code
        if push != 201:
            made = client.post(path, content=content, auth=("root", "toor")).status_code
            assert made == 201
        pull = client.get(f"/v2/{image}/blobs/{digest}", **credentials).status_code
        return push, pull, client.delete(f"/v2/{image}/blobs/{digest}", **credentials).status_code


@pytest.mark.parametrize(
    ("role", "user", "expected"),
    [
        ("read", "reader", (403, 200, 403)),
        ("write", "writer", (201, 200, 403)),
        ("admin", "root", (201, 200, 202)),
    ],
)
def test_what_each_role_may_do(guarded: Server, role: str, user: str, expected: tuple[int, int, int]) -> None:
    assert outcomes(guarded, auth=(user, USERS[user])) == expected
    token = make_token(guarded, "--role", role)
    assert outcomes(guarded, headers=token.bearer) == expected
    assert outcomes(guarded, headers={"authorization": token.secret}) == expected
    assert outcomes(guarded, auth=("anybody", token.secret)) == expected


def test_a_scope_says_where(guarded: Server) -> None:
    token = make_token(guarded, "--role", "write", "--scope", "docker:team/*:read,write,delete")
    assert outcomes(guarded, "team/app", headers=token.bearer) == (201, 200, 202)
    assert outcomes(guarded, "other/app", headers=token.bearer) == (403, 403, 403)
    assert outcomes(guarded, "team/deep/app", headers=token.bearer) == (403, 403, 403)


def test_nobody_unknown_gets_in(guarded: Server) -> None:
    assert outcomes(guarded) == (401, 401, 401)
    assert outcomes(guarded, auth=("reader", "wrong")) == (401, 401, 401)
    assert outcomes(guarded, headers={"authorization": "Bearer nra_" + "0" * 49}) == (401, 401, 401)


def test_an_open_server_on_the_network_deletes_nothing(nora_server: StartServer) -> None:
    content, digest = b"kept", f"sha256:{hashlib.sha256(b'kept').hexdigest()}"
    for env, status in (({}, 403), ({"NORA_AUTH_ALLOW_ANONYMOUS_ADMIN": "true"}, 202)):
        server = nora_server(env={"NORA_HOST": "0.0.0.0", **env})
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            pushed = client.post(f"/v2/app/blobs/uploads/?digest={digest}", content=content)
            assert pushed.status_code == 201
            assert client.delete(f"/v2/app/blobs/{digest}").status_code == status
        assert "AUTHENTICATION IS OFF" in server.log.read_text()
