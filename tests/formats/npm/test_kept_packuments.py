"""Packuments that are given again as they were: as long as nothing has changed, in any worker."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from nora.formats.npm import packuments
from nora.formats.npm.resource import Resource
from tests.formats.npm.conftest import Proxy
from tests.support.in_process import application
from tests.support.npm_registry import ABBREVIATED, Built, NpmRegistry
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio
FULL = {
    "accept": "*/*",
    "accept-encoding": "gzip,deflate",
    "npm-auth-type": "web",
    "npm-command": "install",
    "npm-session": "0123456789abcdef",
    "pacote-req-type": "packument",
    "pacote-pkg-id": "registry:lib",
    "user-agent": "npm/11.6.2 node/v22.0.0 linux x64",
}
"""As npm asks."""
SHORT = {**FULL, "accept": f"{ABBREVIATED}; q=1.0, application/json; q=0.8, */*"}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all documents that were looked up, not given again."""
    found: list[str] = []
    for name in ("document", "version"):
        look = getattr(packuments.Packuments, name)

        async def counted(
            self: packuments.Packuments, resource: Resource, look: object = look
        ) -> packuments.Response:
            found.append(resource.scope["path"])
            answer: packuments.Response = await look(self, resource)  # type: ignore[operator]
            return answer

        monkeypatch.setattr(packuments.Packuments, name, counted)
    return found


async def publish(http: httpx.AsyncClient, version: str) -> None:
    answer = await http.put("/npm/lib", json=Built("lib", version).publication())
    assert answer.status_code == 201, answer.text


async def versions(http: httpx.AsyncClient, headers: dict[str, str] = FULL) -> list[str]:
    answer = await http.get("/npm/lib", headers=headers)
    return list(answer.json()["versions"]) if answer.status_code == 200 else [str(answer.status_code)]


async def test_a_hosted_packument_is_given_again_until_it_changes(tmp_path: Path, made: list[str]) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(application(tmp_path)) for _ in range(2)]
        for number in range(1, 4):
            await publish(one, f"{number}.0.0")
            for http in (one, two):
                made.clear()
                for form in (FULL, SHORT):
                    for _ in range(3):
                        assert len(await versions(http, form)) == number
                    answer = await http.get("/npm/lib/latest", headers=form)
                    assert answer.json()["version"] == f"{number}.0.0"
                assert made == ["/npm/lib", "/npm/lib/latest", "/npm/lib"], http
        etags = [(await two.get("/npm/lib", headers=form)).headers["etag"] for form in (FULL, SHORT)]
        made.clear()
        for form, etag in zip((FULL, SHORT), etags, strict=True):
            asked = {**form, "if-none-match": etag, "if-modified-since": "Sat, 01 Jan 2000 00:00:00 GMT"}
            assert await versions(two, asked) == ["304"]
        assert made == []
        for change in (
            one.build_request("PUT", "/npm/-/package/lib/dist-tags/latest", json="1.0.0"),
            one.build_request("POST", "/npm/-/releases/lib/1.0.0/deprecate", json={}),
        ):
            assert (await one.send(change)).is_success
            answer = await two.get("/npm/lib", headers={**FULL, "if-none-match": etags[0]})
            assert answer.status_code == 200
            assert answer.json()["dist-tags"]["latest"] == "1.0.0"
        assert "deprecated" in answer.json()["versions"]["1.0.0"]
        block = {"repository": "npm", "name": "lib", "reason": "bad"}
        assert (await one.post("/api/v1/admin/blocks", json=block)).is_success
        assert await versions(two) == ["403"]


async def test_each_form_encoding_and_address_has_its_own(tmp_path: Path, made: list[str]) -> None:
    async with application(tmp_path) as http:
        await publish(http, "1.0.0")
        for _ in range(3):
            for encoding in ("gzip", "zstd", "identity"):
                for form in (FULL, SHORT):
                    for host in ("localhost", "127.0.0.1:5", "127.0.0.1:6"):
                        answer = await http.get(
                            "/npm/lib", headers={**form, "accept-encoding": encoding, "host": host}
                        )
                        assert answer.headers.get("content-encoding", "identity") == encoding
                        assert ("time" in answer.json()) == (form is FULL)
                        tarball = answer.json()["versions"]["1.0.0"]["dist"]["tarball"]
                        assert tarball == f"http://{host}/npm/lib/-/lib-1.0.0.tgz"
        assert len(made) > 18  # more than are kept of one path


async def test_a_cached_packument_is_given_again_until_it_changes(
    proxy: Proxy, registry: NpmRegistry, made: list[str]
) -> None:
    registry.add(Built("lib"))
    one, two = await proxy(), await proxy()
    for http in (one, two):
        made.clear()
        assert [await versions(http) for _ in range(4)] == [["1.0.0"]] * 4
        assert len(made) < 4  # twice by who has fetched it, which is a change
    registry.add(Built("lib", "2.0.0"))
    assert (await one.post("/npm/-/releases/lib/refresh", json={})).status_code == 200
    assert [await versions(http) for http in (one, two)] == [["1.0.0", "2.0.0"]] * 2
    await publish(one, "3.0.0")  # the name is ours from here on
    assert [await versions(http) for http in (one, two)] == [["3.0.0"]] * 2


async def test_what_is_stale_is_not_given_again(
    proxy: Proxy, registry: NpmRegistry, upstream: Upstream, made: list[str]
) -> None:
    registry.add(Built("lib"))
    http = await proxy(NORA_NPM_METADATA_TTL="0")
    assert [await versions(http) for _ in range(2)] == [["1.0.0"]] * 2
    upstream.stop()
    answer = await http.get("/npm/lib", headers=FULL)
    assert (answer.status_code, answer.headers["x-nora-stale"]) == (200, "true")
    assert await versions(http) == ["1.0.0"]
    assert len(made) == 4
