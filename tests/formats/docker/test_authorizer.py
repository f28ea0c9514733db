"""The gate of `/v2/` through real servers: how it asks, and how soon it closes again."""

from __future__ import annotations

import contextlib
import http.client
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.access import PASSWORD, USER, Credentials, make_token, write_users
from tests.support.command import run
from tests.support.oci import Repository, digest
from tests.support.server import Server, running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

ON = {"NORA_AUTH_ENABLED": "true", "NORA_RATE_LIMIT_GENERAL_RPS": "0"}
WORKERS = 4
CONNECTIONS = 24
"""So many that each worker has some."""


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("gate")
    users = write_users(folder / "users", **{USER: PASSWORD})
    with running(folder, workers=WORKERS, env={**ON, "NORA_AUTH_HTPASSWD_FILE": str(users)}) as server:
        yield server


def session_of(
    server: Server, who: Credentials, scope: str = "repository:team/app:pull,push"
) -> dict[str, str]:
    answer = httpx.get(
        f"{server.url}/v2/token",
        params={"scope": scope, "offline_token": "true"},
        auth=who.basic,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def statuses(server: Server, token: str) -> set[int]:
    """What all workers answer to a Bearer token, each request on a connection of its own."""
    return {status(server, token) for _ in range(CONNECTIONS)}


def status(server: Server, token: str) -> int:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/v2/team/app/tags/list", headers={"authorization": f"Bearer {token}"})
        return connection.getresponse().status


def nora(server: Server, *words: str) -> str:
    return run(sys.executable, "-m", "nora", *words, env=server.environment(), cwd=server.data)


def test_a_session_ends_with_its_token_on_every_worker(closed: Server) -> None:
    token = make_token(closed, "--role", "write", user="brief")
    session = session_of(closed, token)
    assert statuses(closed, session["token"]) == {404}
    assert statuses(closed, token.secret) == {404}
    listed = nora(closed, "token", "list", "--user", "brief")
    nora(closed, "token", "revoke", listed.splitlines()[1].split()[0])
    assert statuses(closed, session["token"]) == {401}
    assert statuses(closed, token.secret) == {401}
    form = {"grant_type": "refresh_token", "refresh_token": session["refresh_token"]}
    assert httpx.post(f"{closed.url}/v2/token", data=form, trust_env=False).status_code == 401


def test_a_session_ends_with_its_password(closed: Server, tmp_path: Path) -> None:
    users = Path(closed.environment()["NORA_AUTH_HTPASSWD_FILE"])
    before = users.read_text()
    session = session_of(closed, Credentials(USER, PASSWORD))
    assert statuses(closed, session["token"]) == {404}
    try:
        fresh = write_users(tmp_path / "users", **{USER: "another"})
        fresh.replace(users)
        wait_until(lambda: statuses(closed, session["token"]) == {401}, "the session to end")
        form = {"grant_type": "refresh_token", "refresh_token": session["refresh_token"]}
        assert httpx.post(f"{closed.url}/v2/token", data=form, trust_env=False).status_code == 401
    finally:
        users.write_text(before)


def test_a_session_outlives_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, env=ON) as server:
        session = session_of(server, make_token(server, "--role", "read"))
        server.restart()
        assert statuses(server, session["token"]) == {404}


