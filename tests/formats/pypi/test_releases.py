"""What is done to releases after their upload, over HTTP and from the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

from nora.formats.pypi.json_api import _work
from nora.proxy.offload import SMALL_BYTES
from tests.conftest import StartServer
from tests.formats.pypi.wire import filenames, page, upload
from tests.support.access import make_token
from tests.support.command import run
from tests.support.server import Server
from tests.support.wheels import Release


@pytest.fixture
def release(http: httpx.Client, project: str) -> Release:
    """Version 1.0 of a project, with a wheel and an sdist; there is a 2.0, too."""
    found = Release(project=project)
    for built in (found.wheel(), found.sdist(), Release(project=project, version="2.0").wheel()):
        assert upload(http, built).status_code == 200
    return found


def yanked(http: httpx.Client, project: str) -> dict[str, object]:
    return {file["filename"].split("-")[1][:3]: file["yanked"] for file in page(http, project)["files"]}


def test_yank_and_unyank(http: httpx.Client, project: str, release: Release) -> None:
    answer = http.post(f"/pypi/{project}/1.0/yank", json={"reason": "it is broken"})
    assert (answer.status_code, answer.json()["yanked"]) == (200, "it is broken")
    assert yanked(http, project) == {"1.0": "it is broken", "2.0": False}
    text = http.get(f"/simple/{project}/").text
    assert text.count('data-yanked="it is broken"') == 2
    assert http.get(f"/simple/{project}/{release.wheel().filename}").status_code == 200
    assert http.post(f"/pypi/{project}/1.0/yank", json={}).json()["yanked"] is True
    assert yanked(http, project) == {"1.0": True, "2.0": False}
    assert http.post(f"/pypi/{project}/1.0/unyank", json={}).status_code == 200
    assert yanked(http, project) == {"1.0": False, "2.0": False}


def test_what_is_not_there(http: httpx.Client, project: str, release: Release) -> None:
    assert http.post(f"/pypi/{project}/9.9/yank", json={}).status_code == 404
    assert http.post("/pypi/nothing-here/1.0/yank", json={}).status_code == 404
    assert http.post(f"/pypi/{project}/one/yank", json={}).status_code == 400
    assert http.delete(f"/pypi/{project}/9.9").status_code == 404
    assert http.delete(f"/pypi/{project}/1.0/other-1.0.tar.gz").status_code == 404
    assert http.put("/pypi/nothing-here/status", json={"status": "archived"}).status_code == 404
    assert http.put(f"/pypi/{project}/status", json={"status": "gone"}).status_code == 400
    assert http.post(f"/pypi/{project}/1.0/yank").status_code == 400, "a page of another site can send a form"


def test_deleted_names_are_never_used_again(http: httpx.Client, project: str, release: Release) -> None:
    wheel, sdist = release.wheel(), release.sdist()
    answer = http.delete(f"/pypi/{project}/1.0/{wheel.filename}")
    assert (answer.status_code, answer.json()["deleted"]) == (200, 1)
    for end in ("", ".metadata"):
        assert http.get(f"/simple/{project}/{wheel.filename}{end}").status_code == 404
    assert sdist.filename in filenames(http, project)
    again = upload(http, wheel)
    assert (again.status_code, again.text.startswith("File already exists")) == (409, False)
    assert http.delete(f"/pypi/{project}/1.0").json()["deleted"] == 1
    assert page(http, project)["versions"] == ["2.0"]
    assert http.delete(f"/pypi/{project}").json()["deleted"] == 1
    found = page(http, project)
    assert (found["files"], found["versions"]) == ([], [])
    assert upload(http, sdist).status_code == 409
    assert upload(http, Release(project=project, version="3.0").sdist()).status_code == 200


def test_status(http: httpx.Client, project: str, release: Release) -> None:
    path = f"/pypi/{project}/status"
    assert page(http, project)["project-status"] == {"status": "active"}
    wish = {"status": "archived", "reason": "no longer kept"}
    assert http.put(path, json=wish).status_code == 200
    assert page(http, project)["project-status"] == wish
    assert len(filenames(http, project)) == 3
    refused = upload(http, Release(project=project, version="3.0").wheel())
    assert (refused.status_code, "archived" in refused.text) == (403, True)
    assert http.put(path, json={"status": "quarantined"}).status_code == 200
    assert filenames(http, project) == []
    for end in ("", ".metadata"):
        assert http.get(f"/simple/{project}/{release.wheel().filename}{end}").status_code == 403
    assert 'name="pypi:project-status" content="quarantined"' in http.get(f"/simple/{project}/").text
    assert http.put(path, json={"status": "active"}).status_code == 200
    assert upload(http, Release(project=project, version="3.0").wheel()).status_code == 200


def test_legacy_json(http: httpx.Client, project: str, release: Release) -> None:
    base = str(http.base_url).rstrip("/")
    answer = http.get(f"/pypi/{project}/json", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    found = answer.json()
    assert found["info"]["version"] == "2.0"
    assert found["info"]["summary"] == "Made for a test"
    assert {version: len(files) for version, files in found["releases"].items()} == {"1.0": 2, "2.0": 1}
    (file,) = found["urls"]
    built = Release(project=project, version="2.0").wheel()
    assert file["url"] == f"{base}/simple/{project}/{built.filename}"
    assert file["digests"]["sha256"] == built.sha256
    assert http.get(file["url"]).content == built.body
    one = http.get(f"/pypi/{project}/1.0/json").json()
    assert (one["info"]["version"], len(one["urls"]), "releases" in one) == ("1.0", 2, False)
    assert http.get(f"/pypi/{project}/9.9/json").status_code == 404
    assert http.get("/pypi/nothing-here/json").status_code == 404
    assert http.head(f"/pypi/{project}/json").headers["etag"]
    http.post(f"/pypi/{project}/2.0/yank", json={"reason": "bad"})
    assert http.get(f"/pypi/{project}/json").json()["info"]["version"] == "1.0"


def test_legacy_json_of_a_project_that_is_quarantined(
    http: httpx.Client, project: str, release: Release
) -> None:
    """It offers no file, as its page does not (PEP 792); what its versions are is still said."""
    paths = f"/pypi/{project}/json", f"/pypi/{project}/1.0/json"
    assert all(http.get(path).json()["urls"] for path in paths)
    assert http.put(f"/pypi/{project}/status", json={"status": "quarantined"}).status_code == 200
    for path in paths:
        answer = http.get(path)
        assert (answer.status_code, answer.json()["urls"]) == (200, [])
        assert release.wheel().filename not in answer.text
    assert http.get(paths[0]).json()["releases"] == {"1.0": [], "2.0": []}
    assert http.put(f"/pypi/{project}/status", json={"status": "active"}).status_code == 200
    assert all(http.get(path).json()["urls"] for path in paths)


def test_legacy_json_of_much_core_metadata(http: httpx.Client, project: str) -> None:
    """It is made in another process, and the same."""
    requires = [f"dependency-{number}>=1,<2" for number in range(1000)]
    wheel = Release(project=project, requires=requires, summary="A long story").wheel()
    assert _work(wheel.metadata, 0) > SMALL_BYTES
    assert upload(http, wheel).status_code == 200
    found = http.get(f"/pypi/{project}/json").json()
    assert found["info"]["requires_dist"] == requires
    assert [file["filename"] for file in found["urls"]] == [wheel.filename]
    assert found["last_serial"] > 0


def test_who_may(nora_server: StartServer) -> None:
    """Yanking is a write, deleting a delete, a quarantine an administrator's."""
    server = nora_server(env={"NORA_AUTH_ENABLED": "true"})
    tokens = {role: make_token(server, "--role", role) for role in ("read", "write", "admin")}
    other = make_token(server, "--role", "write", "--scope", "pypi:elsewhere:read,write")
    built = Release(project="guarded").wheel()
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as http:
        for method, path, json, allowed in (
            ("GET", "/simple/", None, "read write admin"),
            ("GET", "/simple/guarded/", None, "read write admin"),
            ("GET", f"/simple/guarded/{built.filename}", None, "read write admin"),
            ("GET", "/pypi/guarded/json", None, "read write admin"),
            ("POST", "/pypi/guarded/1.0/yank", {}, "write admin"),
            ("POST", "/pypi/guarded/1.0/unyank", {}, "write admin"),
            ("POST", "/pypi/guarded/refresh", {}, "write admin"),
            ("PUT", "/pypi/guarded/status", {"status": "deprecated"}, "write admin"),
            ("PUT", "/pypi/guarded/status", {"status": "quarantined"}, "admin"),
            ("DELETE", f"/pypi/guarded/1.0/{built.filename}", None, "admin"),
            ("DELETE", "/pypi/guarded/1.0", None, "admin"),
            ("DELETE", "/pypi/guarded", None, "admin"),
        ):
            anonymous = http.request(method, path, json=json)
            assert anonymous.status_code == 401, path
            assert anonymous.headers["www-authenticate"] == 'Basic realm="NORA"'
            for role, token in tokens.items():
                answer = http.request(method, path, json=json, auth=("__token__", token.secret))
                assert (answer.status_code != 403) == (role in allowed), (method, path, role)
        http.auth = ("__token__", tokens["read"].secret)
        assert upload(http, built).status_code == 403
        http.auth = ("__token__", other.secret)
        assert upload(http, built).status_code == 403
        assert http.get("/simple/guarded/").status_code == 403
        http.auth = ("anything", tokens["write"].secret)
        assert upload(http, built).status_code == 200
        http.auth = None
        bearer = {"authorization": f"Bearer {tokens['read'].secret}"}
        answer = http.get(f"/simple/guarded/{built.filename}", headers=bearer)
        assert answer.headers["cache-control"].startswith("private")
        assert answer.content == built.body
        http.auth = ("__token__", other.secret)
        listing = http.get("/simple/", headers={"accept": "application/vnd.pypi.simple.v1+json"})
        assert listing.json()["projects"] == []
    server.stop()
    audit = (server.storage / "audit.jsonl").read_text()
    assert '"object":"guarded 1.0 yank"' in audit
    assert '"action":"delete"' in audit


