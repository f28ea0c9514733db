"""What those who have a part of the rights, or none, must not get from it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from nora.formats.npm import body as publication_body
from nora.formats.npm.body import PublicationBody
from tests.formats.npm.conftest import Proxy, kept
from tests.support.access import write_users
from tests.support.answers import document
from tests.support.in_process import add_token, application
from tests.support.npm_registry import Built, NpmRegistry
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream

pytestmark = pytest.mark.anyio


async def blocked(http: httpx.AsyncClient, name: str, version: str = "") -> None:
    block = {"repository": "npm", "name": name, "reason": "malware"}
    if version:
        block["version"] = version
    answer = await http.post("/api/v1/admin/blocks", json=block)
    assert answer.is_success, answer.text


async def published(http: httpx.AsyncClient, *all_built: Built, tag: str = "latest", **more: Any) -> None:
    for built in all_built:
        answer = await http.put(f"/npm/{built.name}", json=built.publication(tag), **more)
        assert answer.status_code == 201, answer.text


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_only_maintainers_deprecate_and_delete_whichever_way(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_AUTH_ENABLED="true", NORA_PROXY_MODE="offline") as http:
        alice, bob = [
            bearer(await add_token(tmp_path, "write", "npm:*:read,write,delete", user=user))
            for user in ("alice", "bob")
        ]
        root = bearer(await add_token(tmp_path, "admin"))
        for name in ("lib", "free"):
            await published(http, *(Built(name, f"{major}.0.0") for major in range(1, 5)), headers=alice)
        body = {"_id": "lib", "maintainers": [{"name": "alice"}]}
        assert (await http.put("/npm/lib", json=body, headers=alice)).status_code == 201
        rev = (await http.get("/npm/lib", headers=alice)).json()["_rev"]
        own = "/npm/-/releases/lib"
        refused = [
            ("POST", f"{own}/1.0.0/deprecate"),
            ("POST", f"{own}/1.0.0/undeprecate"),
            ("DELETE", own),
            ("DELETE", f"{own}/1.0.0"),
            ("DELETE", f"{own}/1.0.0/lib-1.0.0.tgz"),
            ("DELETE", f"/npm/lib/-rev/{rev}"),
            ("DELETE", f"/npm/lib/-/lib-1.0.0.tgz/-rev/{rev}"),
        ]
        for method, path in refused:
            answer = await http.request(method, path, json={}, headers=bob)
            assert answer.status_code == 403, (method, path)
            assert "npm owner add bob" in answer.json()["error"]
        for method, path, who in (
            *((method, path, alice) for method, path in refused[:2]),
            ("DELETE", f"{own}/1.0.0/lib-1.0.0.tgz", alice),
            ("DELETE", f"{own}/2.0.0", alice),
            ("DELETE", f"{own}/3.0.0", root),
            ("DELETE", own, alice),
            ("DELETE", "/npm/-/releases/free/1.0.0", bob),
        ):
            answer = await http.request(method, path, json={}, headers=who)
            assert answer.status_code == 200, (method, path, answer.text)


async def test_a_token_revokes_none_that_may_do_more(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users", alice="a")
    env = {"NORA_AUTH_ENABLED": "true", "NORA_AUTH_HTPASSWD_FILE": str(users), "NORA_PROXY_MODE": "offline"}
    async with application(tmp_path, **env) as http:
        tokens = "/npm/-/npm/v1/tokens"

        async def made(**fields: object) -> tuple[dict[str, str], str]:
            answer = await http.post(tokens, json={"password": "a", **fields}, auth=("alice", "a"))
            assert answer.status_code == 200, answer.text
            return {"authorization": f"Bearer {answer.json()['token']}"}, answer.json()["key"]

        writer, writing = await made()
        reader, reading = await made(readonly=True)
        refused = await http.delete(f"{tokens}/token/{writing}", headers=reader)
        assert refused.status_code == 403
        assert (await http.get("/npm/-/whoami", headers=writer)).status_code == 200
        assert (await http.delete(f"{tokens}/token/{reading}", headers=reader)).status_code == 200
        assert (await http.get("/npm/-/whoami", headers=reader)).status_code == 401
        assert (await http.delete(f"{tokens}/token/{writing}", headers=writer)).status_code == 200


async def test_unpublishing_leaves_what_is_blocked(proxy: Proxy) -> None:
    """The document that npm sends back is the one that it got, which lacks it."""
    http = await proxy(NORA_PROXY_MODE="offline")
    await published(http, *(Built("lib", version) for version in ("1.0.0", "2.0.0", "3.0.0")))
    await blocked(http, "lib", "2.0.0")
    seen = (await http.get("/npm/lib?write=true")).json()
    del seen["versions"]["1.0.0"]
    answer = await http.put(f"/npm/lib/-rev/{seen['_rev']}", json=seen)
    assert answer.status_code == 201, answer.text
    assert list((await http.get("/npm/lib")).json()["versions"]) == ["3.0.0"]
    [block] = (await http.get("/api/v1/admin/blocks")).json()["blocks"]
    assert (await http.post("/api/v1/admin/blocks/lift", json={"id": block["id"]})).is_success
    assert list((await http.get("/npm/lib")).json()["versions"]) == ["2.0.0", "3.0.0"]


async def test_blocked_hosted_versions_are_not_offered(proxy: Proxy) -> None:
    http = await proxy(NORA_PROXY_MODE="offline")
    fields = {"readme": "of the malware"}
    await published(http, Built("lib"), Built("lib", "2.0.0", fields=fields))
    await blocked(http, "lib", "2.0.0")
    answer = await http.get("/npm/lib")
    assert answer.status_code == 200, answer.text
    full = answer.json()
    assert (list(full["versions"]), full["dist-tags"]) == (["1.0.0"], {"latest": "1.0.0"})
    assert "2.0.0" not in full["time"]
    assert "malware" not in str(full)
    assert (await http.get("/npm/-/package/lib/dist-tags")).json() == {"latest": "1.0.0"}
    assert (await http.get("/npm/lib/2.0.0")).status_code == 404
    assert (await http.get("/npm/lib/-/lib-2.0.0.tgz")).status_code == 403
    assert (await http.get("/npm/-/npm/v1/attestations/lib@2.0.0")).status_code == 403
    [found] = (await http.get("/npm/-/v1/search?text=lib")).json()["objects"]
    assert found["package"]["version"] == "1.0.0"
    await published(http, Built("lib", "1.0.1"), tag="next")
    await blocked(http, "lib")
    await published(http, Built("lib-other"))
    assert (await http.get("/npm/lib")).status_code == 403
    assert (await http.get("/npm/-/package/lib/dist-tags")).status_code == 403
    found = await http.get("/npm/-/v1/search?text=lib")
    assert [one["package"]["name"] for one in found.json()["objects"]] == ["lib-other"]


async def test_times_tell_of_no_blocked_version(proxy: Proxy, registry: NpmRegistry) -> None:
    registry.add(Built("lib"), Built("lib", "2.0.0"))
    http = await proxy()
    await blocked(http, "lib", "2.0.0")
    found = (await http.get("/npm/lib")).json()["time"]
    assert "1.0.0" in found
    assert "2.0.0" not in found


async def test_latest_stays_where_it_is_offered(proxy: Proxy) -> None:
    http = await proxy(NORA_PROXY_MODE="offline")
    await published(http, Built("lib", "1.0.0"), Built("lib", "2.0.0"))
    assert (await http.delete("/npm/lib/-/lib-2.0.0.tgz/-rev/x")).status_code == 200
    assert (await http.get("/npm/lib")).json()["dist-tags"] == {"latest": "1.0.0"}
    for version in ("0.9.5", "3.0.0-beta"):
        await published(http, Built("lib", version), tag="other")
        tags = (await http.get("/npm/lib")).json()["dist-tags"]
        assert tags == {"latest": "1.0.0", "other": version}


async def test_members_named_data_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the attachments they may be millions, and each look was at all that had come."""
    looks = []

    class Counted:
        def search(self, buffer: bytes) -> object:
            looks.append(len(buffer))
            return pattern.search(buffer)

    pattern = publication_body._DATA
    monkeypatch.setattr(publication_body, "_DATA", Counted())

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"a":[' + b'{"data":""},' * 1000 + b"0]}"

    assert await PublicationBody(pieces()).tarball() is None
    assert len(looks) <= publication_body.MOST_CANDIDATES


async def test_paths_that_are_no_text(proxy: Proxy, registry: NpmRegistry) -> None:
    registry.add(Built("lib"))
    http = await proxy()
    for path in ("lib/%ff", "lib/%ed%a0%80", "%ff", "-/v1/search?text=%ff", "-/npm/v1/attestations/lib@%ff",
                 "-/npm/v1/tokens/token/%ff", "-/v1/done?session=%ed%a0%80", "lib/-/%ff.tgz"):  # fmt: skip
        assert (await http.get(f"/npm/{path}")).status_code < 500, path


def elsewhere(registry: NpmRegistry, built: Built, url: str) -> None:
    """Let the packument say that a tarball is there."""
    registry.add(built)
    manifest = {**built.manifest, "dist": {**built.dist, "tarball": url}}
    about = registry.packages[built.name].about
    about["versions"] = {**about.get("versions", {}), built.version: manifest}


async def test_odd_names_of_tarballs_evade_no_block(proxy: Proxy, registry: NpmRegistry) -> None:
    odd = Built("lib", "2.0.0")
    registry.bodies["lib/-/odd.tgz"] = document(odd.body, "application/octet-stream")
    elsewhere(registry, odd, f"{registry.url}/lib/-/odd.tgz")
    http = await proxy()
    assert (await http.get("/npm/lib/-/odd.tgz")).status_code == 200
    await blocked(http, "lib", "2.0.0")
    for file in ("odd.tgz", "lib-2.0.0.tgz"):
        assert (await http.get(f"/npm/lib/-/{file}")).status_code == 403, file


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/lib-1.0.0.tgz", "http://127.0.0.1:1/lib-1.0.0.tgz", "http://[::1/x.tgz",
            "file:///etc/passwd.tgz", "javascript:x.tgz", ""],
)  # fmt: skip
async def test_tarballs_are_nowhere_inside(proxy: Proxy, registry: NpmRegistry, url: str) -> None:
    elsewhere(registry, Built("lib"), url)
    http = await proxy()
    assert (await http.get("/npm/lib")).status_code in (200, 404)
    answer = await http.get("/npm/lib/-/lib-1.0.0.tgz")
    assert answer.status_code in (404, 502, 503), answer.text


