"""Claims: who may make a name ours, by whatever first write, at each setting of `proxy.claims`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest

from tests.support.access import Credentials, make_token
from tests.support.command import run
from tests.support.oci import INDEX, Repository, digest, index
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.trust.shown import wheel
from tests.trust.sites import Site, registry, sites

pytestmark = pytest.mark.slow

CONFIG = """
[auth]
enabled = true
anonymous_read = true
[rate_limit]
enabled = false
[proxy]
mode = "online"
retries = 0
absent_ttl = 0
reserved = ["reserved-*", "reserved/**"]
claims = "{claims}"
[pypi]
metadata_ttl = 0
upstreams = ["{url}/simple"]
[docker]
metadata_ttl = 0
upstreams = ["{url}"]
"""
SETTINGS = ("write", "admin", "reserved")
MANIFEST = index([])
BLOB = b"a blob to mount"
NUMBERS = count()
COMMANDS = pytest.mark.parametrize("place", ["write"], indirect=True)
"""They take a second each, and the setting is not for them."""


@dataclass(frozen=True, slots=True)
class Place:
    server: Server
    claims: str
    public: Site
    write: httpx.Client
    admin: httpx.Client

    def owned(self, repository: str) -> list[str]:
        answer = self.admin.get("/api/v1/admin/packages", params={"repository": repository})
        assert answer.status_code == 200, answer.text
        found: list[str] = answer.json()["owned"]
        return found

    def audited(self, name: str) -> list[dict[str, Any]]:
        """The whole lines about a name, so far."""
        log = self.server.storage / "audit.jsonl"
        *lines, _ = log.read_text().split("\n") if log.exists() else [""]
        return [line for line in map(json.loads, lines) if line.get("object") == name]


@pytest.fixture(scope="module", params=SETTINGS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("claims")
    with ExitStack() as stack:
        (public,) = stack.enter_context(sites("public"))
        config = CONFIG.format(claims=request.param, url=public.up.url)
        server, _ = stack.enter_context(registry(folder, config))

        def client(role: str, user: str) -> httpx.Client:
            token: Credentials = make_token(server, "--role", role, user=user)
            return stack.enter_context(
                httpx.Client(base_url=server.url, timeout=30, trust_env=False, headers=token.bearer)
            )

        found = Place(server, request.param, public, client("write", "ci"), client("admin", "root"))
        Repository(found.admin, "reserved/blobs").push_blob(BLOB)
        yield found


# -- first writes ----------------------------------------------------------------------------------------


def open_upload(http: httpx.Client, name: str) -> httpx.Response:
    return http.post(f"/v2/{name}/blobs/uploads/")


def push_blob(http: httpx.Client, name: str) -> httpx.Response:
    return http.post(f"/v2/{name}/blobs/uploads/?digest={digest(b'x')}", content=b"x")


def mount_blob(http: httpx.Client, name: str) -> httpx.Response:
    return http.post(f"/v2/{name}/blobs/uploads/?mount={digest(BLOB)}&from=reserved/blobs")


def push_manifest(http: httpx.Client, name: str) -> httpx.Response:
    return http.put(f"/v2/{name}/manifests/mine", content=MANIFEST, headers={"content-type": INDEX})


def upload(http: httpx.Client, name: str) -> httpx.Response:
    """As twine does it."""
    built = wheel(name, "7.0", "ci")
    files = {"content": (built.filename, built.body, "application/octet-stream")}
    return http.post("/legacy/", data=built.form(), files=files)


Write = Callable[[httpx.Client, str], httpx.Response]
WRITES: dict[str, tuple[Write, str, str]] = {
    "an upload session": (open_upload, "docker", "{}/app"),
    "a blob": (push_blob, "docker", "{}/app"),
    "a mount": (mount_blob, "docker", "{}/app"),
    "a manifest": (push_manifest, "docker", "{}/app"),
    "a wheel": (upload, "pypi", "{}-requests"),
}


def fresh(place: Place, spelling: str, kind: str) -> str:
    """A name that nobody has seen, or that was served from the public source, or that is reserved."""
    word = "reserved" if kind == "reserved" else f"{kind}{next(NUMBERS)}"
    name = spelling.format(word) + (f"{next(NUMBERS)}" if kind == "reserved" else "")
    if "/" in name:
        place.public.stock_image(name)
    else:
        place.public.stock_project(name, "1.0")
    if kind == "cached":
        path = f"/v2/{name}/manifests/latest" if "/" in name else f"/simple/{name}/"
        assert place.write.get(path).status_code == 200
    return name


def may(claims: str, kind: str, role: str) -> bool:
    """The rule: reserved names are whose who may write; others as the setting says; served ones are for
    administrators; with `reserved` there are no others."""
    if kind == "reserved":
        return True
    if kind == "unseen" and claims == "reserved":
        return False
    return role == "admin" or (kind == "unseen" and claims == "write")


@pytest.mark.parametrize("what", WRITES)
def test_a_first_write_claims_a_name_where_that_is_allowed(place: Place, what: str) -> None:
    write, repository, spelling = WRITES[what]
    wrong = []
    for kind in ("unseen", "cached", "reserved"):
        for role in ("write", "admin"):
            name = fresh(place, spelling, kind)
            answer = write(getattr(place, role), name)
            allowed = may(place.claims, kind, role)
            owned = name in place.owned(repository)
            if (answer.is_success, owned) != (allowed, allowed):
                wrong.append(
                    f"{kind} name by {role}: {answer.status_code}, owned: {owned}; {answer.text[:300]}"
                )
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("what", WRITES)
def test_a_refusal_says_what_to_ask_for_and_leaves_nothing(place: Place, what: str) -> None:
    write, repository, spelling = WRITES[what]
    name = fresh(place, spelling, "cached")
    answer = write(place.write, name)
    assert answer.status_code == 403, answer.text
    assert f"nora package claim {repository}" in answer.text
    assert name in answer.text
    assert place.public.host in answer.text, "who serves it"
    assert "administrator" in answer.text
    path = f"/v2/{name}/manifests/latest" if "/" in name else f"/simple/{name}/"
    place.public.up.log.clear()
    assert place.write.get(path).status_code == 200
    assert place.public.seen(name) != [], "it is still theirs"
    wait_until(
        lambda: any(line["outcome"] == "denied" for line in place.audited(name)),
        "the refusal in the audit",
        seen=lambda: place.audited(name),
    )


@pytest.mark.parametrize("what", WRITES)
def test_a_claim_is_audited_with_who_and_what(place: Place, what: str) -> None:
    write, repository, spelling = WRITES[what]
    for kind in ("unseen", "cached") if place.claims != "reserved" else ("cached",):
        name = fresh(place, spelling, kind)
        assert write(place.admin, name).is_success

        def told(name: str = name) -> bool:
            return any(
                "claim" in json.dumps(line)
                and (line["subject"], line["outcome"]) == ("root", "ok")
                and line["repository"] == f"{repository}-hosted"
                for line in place.audited(name)
            )

        wait_until(told, "the line of the audit", seen=lambda: place.audited(name))  # noqa: B023


def test_what_is_claimed_is_not_asked_of_others_any_more(place: Place) -> None:
    name = fresh(place, "{}-requests", "cached")
    assert upload(place.admin, name).is_success
    place.public.up.log.clear()
    page = place.write.get(f"/simple/{name}/")
    assert "7.0" in page.text
    assert "1.0" not in page.text
    assert place.public.seen(name) == []


def test_nothing_that_was_cached_is_served_under_a_name_that_is_claimed(place: Place) -> None:
    project, name = fresh(place, "{}-requests", "cached"), fresh(place, "{}/app", "cached")
    manifest = place.public.registry.manifests[name]["latest"]
    layer = manifest.document["layers"][0]["digest"]
    filename = wheel(project, "1.0", "ci").filename
    paths = [
        f"/simple/{project}/{filename}",
        f"/simple/{project}/{filename}.metadata",
        f"/r/pypi-proxy/simple/{project}/{filename}",
        *(
            f"/v2/{name}/{part}"
            for part in ("manifests/latest", f"manifests/{manifest.digest}", f"blobs/{layer}")
        ),
    ]
    assert {place.write.get(path).status_code for path in paths} == {200}
    assert upload(place.admin, project).is_success
    assert push_manifest(place.admin, name).is_success
    place.public.up.log.clear()
    assert {path: place.write.get(path).status_code for path in paths} == dict.fromkeys(paths, 404)
    assert place.write.get(f"/v2/{name}/tags/list").json()["tags"] == ["mine"]
    assert place.public.seen(project) == place.public.seen(name) == []


def test_a_name_of_yours_is_written_to_by_who_may_write(place: Place) -> None:
    """The second write claims nothing."""
    name = fresh(place, "{}/app", "cached")
    assert open_upload(place.admin, name).is_success
    for write in (open_upload, push_blob, mount_blob, push_manifest):
        assert write(place.write, name).is_success, write.__name__


# -- the command -----------------------------------------------------------------------------------------


def nora(place: Place, *words: str, fails: bool = False) -> str:
    """`nora package …` beside the server that runs."""
    return run(
        sys.executable, "-m", "nora", "package", *words,
        env=place.server.environment(), cwd=place.server.data, fails=fails,
    )  # fmt: skip


@COMMANDS
def test_the_command_claims_lists_and_releases(place: Place) -> None:
    name = fresh(place, "{}-tool", "cached")
    nora(place, "claim", "pypi", name.upper().replace("-", "__"))
    assert name in nora(place, "list", "pypi").split()
    place.public.up.log.clear()
    assert "1.0" not in place.write.get(f"/simple/{name}/").text
    assert place.public.seen(name) == []
    assert upload(place.write, name).is_success, "it is claimed already"
    nora(place, "release", "pypi", name)
    assert name not in nora(place, "list", "pypi").split()


@COMMANDS
def test_the_command_says_where_a_name_comes_from(place: Place) -> None:
    ours = f"reserved/app{next(NUMBERS)}"
    assert open_upload(place.write, ours).is_success
    assert "docker-hosted" in nora(place, "source", "docker", ours)
    cached = fresh(place, "{}/app", "cached")
    assert place.public.host in nora(place, "source", "docker", cached)
    place.public.up.log.clear()
    nora(place, "source", "docker", "never/seen")
    assert place.public.up.log.requests == [], "nobody is asked"
