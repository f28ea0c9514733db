"""Blocks on the routes by which an image comes in, and what is left of what was refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest

from nora.blobs.layout import Layout
from nora.catalog.records import File
from nora.catalog.sqlite import SQLiteCatalog
from tests.formats.docker.mirrors import ONLINE
from tests.support.in_process import application
from tests.support.oci import IMAGE, digest, render
from tests.support.oci_upstream import OCIUpstream
from tests.support.upstream import upstream

pytestmark = pytest.mark.anyio
LAYER = b"a layer that bites"


async def block(http: httpx.AsyncClient, **what: str) -> int:
    body = {"reason": "it bites", **what}
    answer = await http.post("/api/v1/admin/blocks", json=body)
    assert answer.status_code == 200, answer.text
    number: int = answer.json()["id"]
    return number


async def push(http: httpx.AsyncClient, name: str, body: bytes) -> httpx.Response:
    session = await http.post(f"/v2/{name}/blobs/uploads/")
    if session.status_code != 202:
        return session
    return await http.put(session.headers["location"], params={"digest": digest(body)}, content=body)


def objects(folder: Path) -> list[Path]:
    root = Path(Layout(folder / "storage").root, "blobs")
    return [one for one in root.rglob("*") if one.is_file()]


def described(body: bytes) -> dict[str, Any]:
    return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(body), "size": len(body)}


async def test_a_blocked_image_takes_no_upload(tmp_path: Path) -> None:
    """Told before anything is sent."""
    async with application(tmp_path) as http:
        number = await block(http, repository="docker", name="team/bad")
        for parameters in ({}, {"digest": digest(LAYER)}, {"mount": digest(LAYER), "from": "team/good"}):
            answer = await http.post("/v2/team/bad/blobs/uploads/", params=parameters, content=LAYER)
            assert answer.status_code == 403
            assert "it bites" in answer.text
        assert (await push(http, "team/good", LAYER)).status_code == 201
        assert (await http.post("/api/v1/admin/blocks/lift", json={"id": number})).status_code == 200
        assert (await push(http, "team/bad", LAYER)).status_code == 201


async def test_refused_bytes_leave_nothing_and_those_that_were_here_stay(tmp_path: Path) -> None:
    async with application(tmp_path) as http:
        number = await block(http, digest=digest(LAYER))
        assert (await push(http, "team/app", LAYER)).status_code == 403
        answer = await http.post(
            "/v2/team/app/blobs/uploads/", params={"digest": digest(LAYER)}, content=LAYER
        )
        assert answer.status_code == 403
        assert objects(tmp_path) == []
        await http.post("/api/v1/admin/blocks/lift", json={"id": number})
        assert (await push(http, "team/app", LAYER)).status_code == 201
        number = await block(http, digest=digest(LAYER))
        there = objects(tmp_path)
        assert (await push(http, "team/other", LAYER)).status_code == 403
        assert objects(tmp_path) == there
        await http.post("/api/v1/admin/blocks/lift", json={"id": number})
        assert (await http.get(f"/v2/team/app/blobs/{digest(LAYER)}")).content == LAYER


async def test_a_manifest_that_needs_a_blocked_layer_is_refused(tmp_path: Path) -> None:
    async with application(tmp_path) as http:
        config = b"{}"
        for body in (config, LAYER):
            assert (await push(http, "team/app", body)).status_code == 201
        image = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": described(config),
            "layers": [described(LAYER)],
        }
        await block(http, digest=digest(LAYER))
        answer = await http.put(
            "/v2/team/app/manifests/1", content=render(image), headers={"content-type": IMAGE}
        )
        assert answer.status_code == 403
        assert "it bites" in answer.text


async def test_nothing_is_mounted_out_of_a_blocked_image(tmp_path: Path) -> None:
    """Whoever knows a digest would get bytes that are refused under the name that has them."""
    async with application(tmp_path) as http:
        assert (await push(http, "team/bad", LAYER)).status_code == 201
        number = await block(http, repository="docker", name="team/bad")
        mount = {"mount": digest(LAYER)}
        for parameters in (mount, {**mount, "from": "team/bad"}):
            answer = await http.post("/v2/team/other/blobs/uploads/", params=parameters)
            assert answer.status_code == 202, "the client is to upload it"
            assert (await http.get(f"/v2/team/other/blobs/{digest(LAYER)}")).status_code == 404
        assert (await push(http, "team/good", LAYER)).status_code == 201
        answer = await http.post("/v2/team/other/blobs/uploads/", params=mount)
        assert answer.status_code == 201, "somebody else has it, too"
        await http.post("/api/v1/admin/blocks/lift", json={"id": number})
        answer = await http.post("/v2/team/third/blobs/uploads/", params={**mount, "from": "team/bad"})
        assert answer.status_code == 201


async def test_a_layer_that_a_blocked_image_has_too_is_still_given(tmp_path: Path) -> None:
    """Also where what one image may have of another depends on who asks."""
    users = tmp_path / "users"
    users.write_text(f"admin:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n")
    closed = {"NORA_AUTH_ENABLED": "true", "NORA_AUTH_HTPASSWD_FILE": str(users)}
    with upstream() as up:
        hub = OCIUpstream()
        hub.mount(up)
        for name in ("team/bad", "team/good"):
            hub.image(name, "1", LAYER, seed=name)
        settings = {**ONLINE, **closed, "NORA_DOCKER_UPSTREAMS": up.url}
        async with application(tmp_path, **settings) as http:
            http.auth = ("admin", "secret")
            for name in ("team/bad", "team/good"):
                assert (await http.get(f"/v2/{name}/manifests/1")).status_code == 200
            assert (await http.get(f"/v2/team/bad/blobs/{digest(LAYER)}")).content == LAYER
        async with application(tmp_path, **settings) as http:  # the layer is kept by now
            http.auth = ("admin", "secret")
            await block(http, repository="docker", name="team/bad")
            assert (await http.get(f"/v2/team/bad/blobs/{digest(LAYER)}")).status_code == 403
            assert (await http.get(f"/v2/team/good/blobs/{digest(LAYER)}")).content == LAYER


async def test_what_refers_to_manifests_of_a_blocked_image_is_not_listed(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[repositories.mine]\nformat = "docker"\n')
    async with application(tmp_path, NORA_CONFIG_PATH=str(config)) as http:
        subject = digest(b"some image")
        artifact = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": described(b"{}"),
            "layers": [],
            "subject": {"mediaType": IMAGE, "digest": subject, "size": 10},
        }
        assert (await push(http, "mine/team/bad", b"{}")).status_code == 201
        path, of_type = "/v2/mine/team/bad/manifests/1", {"content-type": IMAGE}
        assert (await http.put(path, content=render(artifact), headers=of_type)).status_code == 201
        listed = f"/v2/mine/team/bad/referrers/{subject}"
        assert len((await http.get(listed)).json()["manifests"]) == 1
        await block(http, repository="mine", name="team/bad")
        assert (await http.get(listed)).status_code == 403


async def test_a_page_of_tags_costs_little_while_something_is_blocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    find = SQLiteCatalog.find_tagged_file

    async def counted(catalog: SQLiteCatalog, repository: int, package: str, tag: str) -> File | None:
        looked.append(tag)
        return await find(catalog, repository, package, tag)

    monkeypatch.setattr(SQLiteCatalog, "find_tagged_file", counted)
    tags = sorted(f"t{number}" for number in range(300))
    async with application(tmp_path) as http:
        assert (await push(http, "team/app", b"{}")).status_code == 201
        image = {"schemaVersion": 2, "mediaType": IMAGE, "config": described(b"{}"), "layers": []}
        for start in range(0, len(tags), 30):
            path = f"/v2/team/app/manifests/{digest(render(image))}"
            answer = await http.put(
                path,
                params={"tag": tags[start : start + 30]},
                content=render(image),
                headers={"content-type": IMAGE},
            )
            assert answer.status_code == 201, answer.text
        await block(http, digest=digest(b"something else"))
        looked.clear()
        answer = await http.get("/v2/team/app/tags/list", params={"n": 10})
        assert answer.json()["tags"] == tags[:10]
        assert len(looked) < 30
        answer = await http.get("/v2/team/app/tags/list")
        assert answer.json()["tags"] == tags


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_nothing_is_no_bytes_to_block_or_purge(tmp_path: Path, algorithm: str) -> None:
    """Its digest is what a script has that was given nothing; what is kept of tags has no bytes, either."""
    nothing = f"{algorithm}:{hashlib.new(algorithm).hexdigest()}"
    with upstream() as up:
        hub = OCIUpstream()
        hub.mount(up)
        hub.image("team/app", "1", LAYER)
        async with application(tmp_path, **ONLINE, NORA_DOCKER_UPSTREAMS=up.url) as http:
            body = {"digest": nothing, "reason": "it bites"}
            answer = await http.post("/api/v1/admin/blocks", json=body)
            assert (answer.status_code, "no bytes" in answer.text) == (400, True)
            assert (await http.get("/v2/team/app/manifests/1")).status_code == 200
            said = {"repository": "docker", "digest": nothing}
            answer = await http.post("/api/v1/admin/cache/purge", json=said)
            assert (answer.status_code, "no bytes" in answer.text) == (400, True)
            assert (await http.get("/v2/team/app/manifests/1")).status_code == 200
