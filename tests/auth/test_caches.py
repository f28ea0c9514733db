"""What administrators purge and block, for all workers at once."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import orjson
import pytest

from tests.formats.pypi.wire import JSON, upload
from tests.support.access import make_token
from tests.support.answers import Answer, absent
from tests.support.pypi_index import PyPIIndex
from tests.support.server import Server, running
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream
from tests.support.waiting import wait_until
from tests.support.wheels import Built, Release

pytestmark = pytest.mark.slow
PURGE, BLOCKS = "/api/v1/admin/cache/purge", "/api/v1/admin/blocks"


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
        "NORA_PROXY_RETRIES": "0",
        "NORA_CB_ENABLED": "false",
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


@pytest.mark.parametrize("said", [{}, {"version": "1.0"}, {"file": "gone-1.0-py3-none-any.whl"}])
def test_the_absence_of_a_file_is_forgotten_with_a_purge(
    admin: httpx.Client, index: PyPIIndex, up: Upstream, said: dict[str, str]
) -> None:
    """The page lists it, and it was not there a moment ago."""
    built = wheel(index, "gone", "1.0")
    path = f"/simple/gone/{built.filename}"
    index.projects["gone"].files[-1].body = absent()
    assert {status for status, _ in everywhere(admin, path)} == {404}
    index.projects["gone"].files[:] = []
    wheel(index, "gone", "1.0")
    assert {status for status, _ in everywhere(admin, path)} == {404}, "remembered for a minute"
    admin.post(PURGE, json={"repository": "pypi", "name": "gone", **said})
    assert everywhere(admin, path) == {(200, built.body)}
    purge(admin, name="gone")
    index.projects.pop("gone")


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
    wait_until(lambda: wanted <= told(), "the lines of the audit", seen=lambda: wanted - told())


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


def block(admin: httpx.Client, **what: object) -> int:
    answer = admin.post(BLOCKS, json={"reason": "it bites", **what})
    assert answer.status_code == 200, answer.text
    number: int = answer.json()["id"]
    return number


def lift(admin: httpx.Client, number: int) -> None:
    assert admin.post(f"{BLOCKS}/lift", json={"id": number}).status_code == 200


def listed(admin: httpx.Client, project: str) -> set[tuple[str, ...]]:
    """The files of the page and of the JSON API, whichever worker answers."""
    answers = everywhere(admin, f"/simple/{project}/")
    assert {status for status, _ in answers} == {200}, answers
    pages = {body for _, body in answers}
    found = {tuple(one["filename"] for one in orjson.loads(page)["files"]) for page in pages}
    for _, body in everywhere(admin, f"/pypi/{project}/json"):
        releases = orjson.loads(body)["releases"]
        found.add(tuple(one["filename"] for files in releases.values() for one in files))
    return found


@pytest.mark.parametrize("is_cached", [True, False])
@pytest.mark.parametrize("by", ["version", "digest"])
def test_a_blocked_version_is_refused_and_left_out(
    admin: httpx.Client, index: PyPIIndex, up: Upstream, by: str, is_cached: bool
) -> None:
    project = f"blocked-{by}-{is_cached}".lower()
    one, two = wheel(index, project, "1.0"), wheel(index, project, "2.0")
    paths = [f"/simple/{project}/{built.filename}" for built in (one, two)]
    assert listed(admin, project) == {(one.filename, two.filename)}
    if is_cached:
        assert everywhere(admin, paths[1]) == {(200, two.body)}
    up.log.clear()
    what = {"repository": "pypi", "name": project.replace("-", "_"), "version": "v2.0"}
    number = block(admin, **(what if by == "version" else {"digest": f"sha256:{two.sha256}"}))
    message = f"is blocked here: it bites (block {number}, by root)\n".encode()
    assert {(status, body[-len(message) :]) for status, body in everywhere(admin, paths[1])} == {
        (403, message)
    }
    assert listed(admin, project) == {(one.filename,)}
    assert (
        orjson.loads(admin.get(f"/pypi/{project}/json").content)["info"]["version"] == "1.0" or by == "digest"
    )
    assert everywhere(admin, paths[0]) == {(200, one.body)}
    if by == "version":
        assert {status for status, _ in everywhere(admin, f"{paths[1]}.metadata")} == {403}
    assert index.path_of(two.filename) not in up.log.paths()
    lift(admin, number)
    assert everywhere(admin, paths[1]) == {(200, two.body)}
    assert listed(admin, project) == {(one.filename, two.filename)}


def test_what_was_published_is_blocked_and_may_not_be_pushed_again(admin: httpx.Client) -> None:
    built = {version: Release(project="ours", version=version).wheel() for version in ("1.0", "2.0", "3.0")}
    for version in ("1.0", "2.0"):
        assert upload(admin, built[version]).status_code == 200
    numbers = [
        block(admin, repository="pypi-hosted", name="ours", version="2.0"),
        block(admin, repository="pypi-hosted", name="ours", version="3.0", everywhere=True),
    ]
    assert {status for status, _ in everywhere(admin, f"/simple/ours/{built['2.0'].filename}")} == {403}
    assert listed(admin, "ours") == {(built["1.0"].filename,)}
    for version in ("2.0", "3.0"):
        answer = upload(admin, built[version])
        assert answer.status_code == 403
        assert f"ours {version} is blocked here: it bites" in answer.text
    for number in numbers:
        lift(admin, number)
    assert upload(admin, built["3.0"]).status_code == 200
    assert listed(admin, "ours") == {tuple(one.filename for one in built.values())}


def test_a_blocked_name_is_asked_of_nobody(admin: httpx.Client, index: PyPIIndex, up: Upstream) -> None:
    wheel(index, "malware", "1.0")
    number = block(admin, repository="pypi-proxy", name="Malware")
    for path in ("/simple/malware/", "/pypi/malware/json", "/simple/malware/malware-1.0-py3-none-any.whl"):
        assert {status for status, _ in everywhere(admin, path)} == {403}
    assert up.log.paths() == []
    lift(admin, number)
    assert {status for status, _ in everywhere(admin, "/simple/malware/")} == {200}


def test_blocks_are_listed_in_pages(admin: httpx.Client) -> None:
    numbers = [block(admin, repository="pypi", name=f"paged-{number}") for number in range(3)]
    page = admin.get(f"{BLOCKS}?after={numbers[0]}&limit=1").json()["blocks"]
    assert [(one["id"], one["name"], one["by"], one["reason"]) for one in page] == [
        (numbers[1], "paged-1", "root", "it bites")
    ]
    for number in numbers:
        lift(admin, number)
    assert admin.get(f"{BLOCKS}?after={numbers[0]}").json() == {"blocks": []}


@pytest.mark.parametrize("path", [BLOCKS, "/api/v1/admin/tokens", "/api/v1/admin/packages?repository=pypi"])
def test_a_page_is_bounded_however_its_size_is_written(admin: httpx.Client, path: str) -> None:
    for size in ("0", "1001", "0000000011111", "1" * 30, "x"):
        answer = admin.get(path, params={**httpx.QueryParams(path.partition("?")[2]), "limit": size})
        assert answer.status_code == 400, size


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"reason": "x"}, 400),
        ({"repository": "pypi", "name": "demo"}, 400),
        ({"repository": "pypi", "name": "demo", "reason": ""}, 400),
        ({"repository": "pypi", "name": "demo", "reason": "two\nlines"}, 400),
        ({"repository": "pypi", "name": "", "reason": "x"}, 400),
        ({"name": "demo", "reason": "x"}, 400),
        ({"repository": "pypi", "name": "demo", "everywhere": 1, "reason": "x"}, 400),
        ({"repository": "pypi", "name": "demo", "digest": f"sha256:{'1' * 64}", "reason": "x"}, 400),
        ({"digest": "sha256:1", "reason": "x"}, 400),
        ({"repository": "none", "name": "demo", "reason": "x"}, 404),
        ({"repository": "none", "digest": f"sha256:{'1' * 64}", "reason": "x"}, 404),
    ],
)
def test_a_block_of_nothing_is_refused(admin: httpx.Client, body: dict[str, object], status: int) -> None:
    assert admin.post(BLOCKS, json=body).status_code == status


@pytest.mark.parametrize("number", ["1", 0, -1, True, None, 1 << 63, 1.5])
def test_what_is_no_block_is_not_lifted(admin: httpx.Client, number: object) -> None:
    assert admin.post(f"{BLOCKS}/lift", json={"id": number}).status_code == 400