@pytest.mark.slow
def test_commands(http: httpx.Client, nora: Server, project: str, release: Release) -> None:
    """The same from the command line, beside a running server."""

    def command(*words: str, fails: bool = False) -> str:
        argv = (sys.executable, "-m", "nora", "pypi", *words)
        return run(*argv, env=nora.environment(), cwd=nora.data, fails=fails)

    command("yank", project, "1.0", "--reason", "broken")
    assert yanked(http, project) == {"1.0": "broken", "2.0": False}
    command("unyank", project, "1.0", "--repository", "pypi-hosted")
    assert yanked(http, project) == {"1.0": False, "2.0": False}
    command("status", project, "deprecated", "--reason", "use another")
    assert page(http, project)["project-status"] == {"status": "deprecated", "reason": "use another"}
    command("delete", project, "1.0", "--file", release.wheel().filename)
    assert release.wheel().filename not in filenames(http, project)
    command("delete", project, "1.0")
    assert page(http, project)["versions"] == ["2.0"]
    assert "9.9" in command("yank", project, "9.9", fails=True)


MEMBERS = """
[repositories.first]
format = "pypi"
[repositories.second]
format = "pypi"
[repositories.both]
format = "pypi"
kind = "group"
members = ["first", "second"]
"""


def test_legacy_json_joins_all_hosted_members(nora_server: StartServer, tmp_path: Path) -> None:
    """As the page does; of two files with one name the first counts."""
    (tmp_path / "members.toml").write_text(MEMBERS)
    server = nora_server(env={"NORA_CONFIG_PATH": str(tmp_path / "members.toml")})
    old, new = (Release(project="joined", version=version).wheel() for version in ("1.0", "2.0"))
    other = Release(project="joined", seed="other").wheel()
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as http:
        for built, name in ((old, "first"), (new, "second"), (other, "second")):
            assert upload(http, built, f"/r/{name}/legacy/").status_code == 200
        http.post("/r/second/pypi/joined/1.0/yank", json={"reason": "the other"})
        found = http.get("/r/both/pypi/joined/json").json()
        listed = {file["filename"]: file for files in found["releases"].values() for file in files}
        assert {name: file["digests"]["sha256"] for name, file in listed.items()} == {
            old.filename: old.sha256,
            new.filename: new.sha256,
        }
        assert (found["info"]["version"], listed[old.filename]["yanked"]) == ("2.0", False)
        assert http.get("/r/both/pypi/joined/2.0/json").json()["urls"][0]["filename"] == new.filename