async def test_other_hosts_get_no_credentials(
    tmp_path: Path, registry: NpmRegistry, upstream: Upstream
) -> None:
    built = Built("lib")
    with running_upstream() as other:
        other.serve("/lib-1.0.0.tgz", document(built.body))
        elsewhere(registry, built, f"{other.url}/lib-1.0.0.tgz")
        async with application(
            tmp_path,
            NORA_NPM_PROXY=registry.url,
            NORA_NPM_PROXY_AUTH="user:secret",
            NORA_PROXY_ALLOW_PRIVATE="127.0.0.1",
        ) as http:
            assert (await http.get("/npm/lib/-/lib-1.0.0.tgz")).status_code == 200
        assert "authorization" in upstream.log.of("GET")[0].headers
        assert all("authorization" not in one.headers for one in other.log.of("GET"))


async def test_two_people_at_one_login_get_one_token(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users", alice="a", bob="b")
    env = {"NORA_AUTH_ENABLED": "true", "NORA_AUTH_HTPASSWD_FILE": str(users), "NORA_PROXY_MODE": "offline"}
    async with application(tmp_path, **env) as http:
        begun = (await http.post("/npm/-/v1/login", json={})).json()
        answers = await asyncio.gather(
            *(http.post(begun["loginUrl"], data={"username": u, "password": u[0]}) for u in ("alice", "bob"))
        )
        print([one.status_code for one in answers], [one.text for one in answers if one.status_code > 400])
        assert sorted(one.status_code for one in answers) == [200, 400]


async def test_hosted_versions_of_blocked_bytes_are_not_offered(proxy: Proxy) -> None:
    http = await proxy(NORA_PROXY_MODE="offline")
    two = Built("lib", "2.0.0")
    await published(http, Built("lib"), two)
    answer = await http.post(
        "/api/v1/admin/blocks",
        json={"digest": "sha256:" + hashlib.sha256(two.body).hexdigest(), "reason": "m"},
    )
    assert answer.is_success
    full = (await http.get("/npm/lib")).json()
    assert (list(full["versions"]), full["dist-tags"]) == (["1.0.0"], {"latest": "1.0.0"})
    assert (await http.get("/npm/lib/2.0.0")).status_code == 404
    assert (await http.get("/npm/-/package/lib/dist-tags")).json() == {"latest": "1.0.0"}
    assert (await http.get("/npm/-/npm/v1/attestations/lib@2.0.0")).status_code == 403
    await published(http, Built("lib", "1.0.1"), tag="next")
    full = (await http.get("/npm/lib?write=true")).json()
    full["versions"]["1.0.0"]["deprecated"] = "x"
    assert (await http.put("/npm/lib", json=full)).status_code == 201
    assert (await http.put("/npm/lib", json={"_id": "lib", "users": {"a": True}})).status_code == 201
    assert (await http.put("/npm/lib", json=Built("lib", "3.0.0").publication())).status_code == 201
    assert (await http.get("/npm/lib")).json()["dist-tags"] == {"latest": "3.0.0", "next": "1.0.1"}


async def test_cached_versions_of_blocked_bytes_are_not_offered(
    proxy: Proxy, registry: NpmRegistry, tmp_path: Path
) -> None:
    two = Built("lib", "2.0.0")
    registry.add(Built("lib"), two)
    http = await proxy()
    assert (await http.get("/npm/lib/-/lib-2.0.0.tgz")).status_code == 200
    await kept(tmp_path, "lib/-/lib-2.0.0.tgz")
    answer = await http.post(
        "/api/v1/admin/blocks",
        json={"digest": "sha256:" + hashlib.sha256(two.body).hexdigest(), "reason": "m"},
    )
    assert answer.is_success
    assert (await http.get("/npm/lib/-/lib-2.0.0.tgz")).status_code == 403
    full = (await http.get("/npm/lib")).json()
    found = (await http.get("/npm/-/v1/search?text=lib")).json()
    assert [one["package"]["version"] for one in found["objects"]] == ["1.0.0"]
    assert list(full["versions"]) == ["1.0.0"]


async def test_a_search_passes_over_what_was_blocked_since_it_was_listed(
    proxy: Proxy, registry: NpmRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nora.resolve.listing.LISTED_AT_ONCE", 0)
    registry.add(Built("lib"), Built("lib2"))
    http = await proxy()
    for n in ("lib", "lib2"):
        assert (await http.get(f"/npm/{n}")).status_code == 200
    assert (await http.get("/npm/-/v1/search?text=lib")).json()["total"] == 2
    await blocked(http, "lib")
    answer = await http.get("/npm/-/v1/search?text=lib")
    assert answer.status_code == 200
    assert len(answer.json()["objects"]) == 1


async def test_a_token_of_a_scope_reaches_nothing_else(tmp_path: Path) -> None:
    users = write_users(tmp_path / "users", alice="a")
    env = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(users),
        "NORA_AUTH_ADMIN_USERS": "alice",
        "NORA_PROXY_MODE": "offline",
    }
    async with application(tmp_path, **env) as http:
        body = {
            "username": "alice",
            "password": "a",
            "role": "write",
            "scopes": [{"repository": "npm", "name": "@ok/*", "actions": ["read", "write"]}],
        }
        token = await http.post("/api/tokens", json=body)
        mine = {"authorization": "Bearer " + token.json()["token"]}
        for path in (
            "/npm/@s%2fp",
            "/npm/@s%2Fp",
            "/npm/@s/p",
            "/npm/@ok%2f..%2f@s%2fp",
            "/npm/@ok/../@s/p",
            "/npm/%40s%2fp",
            "/npm/@ok%2f%2e%2e%2fp",
            "/npm/@ok%252fp",
        ):
            answer = await http.put(path, json=Built("@s/p").publication(), headers=mine)
            assert answer.status_code in (400, 403, 404, 405), path
        for path in ("/npm/@ok%2fp", "/npm/@ok/p"):
            answer = await http.put(path, json=Built("@s/p").publication(), headers=mine)
            assert answer.status_code == 400, path
        answer = await http.put("/npm/@ok%2Fp", json=Built("@ok/p").publication(), headers=mine)
        assert answer.status_code == 201
        await published(http, Built("secret"), auth=("alice", "a"))
        found = (await http.get("/npm/-/v1/search?text=", headers=mine)).json()
        assert [one["package"]["name"] for one in found["objects"]] == ["@ok/p"]
        assert found["total"] == 1
        for method, path in (
            ("GET", "/npm/secret"),
            ("GET", "/npm/secret/1.0.0"),
            ("GET", "/npm/secret/-/secret-1.0.0.tgz"),
            ("GET", "/npm/-/package/secret/dist-tags"),
            ("GET", "/npm/-/package/secret/visibility"),
            ("GET", "/npm/-/npm/v1/attestations/secret@1.0.0"),
            ("PUT", "/npm/secret/-rev/1"),
            ("DELETE", "/npm/secret/-rev/1"),
            ("POST", "/npm/-/releases/secret/1.0.0/deprecate"),
            ("GET", "/npm/-/npm/v1/tokens"),
            ("GET", "/npm/-/package/absent/visibility"),
            ("DELETE", "/npm/@ok%2fp/-rev/1"),
            ("DELETE", "/npm/-/npm/v1/tokens/token/0123456789abcdef"),
        ):
            answer = await http.request(method, path, headers=mine)
            assert answer.status_code == 403, (method, path)