def test_removing_a_tag_is_for_who_may_delete_or_untag(closed: Server) -> None:
    admin = make_token(closed, "--role", "admin")
    with httpx.Client(base_url=closed.url, headers=admin.bearer, trust_env=False) as client:
        image = Repository(client, "team/tagged").push_image("latest")
        for tag in "abc":
            Repository(client, "team/tagged").push_manifest(tag, image.manifest)

    def delete(who: Credentials, reference: str) -> int:
        url = f"{closed.url}/v2/team/tagged/manifests/{reference}"
        return httpx.delete(url, headers=who.bearer, trust_env=False).status_code

    writer = make_token(closed, "--role", "write", "--scope", "docker:team/*:read,write")
    cleaner = make_token(closed, "--role", "write", "--scope", "docker:team/*:read,write,untag")
    assert delete(make_token(closed, "--role", "write"), "a") == 403
    assert delete(writer, "a") == 403
    assert [delete(cleaner, one) for one in ("latest", image.digest)] == [403, 403]
    assert delete(cleaner, "a") == 202
    session = session_of(closed, cleaner, "repository:team/tagged:pull,push,delete")
    assert session["scope"] == "repository:team/tagged:pull,push"
    assert delete(Credentials("ci", session["token"]), image.digest) == 403
    assert delete(Credentials("ci", session["token"]), "b") == 202
    narrow = session_of(closed, cleaner, "repository:team/tagged:pull,push")
    assert delete(Credentials("ci", narrow["token"]), "c") == 401, "it may ask for more, and get it"
    assert [delete(admin, one) for one in ("c", "latest", image.digest)] == [202, 202, 202]


def test_what_not_everybody_may_read_is_not_for_shared_caches(closed: Server) -> None:
    token = make_token(closed, "--role", "write")
    with httpx.Client(base_url=closed.url, headers=token.bearer, trust_env=False) as client:
        repository = Repository(client, "team/cached")
        repository.push_blob(b"a blob")
        answer = repository.get_blob(digest(b"a blob"))
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"


@pytest.mark.parametrize("public", ["true", "false"])
def test_without_a_token_service_to_name_basic_is_asked_for(tmp_path: Path, public: str) -> None:
    """Then the ping lets in who says nothing, if they may read, and still says how to be known: skopeo and
    podman read challenges there only. Wrong credentials are refused, or everybody could log in."""
    env = {**ON, "NORA_AUTH_ANONYMOUS_READ": public, "NORA_AUTH_TRUSTED_PROXIES": "192.0.2.1"}
    with (
        running(tmp_path, env=env, host="127.0.0.2") as server,
        httpx.Client(base_url=server.url, trust_env=False) as client,
    ):
        ping = client.get("/v2/")
        assert ping.status_code == (200 if public == "true" else 401)
        assert ping.headers["www-authenticate"] == 'Basic realm="NORA"'
        assert client.get("/v2/", auth=("alice", "wrong")).status_code == 401
        write = client.post("/v2/a/blobs/uploads/")
        assert (write.status_code, write.headers["www-authenticate"]) == (401, 'Basic realm="NORA"')


def test_a_repository_may_be_public_beside_others(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "config.toml").write_text(
        '[repositories.open]\nformat = "docker"\nanonymous_read = true\n'
        '[repositories.secret]\nformat = "docker"\n'
    )
    with running(tmp_path, env=ON) as server:
        writer = make_token(server, "--role", "write")
        with httpx.Client(base_url=server.url, headers=writer.bearer, trust_env=False) as client:
            for name in ("open/app", "secret/app", "app"):
                Repository(client, name).push_image("1", seed=name)
            assert client.get("/v2/secret/manifests/1").json()["errors"][0]["code"] == "NAME_INVALID"
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            foreign = {"authorization": "Basic c29tZWJvZHk6ZWxzZQ=="}
            for headers in ({}, foreign):
                assert client.get("/v2/open/app/manifests/1", headers=headers).status_code == 200
                for name in ("secret/app", "secret/nothing", "secret", "app", "nothing"):
                    assert client.get(f"/v2/{name}/manifests/1").status_code == 401, name
            assert client.get("/v2/_catalog").status_code == 401
            # An anonymous session pulls what is public, and nothing else.
            granted = client.get("/v2/token?scope=repository:open/app:pull&scope=repository:app:pull").json()
            assert granted["scope"] == "repository:open/app:pull"
            bearer = {"authorization": f"Bearer {granted['token']}"}
            assert client.get("/v2/open/app/manifests/1", headers=bearer).status_code == 200
            assert client.get("/v2/app/manifests/1", headers=bearer).status_code == 401
