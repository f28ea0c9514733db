"""What is cached is purged by administrators, for all workers at once."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import orjson
import pytest

from tests.formats.pypi.wire import JSON
from tests.http.wire import eventually
from tests.support.access import make_token
from tests.support.answers import Answer, absent
from tests.support.pypi_index import PyPIIndex
from tests.support.server import Server, running
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream
from tests.support.wheels import Built, Release

pytestmark = pytest.mark.slow
PURGE = "/api/v1/admin/cache/purge"


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    with running_upstream() as found:
        yield found


@pytest.fixture(scope="module")
def index(up: Upstream) -> PyPIIndex:
    found = PyPIIndex()
    found.mount(up)
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, up: Upstream) -> Iterator[Server]:
    env = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_RATE_LIMIT_ENABLED": "false",
        "NORA_PYPI_PROXY": f"{up.url}/simple",
        "NORA_PROXY_MODE": "online",
        "NORA_PYPI_METADATA_TTL": "3600",
    }
    with running(tmp_path_factory.mktemp("purged") / "one", workers=2, env=env) as found:
        yield found


@pytest.fixture(scope="module")
def admin(server: Server) -> Iterator[httpx.Client]:
    token = make_token(server, "--role", "admin", user="root")
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False, headers=token.bearer) as client:
        yield client


@pytest.fixture(autouse=True)
def _forgotten(up: Upstream) -> Iterator[None]:
    up.log.clear()
    yield
    up.fault = None


def everywhere(admin: httpx.Client, path: str) -> set[tuple[int, bytes]]:
    """What a path answers on new connections: whichever worker takes them."""
    found = set()
    for _ in range(8):
        with httpx.Client(base_url=admin.base_url, trust_env=False, headers=admin.headers) as client:
            answer = client.get(path, headers={"accept": JSON} if path.endswith("/") else {})
            found.add((answer.status_code, answer.content))
    return found


def purge(admin: httpx.Client, **wanted: str) -> dict[str, object]:
    answer = admin.post(PURGE, json={"repository": "pypi", **wanted})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def wheel(index: PyPIIndex, project: str, version: str) -> Built:
    built = Release(project=project, version=version).wheel()
    index.add(built)
    return built


def test_a_purged_file_is_asked_for_again(admin: httpx.Client, index: PyPIIndex, up: Upstream) -> None:
    one, two = wheel(index, "filed", "1.0"), wheel(index, "filed", "2.0")
    paths = {built.filename: f"/simple/filed/{built.filename}" for built in (one, two)}
    for path in ("/simple/filed/", *paths.values(), f"{paths[one.filename]}.metadata"):
        assert len(everywhere(admin, path)) == 1
    purged = purge(admin, name="Filed", file=one.filename)
    assert purged == {
        "repository": "pypi",
        "files": 2,
        "blobs": 0,
        "names": 0,
        "paths": [f"filed/{one.filename}", f"filed/{one.filename}.metadata"],
    }
    up.log.clear()
    assert everywhere(admin, paths[one.filename]) == {(200, one.body)}
    assert everywhere(admin, paths[two.filename]) == {(200, two.body)}
    assert up.log.paths() == ["/simple/filed/", index.path_of(one.filename)], "the page was asked for first"


def test_a_purged_name_is_forgotten_by_all_workers(
    admin: httpx.Client, index: PyPIIndex, up: Upstream
) -> None:
    built = wheel(index, "named", "1.0")
    path = f"/simple/named/{built.filename}"
    assert everywhere(admin, path) == {(200, built.body)}
    assert purge(admin, name="named")["names"] == 1
    up.fault = absent()
    assert {status for status, _ in everywhere(admin, path)} == {404}
    assert {status for status, _ in everywhere(admin, "/simple/named/")} == {404}


def test_an_absence_is_forgotten_with_the_name(admin: httpx.Client, index: PyPIIndex) -> None:
    assert {status for status, _ in everywhere(admin, "/simple/late/")} == {404}
    wheel(index, "late", "1.0")
    assert {status for status, _ in everywhere(admin, "/simple/late/")} == {404}, "remembered for a minute"
    assert admin.post(PURGE, json={"repository": "pypi", "name": "late"}).status_code == 404
    assert {status for status, _ in everywhere(admin, "/simple/late/")} == {200}


def test_the_rest_of_a_purged_project_is_served_without_the_upstream(
    admin: httpx.Client, index: PyPIIndex, up: Upstream
) -> None:
    one, two = wheel(index, "rest", "1.0"), wheel(index, "rest", "2.0")
    for built in (one, two):
        assert everywhere(admin, f"/simple/rest/{built.filename}") == {(200, built.body)}
    purge(admin, name="rest", version="1.0")
    up.fault = Answer(status=500)
    assert everywhere(admin, f"/simple/rest/{two.filename}") == {(200, two.body)}
    assert {status for status, _ in everywhere(admin, "/simple/rest/")} == {200}


def test_only_administrators_purge_and_every_purge_is_recorded(admin: httpx.Client, server: Server) -> None:
    writer = make_token(server, "--role", "write", user="writer")
    refused = httpx.post(
        f"{server.url}{PURGE}",
        json={"repository": "pypi", "name": "told"},
        headers=writer.bearer,
        trust_env=False,
    )
    assert refused.status_code == 403
    digest = f"sha256:{'1' * 64}"
    for body in ({"name": "told", "version": "1.0"}, {"digest": digest}):
        assert admin.post(PURGE, json={"repository": "pypi", **body}).status_code == 404

    def told() -> set[tuple[str, ...]]:
        log = server.storage / "audit.jsonl"
        lines = map(orjson.loads, log.read_bytes().splitlines() if log.exists() else ())
        return {
            tuple(str(line.get(key)) for key in ("subject", "action", "repository", "object", "outcome"))
            for line in lines
        }

    wanted = {
        ("writer", "admin", "", PURGE, "denied"),
        ("root", "admin", "pypi", "purge told 1.0", "failed"),
        ("root", "admin", "pypi", "purge", "failed"),
    }
    assert eventually(lambda: wanted <= told()), told()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"repository": "pypi"}, 400),
        ({"repository": "pypi", "name": ""}, 400),
        ({"repository": "pypi", "name": "demo", "version": ""}, 400),
        ({"repository": "pypi", "name": 1}, 400),
        ({"repository": "pypi", "digest": "sha256:x"}, 400),
        ({"repository": "pypi", "name": "demo", "all": True}, 400),
        ({"repository": "pypi-hosted", "name": "demo"}, 400),
        ({"repository": "none", "name": "demo"}, 404),
    ],
)
def test_a_purge_of_nothing_is_refused(admin: httpx.Client, body: dict[str, object], status: int) -> None:
    assert admin.post(PURGE, json=body).status_code == status
