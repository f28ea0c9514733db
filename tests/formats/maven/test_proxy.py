"""Artifacts of upstreams: fetched once, confirmed, and told apart from absences and failures."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from nora.formats.maven.metadata import Plugin
from tests.formats.maven.wire import digest, folder, listed, metadata, path, put, text
from tests.support.answers import Answer, document
from tests.support.in_process import application
from tests.support.maven_repository import ALGORITHMS, MavenRepository
from tests.support.upstream import Upstream
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

QUICK = {"NORA_PROXY_RETRIES": "0", "NORA_CB_ENABLED": "false"}
BOMB = b'<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><metadata>&b;</metadata>'


@pytest.fixture
def remote(upstream: Upstream) -> MavenRepository:
    found = MavenRepository(prefix="/m2")
    found.mount(upstream)
    return found


def env(upstream: Upstream, **more: str) -> dict[str, str]:
    return {"NORA_MAVEN_PROXY": f"{upstream.url}/m2", **QUICK, **more}


def asked(upstream: Upstream, method: str = "GET") -> Counter[str]:
    """How often for which path."""
    return Counter(one.path.removeprefix("/m2/") for one in upstream.log.of(method))


async def kept(http: httpx.AsyncClient, where: str) -> httpx.Response:
    """Fetch a file, and wait for its row: that comes just after the last byte."""

    async def with_row() -> httpx.Response | None:
        answer = await http.get(where)
        assert answer.status_code == 200, answer.text
        return answer if "x-checksum-sha1" in answer.headers else None

    answer = await until(with_row, f"the row of {where}")
    assert answer is not None
    return answer


async def kept_row(http: httpx.AsyncClient, where: str) -> None:
    """Wait for the row of a file that may change: only with that its answers have a tag."""

    async def has_row() -> bool:
        return "etag" in (await http.get(where)).headers

    await until(has_row, f"the row of {where}")


async def test_a_file_is_fetched_once_for_all(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    body = os.urandom(300_000)
    for version in ("1.0", "2.0-SNAPSHOT"):
        remote.artifact(
            "com.example:lib", version, body, "-20261124.061329-1.jar" if "-" in version else ".jar"
        )
    build = remote.add("com/example/lib/2.0-SNAPSHOT/lib-2.0-20261124.061329-1.jar", body)
    async with application(tmp_path, **env(upstream)) as http:
        for where in (path("lib", "1.0"), f"/maven2/{build}"):
            answers = await asyncio.gather(*(http.get(where) for _ in range(20)))
            assert {one.content for one in answers} == {body}
            answer = await kept(http, where)
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["content-type"] == "application/java-archive"
            for algorithm in ALGORITHMS:  # and none of these is asked for
                assert answer.headers[f"x-checksum-{algorithm}"] == digest(algorithm, body)
                assert await text(http, f"{where}.{algorithm}") == digest(algorithm, body)
            part = await http.get(where, headers={"range": "bytes=10-19"})
            assert (part.status_code, part.content) == (206, body[10:20])
            assert (await http.head(where)).headers["content-length"] == "300000"
    jar = path("lib", "1.0").removeprefix("/maven2/")
    assert asked(upstream) == {jar: 1, f"{jar}.sha1": 1, build: 1, f"{build}.sha1": 1}


async def test_a_checksum_in_the_answer_saves_a_request(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    remote.tells = True
    jar = remote.artifact("com.example:lib")
    async with application(tmp_path, **env(upstream)) as http:
        await kept(http, f"/maven2/{jar}")
    assert asked(upstream) == {jar: 1}


async def test_head_of_a_file_that_is_not_here_fetches_nothing(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    jar = remote.artifact("com.example:lib", body=b"x" * 1000)
    async with application(tmp_path, **env(upstream)) as http:
        answer = await http.head(f"/maven2/{jar}")
        assert (answer.status_code, answer.headers["content-length"]) == (200, "1000")
        assert await text(http, f"/maven2/{jar}.sha1") == digest("sha1", b"x" * 1000)
        assert (await http.get(f"/maven2/{jar}.sha256")).status_code == 200
    assert asked(upstream) == {f"{jar}.sha1": 1, f"{jar}.sha256": 1}


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("policy", ["strict", "warn", "ignore"])
async def test_other_bytes_than_the_upstream_says(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path, tells: bool, policy: str
) -> None:
    remote.tells = tells
    jar = remote.artifact("com.example:lib")
    remote.claims[jar] = digest("sha1", b"another")
    async with application(tmp_path, **env(upstream, NORA_MAVEN_CHECKSUM_POLICY=policy)) as http:
        if policy != "strict":
            assert (await kept(http, f"/maven2/{jar}")).content == b"jar"
            return
        answer = await http.get(f"/maven2/{jar}")
        assert answer.status_code == 502
        assert asked(upstream)[jar] == 2  # once more, and no more
        del remote.claims[jar]
        assert (await kept(http, f"/maven2/{jar}")).content == b"jar"


async def test_what_is_no_checksum_tells_nothing(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    jar = remote.artifact("com.example:lib")
    remote.claims[jar] = "<html>not found</html>"
    async with application(tmp_path, **env(upstream)) as http:
        assert (await http.get(f"/maven2/{jar}.sha1")).status_code == 502
        assert (await kept(http, f"/maven2/{jar}")).content == b"jar"
        assert await text(http, f"/maven2/{jar}.sha1") == digest("sha1", b"jar")


async def test_a_checksum_waits_for_its_file(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    """Maven asks for it when it has the last byte, which is a moment before the row is there."""
    body = os.urandom(200_000)
    jar = remote.artifact("com.example:lib")
    answer = document(body).plus(x_checksum_sha1=digest("sha1", body))
    upstream.serve(f"/m2/{jar}", answer.but(hold=100_000, gate="rest"))
    async with application(tmp_path, **env(upstream)) as http:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(http.get(f"/maven2/{jar}"))
            await until(upstream.log.paths, "the upstream to be asked")
            second = group.create_task(http.get(f"/maven2/{jar}.sha256"))
            await asyncio.sleep(0.05)
            upstream.open("rest")
        assert first.result().content == body
        assert second.result().text == digest("sha256", body)
    assert asked(upstream) == {jar: 1}


async def test_what_is_not_there_is_asked_for_once(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    async with application(tmp_path, **env(upstream)) as http:
        for _ in range(3):
            for end in (".pom", ".jar", ".jar.sha1", ".jar.md5", ".jar.asc"):
                assert (await http.get(path("lib", "1.0", end))).status_code == 404
            assert (await http.get(f"{folder('lib')}/maven-metadata.xml")).status_code == 404
        told = {one.removeprefix("com/example/lib/") for one in asked(upstream)}
        assert told == {"1.0/lib-1.0.pom", "1.0/lib-1.0.jar", "1.0/lib-1.0.jar.asc", "maven-metadata.xml"}
        assert set(asked(upstream).values()) == {1}
        await put(http, path("lib", "1.0"), b"ours")
        assert await text(http, path("lib", "1.0")) == "ours"


async def test_a_failure_is_no_absence(upstream: Upstream, remote: MavenRepository, tmp_path: Path) -> None:
    """Maven remembers an absence in ~/.m2, and does not ask again."""
    jar = remote.artifact("com.example:lib")
    paths = [f"/maven2/{jar}", f"/maven2/{jar}.sha1", f"{folder('lib')}/maven-metadata.xml"]
    paths += [path("lib", "2.0-SNAPSHOT"), f"{folder('lib', '2.0-SNAPSHOT')}/maven-metadata.xml"]
    async with application(tmp_path, **env(upstream)) as http:
        for status in (400, 401, 403, 429, 500, 502):
            upstream.fault = Answer(status=status, body=b"no")
            for one in paths:
                assert (await http.get(one)).status_code in (502, 503), (status, one)
        upstream.fault = None

        async def is_well() -> bool:
            return (await http.get(f"/maven2/{jar}")).status_code == 200

        await until(is_well, "the upstream to be asked again")  # 429: it is left alone for a moment
        assert (await kept(http, f"/maven2/{jar}")).content == b"jar"
        await metadata(http, folder("lib"))
        upstream.fault = Answer(status=500)
        assert await text(http, f"/maven2/{jar}") == "jar"


async def test_metadata_stays_while_the_upstream_is_down(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    for version in ("1.9", "1.10", "1.0-rc1"):
        remote.artifact("com.example:lib", version)
    remote.add("com/example/lib/2.0-SNAPSHOT/lib-2.0-20261124.061329-1.jar")
    async with application(tmp_path, **env(upstream, NORA_MAVEN_METADATA_TTL="0")) as http:
        document = await metadata(http, folder("lib"))
        assert listed(document, "version") == ["1.0-rc1", "1.9", "1.10", "2.0-SNAPSHOT"]
        assert listed(document, "release") == ["1.10"]
        builds = await metadata(http, folder("lib", "2.0-SNAPSHOT"))
        assert listed(builds, "value") == ["2.0-20261124.061329-1"]
        upstream.fault = Answer(status=500)
        answer = await http.get(f"{folder('lib')}/maven-metadata.xml")
        assert (answer.status_code, answer.text) == (200, document)
        assert answer.headers["x-nora-stale"] == "true"


async def test_files_that_change_are_asked_for_again(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    jar = remote.artifact("com.example:lib", "1.0-SNAPSHOT", b"old")
    catalog = remote.add("archetype-catalog.xml", b"<archetype-catalog/>")
    async with application(tmp_path, **env(upstream, NORA_MAVEN_METADATA_TTL="0")) as http:

        async def is_served(body: str) -> bool:
            return await text(http, f"/maven2/{jar}") == body

        await until(lambda: is_served("old"), "the old one")
        remote.files[jar] = b"new"
        await until(lambda: is_served("new"), "the new one")
        assert (await http.get(f"/maven2/{jar}")).headers["cache-control"].endswith("max-age=0")
        assert await text(http, f"/maven2/{jar}.sha1") == digest("sha1", b"new")
        assert await text(http, f"/maven2/{catalog}") == "<archetype-catalog/>"
        remote.add(".meta/prefixes.txt", b"## repository-prefixes/2.0\n/org\n")
        assert (await http.get("/maven2/.meta/prefixes.txt")).status_code == 404
    assert f"{jar}.sha1" not in asked(upstream)


async def test_a_snapshot_that_has_only_builds_is_its_newest(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    for stamp in ("20261124.061329-1", "20261124.061330-2"):
        remote.add(f"com/example/lib/1.0-SNAPSHOT/lib-1.0-{stamp}-sources.jar", stamp.encode())
    where = path("lib", "1.0-SNAPSHOT", "-sources.jar")
    async with application(tmp_path, **env(upstream)) as http:
        assert (await http.get(where)).headers["cache-control"] == "no-cache"
        assert (await kept(http, where)).text == "20261124.061330-2"
        assert await text(http, f"{where}.sha1") == digest("sha1", b"20261124.061330-2")
        assert (await http.get(path("lib", "1.0-SNAPSHOT", ".jar"))).status_code == 404


async def test_documents_of_upstreams_that_are_none(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    where = "/m2/com/example/lib/maven-metadata.xml"
    async with application(tmp_path, **env(upstream)) as http:
        for body in (b"<html>404</html>", b"", BOMB, b"<metadata>" * 50, b"x" * (11 << 20)):
            upstream.serve(where, document(body, "text/html"))
            answer = await http.get(f"{folder('lib')}/maven-metadata.xml")
            assert answer.status_code == 502, body[:20]
        upstream.forget(where)
        remote.artifact("com.example:lib")
        assert listed(await metadata(http, folder("lib")), "version") == ["1.0"]


async def test_a_cut_file_is_not_kept(upstream: Upstream, remote: MavenRepository, tmp_path: Path) -> None:
    jar = remote.artifact("com.example:lib", body=b"x" * 5000)
    async with application(tmp_path, **env(upstream)) as http:
        for faults in ({"cut": 3000}, {"cut": 3000, "reset": True}, {"cut": 3000, "framing": "chunked"}):
            upstream.serve(f"/m2/{jar}", Answer(body=b"x" * 5000, **faults))
            assert (await http.get(f"/maven2/{jar}")).status_code == 502, faults
        upstream.forget(f"/m2/{jar}")
        assert await text(http, f"/maven2/{jar}") == "x" * 5000


async def test_paths_that_are_none_are_not_asked_for(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    bad = ["a/../b/1/b-1.jar", "a/%2e%2e/b/1/b-1.jar", "a/..%2fb/1/b-1.jar", "a/%252e%252e/b/1/b-1.jar"]
    bad += ["a/b/1/b-1%00.jar", "a/b/1/b%5c1.jar", "/a/b/1/b-1.jar", f"a/b/1/{'x' * 2048}"]
    async with application(tmp_path, **env(upstream)) as http:
        for one in bad:
            url = httpx.URL("http://localhost").copy_with(raw_path=f"/maven2/{one}".encode())
            assert (await http.get(url)).status_code in (400, 404), one
    assert upstream.log.paths() == []


# -- names of ours -------------------------------------------------------------------------------------------


async def test_nobody_is_asked_for_what_is_ours(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    remote.artifact("com.example:lib", "9.0")
    remote.plugins["com.example"] = [Plugin("evil-plugin", "evil")]
    remote.plugins["com.corp"] = [Plugin("evil-plugin", "evil")]
    async with application(tmp_path, **env(upstream, NORA_PROXY_RESERVED="com.corp.**")) as http:
        await put(http, path("lib", "1.0"), b"ours")
        assert listed(await metadata(http, folder("lib")), "version") == ["1.0"]
        prefix = b"<prefix>lib</prefix><artifactId>lib</artifactId>"
        body = b"<metadata><plugins><plugin>" + prefix + b"</plugin></plugins></metadata>"
        await put(http, "/maven2/com/example/maven-metadata.xml", body)
        assert listed(await metadata(http, "/maven2/com/example"), "prefix") == ["lib"]
        for what in (
            "com/example/lib/9.0/lib-9.0.jar",
            "com/corp/maven-metadata.xml",
            "com/corp/x/1/x-1.pom",
        ):
            assert (await http.get(f"/maven2/{what}")).status_code == 404, what
            assert (await http.get(f"/maven2/{what}.sha1")).status_code == 404, what
    assert upstream.log.paths() == []


async def test_an_artifact_may_have_the_path_of_a_group_of_ours(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    remote.artifact("com.example:lib", "9.0")
    remote.plugins["com.example.lib"] = [Plugin("evil-plugin", "evil")]
    prefix = b"<prefix>p</prefix><artifactId>p</artifactId>"
    async with application(tmp_path, **env(upstream)) as http:
        await kept(http, path("lib", "9.0"))
        await put(http, "/maven2/com/example/lib/p/1.0/p-1.0.jar", b"ours")
        body = b"<metadata><plugins><plugin>" + prefix + b"</plugin></plugins></metadata>"
        await put(http, f"{folder('lib')}/maven-metadata.xml", body)
        document = await metadata(http, folder("lib"))
        assert (listed(document, "version"), listed(document, "prefix")) == (["9.0"], ["p"])


async def test_what_is_ours_and_extended_is_joined(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    for version in ("1.0", "1.5"):
        remote.artifact("com.example:lib", version)
    async with application(tmp_path, **env(upstream, NORA_PROXY_EXTEND="com.example:lib")) as http:
        await put(http, path("lib", "1.0-acme"), b"ours")
        assert listed(await metadata(http, folder("lib")), "version") == ["1.0", "1.0-acme", "1.5"]
        assert await text(http, path("lib", "1.5")) == "jar"
        assert (await http.delete(path("lib", "1.0-acme"))).status_code == 204
        assert listed(await metadata(http, folder("lib")), "version") == ["1.0", "1.5"]


# -- several sources -----------------------------------------------------------------------------------------


Two = Callable[..., dict[str, str]]


@pytest.fixture
def two(upstream: Upstream, tmp_path: Path) -> Two:
    """Two repositories on one site, `/m2` first."""

    def configured(second: str = "", **more: str) -> dict[str, str]:
        (tmp_path / "nora.toml").write_text(
            f'[maven]\nupstreams = ["{upstream.url}/m2", {{ url = "{upstream.url}/second"{second} }}]\n'
        )
        return {"NORA_CONFIG_PATH": str(tmp_path / "nora.toml"), **QUICK, **more}

    return configured


@pytest.fixture
def second(upstream: Upstream) -> MavenRepository:
    found = MavenRepository(prefix="/second")
    found.mount(upstream)
    return found


async def test_the_second_source_is_for_what_the_first_has_not(
    upstream: Upstream, remote: MavenRepository, second: MavenRepository, two: Two, tmp_path: Path
) -> None:
    remote.artifact("com.example:lib", "1.0", b"first")
    second.artifact("com.example:lib", "2.0", b"second")
    second.artifact("com.example:other", "1.0", b"second")
    async with application(tmp_path, **two()) as http:
        assert (await http.get(path("lib", "2.0"))).status_code == 404  # the first has the artifact
        assert (await http.get(path("lib", "2.0-SNAPSHOT"))).status_code == 404
        assert await text(http, path("other", "1.0")) == "second"
        assert listed(await metadata(http, folder("other")), "version") == ["1.0"]
        assert listed(await metadata(http, folder("lib")), "version") == ["1.0"]
    assert not [one for one in upstream.log.paths() if one.startswith("/second/com/example/lib/")]


async def test_sources_are_joined_where_that_is_said(
    upstream: Upstream, remote: MavenRepository, second: MavenRepository, two: Two, tmp_path: Path
) -> None:
    remote.artifact("com.example:lib", "1.0", b"first")
    for version in ("1.0", "2.0-M1", "2.0-RC1"):
        second.artifact("com.example:lib", version, b"second")
    second.add("com/example/lib/3.0-SNAPSHOT/lib-3.0-20261124.061329-1.jar", b"build")
    remote.plugins["com.example"] = [Plugin("a-plugin", "a"), Plugin("b-plugin", "b")]
    second.plugins["com.example"] = [Plugin("evil-plugin", "a"), Plugin("c-plugin", "c")]
    settings = two(', merge = ["com.example.**"]', NORA_MAVEN_METADATA_TTL="0")
    async with application(tmp_path, **settings) as http:
        document = await metadata(http, folder("lib"))
        assert listed(document, "version") == ["1.0", "2.0-M1", "2.0-RC1", "3.0-SNAPSHOT"]
        builds = await metadata(http, folder("lib", "3.0-SNAPSHOT"))
        assert listed(builds, "value") == ["3.0-20261124.061329-1"]
        assert await text(http, path("lib", "2.0-M1")) == "second"
        assert await text(http, path("lib", "1.0")) == "first"
        assert listed(await metadata(http, "/maven2/com/example"), "prefix") == ["a", "b", "c"]
        upstream.mount("/second/", lambda asked: Answer(status=500))
        answer = await http.get(f"{folder('lib')}/maven-metadata.xml")
        assert (answer.text, answer.headers["x-nora-stale"]) == (document, "true")
        remote.artifact("com.example:unseen", "1.0")
        assert (await http.get(f"{folder('unseen')}/maven-metadata.xml")).status_code in (502, 503)


async def test_names_of_a_source_are_asked_of_it_alone(
    upstream: Upstream, remote: MavenRepository, second: MavenRepository, two: Two, tmp_path: Path
) -> None:
    second.artifact("com.corp:lib", "1.0", b"second")
    second.plugins["com.corp"] = [Plugin("lib", "lib")]
    async with application(tmp_path, **two(', names = ["com.corp.**"]')) as http:
        assert await text(http, "/maven2/com/corp/lib/1.0/lib-1.0.jar") == "second"
        assert listed(await metadata(http, "/maven2/com/corp/lib"), "version") == ["1.0"]
        assert listed(await metadata(http, "/maven2/com/corp"), "prefix") == ["lib"]
        assert (await http.get(path("lib", "1.0"))).status_code == 404
    assert {one.split("/")[3] for one in upstream.log.paths() if one.startswith("/m2/")} == {"example"}


async def test_a_head_of_what_is_not_here_is_asked_for_each_time(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    where = remote.artifact("com.example:lib")
    async with application(tmp_path, **env(upstream)) as http:
        for _ in range(2):
            assert (await http.head(f"/maven2/{where}")).status_code == 200
        del remote.files[where]
        for _ in range(2):
            assert (await http.head(f"/maven2/{where}")).status_code == 404
            assert (await http.get(f"/maven2/{where}")).status_code == 404


# -- what is here --------------------------------------------------------------------------------------------


async def test_offline_metadata_lists_what_is_here(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    for version in ("1.0", "2.0"):
        remote.artifact("com.example:lib", version)
    remote.add("com/example/lib/3.0-SNAPSHOT/lib-3.0-20261124.061329-1.jar")
    async with application(tmp_path, **env(upstream)) as http:
        await metadata(http, folder("lib"))
        await kept(http, path("lib", "1.0"))
        await kept(http, "/maven2/com/example/lib/3.0-SNAPSHOT/lib-3.0-20261124.061329-1.jar")
    upstream.log.clear()
    async with application(tmp_path, **env(upstream, NORA_PROXY_MODE="offline")) as http:
        assert listed(await metadata(http, folder("lib")), "version") == ["1.0", "3.0-SNAPSHOT"]
        builds = await metadata(http, folder("lib", "3.0-SNAPSHOT"))
        assert listed(builds, "value") == ["3.0-20261124.061329-1"]
        assert await text(http, path("lib", "1.0")) == "jar"
        assert await text(http, f"{path('lib', '1.0')}.md5") == digest("md5", b"jar")
        answer = await http.get(path("lib", "2.0"))
        assert (answer.status_code, "offline" in answer.text) == (404, True)
    assert upstream.log.paths() == []


async def test_offline_what_may_change_is_as_it_is_here(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    paths = [
        remote.add("com/example/lib/1.0-SNAPSHOT/lib-1.0-SNAPSHOT.jar"),
        remote.add("archetype-catalog.xml", b"<archetype-catalog/>"),
    ]
    async with application(tmp_path, **env(upstream)) as http:
        for one in paths:
            await text(http, f"/maven2/{one}")
            await kept_row(http, f"/maven2/{one}")
    upstream.log.clear()
    async with application(tmp_path, **env(upstream, NORA_PROXY_MODE="offline")) as http:
        for one in paths:
            assert (await text(http, f"/maven2/{one}")).encode() == remote.files[one]
    assert upstream.log.paths() == []


async def test_what_is_blocked_is_not_offered(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    for version in ("1.0", "2.0"):
        remote.artifact("com.example:lib", version)
    async with application(tmp_path, **env(upstream)) as http:
        await put(http, path("ours", "1.0"), b"ours")
        for name, version in (("lib", "2.0"), ("ours", "1.0")):
            block = {
                "repository": "maven",
                "name": f"com.example:{name}",
                "version": version,
                "reason": "bad",
            }
            assert (await http.post("/api/v1/admin/blocks", json=block)).status_code == 200
            assert (await http.get(path(name, version))).status_code == 403
            assert (await http.get(f"{path(name, version)}.sha1")).status_code == 403
        assert listed(await metadata(http, folder("lib")), "version") == ["1.0"]
        assert (await http.get(f"{folder('ours')}/maven-metadata.xml")).status_code == 404
    assert not [one for one in upstream.log.paths() if "2.0" in one]


async def test_a_purged_version_is_fetched_again(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    build = remote.add("com/example/lib/2.0-SNAPSHOT/lib-2.0-20261124.061329-1.jar")
    remote.artifact("com.example:lib", "1.0")
    async with application(tmp_path, **env(upstream)) as http:
        for where in (path("lib", "1.0"), f"/maven2/{build}"):
            await kept(http, where)
        await metadata(http, folder("lib", "2.0-SNAPSHOT"))
        what = {"repository": "maven", "name": "com.example:lib", "version": "2.0-SNAPSHOT"}
        answer = await http.post("/api/v1/admin/cache/purge", json=what)
        assert answer.status_code == 200, answer.text
        upstream.log.clear()
        await metadata(http, folder("lib", "2.0-SNAPSHOT"))
        await kept(http, f"/maven2/{build}")
        await text(http, path("lib", "1.0"))
    assert set(asked(upstream)) == {
        "com/example/lib/2.0-SNAPSHOT/maven-metadata.xml",
        build,
        f"{build}.sha1",
    }


async def test_directories_list_what_is_here(
    upstream: Upstream, remote: MavenRepository, tmp_path: Path
) -> None:
    remote.artifact("com.example:cached", "1.0")
    async with application(tmp_path, **env(upstream)) as http:
        await put(http, path("lib", "1.0"), b"jar")
        await kept(http, path("cached", "1.0"))
        answer = await http.get("/maven2/com/example/", params={"list": ""})
        assert [one["name"] for one in answer.json()["entries"]] == ["cached/", "lib/"]
        page = await text(http, "/maven2/com/example/lib/1.0/")
        assert 'href="lib-1.0.jar"' in page
        assert (await http.head("/maven2/")).status_code == 200
        assert (await http.get("/maven2/nothing/")).status_code == 404
