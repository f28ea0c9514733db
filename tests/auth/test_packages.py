"""Who owns which names: administrators see it, and give names back."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import orjson
import pytest

from tests.conftest import StartServer
from tests.support.access import make_token
from tests.support.oci import Repository, digest
from tests.support.server import Server, running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

LIST, RELEASE = "/api/v1/admin/packages", "/api/v1/admin/packages/release"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers that ask for credentials."""
    folder = tmp_path_factory.mktemp("guarded")
    env = {"NORA_AUTH_ENABLED": "true", "NORA_RATE_LIMIT_ENABLED": "false", "NORA_PROXY_CLAIMS": "admin"}
    with running(folder / "one", workers=2, env=env) as server:
        yield server


@pytest.fixture(scope="module")
def admin(guarded: Server) -> Iterator[httpx.Client]:
    token = make_token(guarded, "--role", "admin", user="root")
    with httpx.Client(base_url=guarded.url, timeout=30, trust_env=False, headers=token.bearer) as client:
        yield client


def claim(client: httpx.Client, *names: str) -> None:
    """An opened upload is enough."""
    for name in names:
        assert client.post(f"/v2/{name}/blobs/uploads/").status_code == 202


def owned(client: httpx.Client, query: str = "repository=docker") -> list[str]:
    answer = client.get(f"{LIST}?{query}")
    assert answer.status_code == 200, answer.text
    found: list[str] = answer.json()["owned"]
    return found


def test_a_name_is_owned_from_its_first_upload_until_it_is_released(
    admin: httpx.Client, guarded: Server
) -> None:
    claim(admin, "team/app", "team/tool")
    assert {"team/app", "team/tool"} <= set(owned(admin))
    released = admin.post(RELEASE, json={"repository": "docker", "name": "team/app"})
    assert (released.status_code, released.json()) == (
        200,
        {"repository": "docker-hosted", "released": "team/app"},
    )
    for _ in range(8):  # whichever worker answers
        with httpx.Client(base_url=guarded.url, trust_env=False, headers=admin.headers) as other:
            assert "team/app" not in owned(other)
    again = admin.post(RELEASE, json={"repository": "docker-hosted", "name": "team/app"})
    assert (again.status_code, again.json()["error"]) == (404, "docker-hosted owns no package team/app")
    claim(admin, "team/app")
    assert "team/app" in owned(admin)


def test_a_session_outlives_no_name(admin: httpx.Client, guarded: Server) -> None:
    """It was opened under a name that was ours: once that is released, finishing would be a claim."""
    claim(admin, "session/app")
    writer = make_token(guarded, "--role", "write", user="writer")
    with httpx.Client(base_url=guarded.url, timeout=30, trust_env=False, headers=writer.bearer) as client:
        session = Repository(client, "session/app")
        upload = session.start()
        admin.post(RELEASE, json={"repository": "docker", "name": "session/app"})
        assert session.finish(upload, digest(b"late"), b"late").status_code == 403
    assert "session/app" not in owned(admin)


def test_a_listing_has_pages(admin: httpx.Client) -> None:
    claim(admin, "page/a", "page/b", "page/c")
    assert owned(admin, "repository=docker-hosted&after=page/&limit=2") == ["page/a", "page/b"]
    assert owned(admin, "repository=docker-hosted&after=page/b&limit=1") == ["page/c"]


def test_the_audit_log_has_who_released_what(admin: httpx.Client, guarded: Server) -> None:
    claim(admin, "audited")
    admin.post(RELEASE, json={"repository": "docker", "name": "audited"})

    log = guarded.storage / "audit.jsonl"

    def told() -> list[tuple[object, ...]]:
        lines = map(orjson.loads, log.read_bytes().splitlines() if log.exists() else ())
        return [
            tuple(line[key] for key in ("subject", "action", "repository", "outcome"))
            for line in lines
            if line["object"] == "audited" and line["action"] == "admin"
        ]

    wait_until(
        lambda: told() == [("root", "admin", "docker-hosted", "ok")], "the line of the audit", seen=told
    )


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("repository=docker&limit=0", 400),
        ("repository=docker&limit=1001", 400),
        ("repository=docker&limit=-1", 400),
        ("repository=docker&limit=%C2%B2", 400),
        ("repository=docker&limit=" + "9" * 5000, 400),
        ("repository=none", 404),
        ("repository=docker-proxy", 404),
    ],
)
def test_a_listing_of_nothing_is_refused(admin: httpx.Client, query: str, status: int) -> None:
    assert admin.get(f"{LIST}?{query}").status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("[]", 400),
        ("{}", 400),
        ('{"repository": "docker"}', 400),
        ('{"repository": "docker", "name": 1}', 400),
        ('{"repository": "docker", "name": "x", "all": true}', 400),
        ('{"repository": "docker", "name": "\\ud800"}', 400),
        ('{"repository": "docker", "name": "\\u0000"}', 404),
        ('{"repository": "docker-proxy", "name": "x"}', 404),
        ('{"repository": "none", "name": "x"}', 404),
    ],
)
def test_a_release_of_nothing_is_refused(admin: httpx.Client, body: str, status: int) -> None:
    answer = admin.post(RELEASE, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error", "request_id"}


def test_a_page_of_another_site_releases_nothing(admin: httpx.Client) -> None:
    claim(admin, "formed")
    answer = admin.post(RELEASE, data={"repository": "docker", "name": "formed"})
    assert answer.status_code == 400
    assert "formed" in owned(admin)


def test_on_a_network_nobody_unknown_administrates(nora_server: StartServer, http: httpx.Client) -> None:
    assert http.get(f"{LIST}?repository=docker").status_code == 200, "whoever has the machine"
    server = nora_server(env={"NORA_HOST": "0.0.0.0"})
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        claim(client, "app")
        assert client.get(f"{LIST}?repository=docker").status_code == 403
        assert client.post(RELEASE, json={"repository": "docker", "name": "app"}).status_code == 403


def test_names_are_spelled_as_their_format_spells_them(admin: httpx.Client, guarded: Server) -> None:
    answer = admin.post(RELEASE, json={"repository": "pypi", "name": "Foo__Bar.x"})
    assert (answer.status_code, answer.json()["error"]) == (404, "pypi-hosted owns no package foo-bar-x")
