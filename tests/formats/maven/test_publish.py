"""What is published: files, checksums in any order, metadata that is made of the rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path

import httpx
import pytest

from nora.formats.maven.document import Listed, Said
from nora.formats.maven.names import Metadata
from nora.formats.maven.sources import Finder, Parts
from nora.http.memory import MemoryCache
from tests.formats.maven.wire import ROOT, build, digest, folder, listed, metadata, path, put, text
from tests.support.in_process import add_token, application

pytestmark = pytest.mark.anyio

ALGORITHMS = ("md5", "sha1", "sha256", "sha512")
OFF = {"NORA_MAVEN_PROXIES": "off"}
FIRST, SECOND = "20261124.061329-1", "20261124.061330-2"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with application(tmp_path, **OFF) as client:
        yield client


# -- files ---------------------------------------------------------------------------------------------------


async def test_a_file_comes_with_all_that_is_known_of_it(http: httpx.AsyncClient) -> None:
    await put(http, path("lib", "1.0"), b"jar")
    got = await http.get(path("lib", "1.0"))
    assert (got.status_code, got.content) == (200, b"jar")
    assert got.headers["content-type"] == "application/java-archive"
    assert got.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert got.headers["etag"] == f'"sha256:{digest("sha256", b"jar")}"'
    assert got.headers["accept-ranges"] == "bytes"
    assert got.headers["content-length"] == "3"
    for algorithm in ALGORITHMS:
        assert got.headers[f"x-checksum-{algorithm}"] == digest(algorithm, b"jar")
    head = await http.head(path("lib", "1.0"))
    without = {"date", "x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in without} == {
        k: v for k, v in got.headers.items() if k not in without
    }
    changed = got.headers["last-modified"]
    for headers, status in (
        ({"if-modified-since": changed}, 304),
        ({"if-none-match": got.headers["etag"]}, 304),
        ({"if-unmodified-since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 412),
        ({"if-unmodified-since": changed, "range": "bytes=1-"}, 206),
        ({"range": "bytes=3-"}, 416),
    ):
        assert (await http.get(path("lib", "1.0"), headers=headers)).status_code == status, headers


async def test_checksums_are_there_without_being_uploaded(http: httpx.AsyncClient) -> None:
    where = path("lib", "1.0", ".tar.gz")
    await put(http, where, b"tar")
    for algorithm in ALGORITHMS:
        got = await http.get(f"{where}.{algorithm}")
        assert (got.status_code, got.text) == (200, digest(algorithm, b"tar"))
        assert got.headers["content-type"] == "text/plain"
        assert (await http.head(f"{where}.{algorithm}")).headers["content-length"] == str(len(got.text))
        headers = {"if-none-match": got.headers["etag"]}
        assert (await http.get(f"{where}.{algorithm}", headers=headers)).status_code == 304
    assert (await http.get(f"{path('lib', '1.1')}.sha1")).status_code == 404


async def test_uploaded_checksums_are_compared_in_every_form(http: httpx.AsyncClient) -> None:
    where, right = path("lib", "1.0"), digest("sha1", b"jar")
    await put(http, where, b"jar")
    for body in (right, right.upper(), f"{right}  lib-1.0.jar\n", f"SHA1 (lib-1.0.jar) = {right}"):
        await put(http, f"{where}.sha1", body.encode())
    await put(http, f"{where}.sha1", b"no checksum", 400)
    assert (await http.get(where)).status_code == 200


async def test_a_wrong_checksum_takes_its_file_with_it(http: httpx.AsyncClient) -> None:
    where = path("lib", "1.0")
    await put(http, where, b"jar")
    answer = await put(http, f"{where}.md5", digest("md5", b"another").encode(), 400)
    assert digest("md5", b"jar") in answer.text
    assert (await http.get(where)).status_code == 404
    assert (await http.get(f"{folder('lib')}/maven-metadata.xml")).status_code == 404
    await put(http, where, b"another")  # the name is free


@pytest.mark.parametrize("is_right", [True, False])
async def test_a_checksum_that_comes_first_waits_for_its_file(
    http: httpx.AsyncClient, is_right: bool
) -> None:
    where, data = path("lib", "1.0"), b"jar" if is_right else b"raj"
    await put(http, f"{where}.sha1", digest("sha1", data).encode())
    assert (await http.get(f"{where}.sha1")).status_code == 404  # it is of nothing
    await put(http, where, b"jar", 201 if is_right else 400)
    assert (await http.get(where)).status_code == (200 if is_right else 404)
    await put(http, where, b"jar")  # what was held is used up


async def test_files_and_checksums_come_in_any_order(http: httpx.AsyncClient) -> None:
    things = {"": b"jar", ".sha1": digest("sha1", b"jar").encode(), ".md5": digest("md5", b"jar").encode()}
    for number, order in enumerate(permutations(things)):
        for end in order:
            await put(http, path("lib", f"1.{number}") + end, things[end])
    asked = [
        put(http, path("lib", "2.0", end), b"x")
        for end in (".jar", ".pom", "-sources.jar", ".jar.asc", ".module")
    ]
    asked += [
        put(http, path("lib", "2.0", f"{end}.{one}"), digest(one, b"x").encode())
        for end in (".jar", ".pom", "-sources.jar", ".jar.asc", ".module")
        for one in ALGORITHMS
    ]
    await asyncio.gather(*reversed(asked))
    assert listed(await metadata(http, folder("lib")), "version") == [*(f"1.{n}" for n in range(6)), "2.0"]
    for end in (".jar", ".pom", "-sources.jar", ".jar.asc", ".module"):
        assert (await http.get(path("lib", "2.0", end))).content == b"x"


async def test_only_who_sent_a_file_takes_it_back_by_a_checksum(tmp_path: Path) -> None:
    async with application(tmp_path, **OFF, NORA_AUTH_ENABLED="true") as http:
        mine, theirs = [("", await add_token(tmp_path, "write", user=user)) for user in ("me", "you")]
        where, wrong = path("lib", "1.0"), digest("sha1", b"another")
        assert (await http.put(where, content=b"jar", auth=mine)).status_code == 201
        assert (await http.put(f"{where}.sha1", content=wrong, auth=theirs)).status_code == 400
        assert (await http.get(where, auth=mine)).status_code == 200
        assert (await http.put(f"{where}.sha1", content=wrong, auth=mine)).status_code == 400
        assert (await http.get(where, auth=mine)).status_code == 404


async def test_of_two_builds_at_once_that_replace_a_file_none_takes_that_of_the_other(
    http: httpx.AsyncClient,
) -> None:
    """Both are of one user: the checksums of the first come when the file of the second is there."""
    where = path("lib", "1.0-SNAPSHOT")
    await put(http, where, b"first")
    await put(http, where, b"second", 200)
    for end in ("sha1", "md5"):
        await put(http, f"{where}.{end}", digest(end, b"first").encode())
        await put(http, f"{where}.{end}", digest(end, b"second").encode())
    assert (await http.get(where)).content == b"second"
    await put(http, where, b"damaged", 200)
    await put(http, f"{where}.sha1", digest("sha1", b"second").encode(), 400)  # it was used
    assert (await http.get(where)).status_code == 404


async def test_what_a_header_says_of_a_file_is_compared(http: httpx.AsyncClient) -> None:
    for algorithm in ALGORITHMS:
        field = {f"x-checksum-{algorithm}": digest(algorithm, b"raj")}
        assert (await http.put(path("lib", "1.0"), content=b"jar", headers=field)).status_code == 400
    assert (await http.get(path("lib", "1.0"))).status_code == 404
    field = {"x-checksum-sha1": digest("sha1", b"jar").upper()}
    assert (await http.put(path("lib", "1.0"), content=b"jar", headers=field)).status_code == 201


# -- what may be replaced ------------------------------------------------------------------------------------


async def test_a_release_never_changes(http: httpx.AsyncClient) -> None:
    where = path("lib", "1.0")
    await put(http, where, b"jar")
    for other in (b"raj", b"another"):  # of the same size, and of another one
        assert "publish a new version" in (await put(http, where, other, 409)).text
    await put(http, where, b"jar")
    assert (await http.get(where)).content == b"jar"
    await put(http, build("lib", "1.0", FIRST), b"jar")
    assert "publish a new build" in (await put(http, build("lib", "1.0", FIRST), b"raj", 409)).text


async def test_a_release_changes_where_that_is_allowed(tmp_path: Path) -> None:
    async with application(tmp_path, **OFF, NORA_MAVEN_IMMUTABLE_RELEASES="false") as http:
        await put(http, path("lib", "1.0"), b"jar")
        await put(http, path("lib", "1.0"), b"raj", 200)
        got = await http.get(path("lib", "1.0"))
        assert (got.content, got.headers["cache-control"]) == (b"raj", "no-cache")
        assert await text(http, f"{path('lib', '1.0')}.sha1") == digest("sha1", b"raj")


async def test_a_repository_says_itself_what_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "nora.toml").write_text(
        "[maven]\noverwrite = 'if-match'\n"
        "[repositories.loose]\nformat = 'maven'\noverwrite = 'always'\n"
        "[repositories.strict]\nformat = 'maven'\noverwrite = 'never'\n"
    )
    async with application(tmp_path, **OFF, NORA_CONFIG_PATH=str(tmp_path / "nora.toml")) as http:
        for name, plain, conditional in (
            ("loose", 200, 200),
            ("strict", 409, 409),
            ("maven-hosted", 409, 200),
        ):
            where = f"/r/{name}{path('lib', '1.0')}"
            await put(http, where, b"one")
            await put(http, where, b"two", plain)
            etag = (await http.head(where)).headers["etag"]
            await put(http, where, b"three", 412, if_match='"sha256:of-something-else"')
            await put(http, where, b"three", conditional, if_match=etag)
            await put(http, f"/r/{name}{build('lib', '1.0', FIRST)}", b"one")
            await put(http, f"/r/{name}{build('lib', '1.0', FIRST)}", b"two", 409)


async def test_a_snapshot_without_builds_is_replaced(http: httpx.AsyncClient) -> None:
    where = path("lib", "1.0-SNAPSHOT")
    await put(http, where, b"jar")
    await put(http, where, b"raj", 200)
    got = await http.get(where)
    assert (got.content, got.headers["cache-control"]) == (b"raj", "no-cache")
    assert listed(await metadata(http, folder("lib", "1.0-SNAPSHOT")), "value") == ["1.0-SNAPSHOT"]


# -- metadata ------------------------------------------------------------------------------------------------


async def test_the_metadata_of_an_artifact_lists_its_versions(http: httpx.AsyncClient) -> None:
    assert (await http.get(f"{folder('lib')}/maven-metadata.xml")).status_code == 404
    for version in ("1.10", "1.0.1-SNAPSHOT", "1.0-rc1", "1.9", "1.0"):
        await put(http, path("lib", version, ".pom"), b"<project/>")
    document = await metadata(http, folder("lib"))
    assert listed(document, "version") == ["1.0-rc1", "1.0", "1.0.1-SNAPSHOT", "1.9", "1.10"]
    assert (listed(document, "release"), listed(document, "latest")) == (["1.10"], ["1.10"])
    assert (listed(document, "groupId"), listed(document, "artifactId")) == (["com.example"], ["lib"])
    got = await http.get(f"{folder('lib')}/maven-metadata.xml")
    assert got.headers["cache-control"] == "no-cache"
    assert got.headers["content-type"] == "application/xml"
    headers = {"if-none-match": got.headers["etag"]}
    assert (await http.get(f"{folder('lib')}/maven-metadata.xml", headers=headers)).status_code == 304
    await put(http, path("lib", "2.0", ".pom"), b"<project/>")
    again = await http.get(
        f"{folder('lib')}/maven-metadata.xml", headers={"if-none-match": got.headers["etag"]}
    )
    assert (again.status_code, listed(again.text, "release")) == (200, ["2.0"])


async def test_metadata_that_has_lost_a_version_is_told_by_its_tag_alone(http: httpx.AsyncClient) -> None:
    """Its date is that of the versions which are left."""
    for version in ("1.0", "1.1"):
        await put(http, path("lib", version), b"jar")
    where = f"{folder('lib')}/maven-metadata.xml"
    before = await http.get(where)
    assert (await http.delete(path("lib", "1.1"))).status_code == 204
    got = await http.get(where, headers={"if-modified-since": before.headers["last-modified"]})
    assert (got.status_code, listed(got.text, "version")) == (200, ["1.0"])


async def test_checksums_of_metadata_are_of_the_bytes_that_are_sent(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing stays in memory, and a version comes while they are made."""
    await put(http, path("lib", "1.0"), b"jar")
    read, coming = Finder.read, ["1.1"]

    async def read_then_publish(self: Finder, about: Metadata, parts: Parts) -> list[list[Listed] | Said]:
        found = await read(self, about, parts)
        while coming:
            await put(http, path("lib", coming.pop()), b"jar")
        return found

    monkeypatch.setattr(Finder, "read", read_then_publish)
    monkeypatch.setattr(MemoryCache, "get", lambda *_: None)
    got = await http.get(f"{folder('lib')}/maven-metadata.xml")
    assert got.headers["x-checksum-sha1"] == digest("sha1", got.content)


async def test_what_is_no_file_of_an_artifact_makes_no_version(http: httpx.AsyncClient) -> None:
    """`com/example/lib/` is the directory of an artifact, and of the group `com.example.lib`."""
    await put(http, path("lib", "1.0"), b"jar")
    await put(http, f"{ROOT}/lib/core/2.0/core-2.0.jar", b"jar")
    await put(http, f"{ROOT}/lib/notes/readme.txt", b"text")
    assert listed(await metadata(http, folder("lib")), "version") == ["1.0"]
    assert listed(await metadata(http, folder("lib/core")), "version") == ["2.0"]
    assert await text(http, f"{ROOT}/lib/notes/readme.txt") == "text"


async def test_the_metadata_of_a_snapshot_lists_its_newest_files(http: httpx.AsyncClient) -> None:
    for stamp, ends in ((FIRST, (".jar", ".pom", "-sources.jar")), (SECOND, (".jar", ".pom"))):
        for end in ends:
            await put(http, build("lib", "1.0", stamp, end), stamp.encode())
    document = await metadata(http, folder("lib", "1.0-SNAPSHOT"))
    assert (listed(document, "timestamp"), listed(document, "buildNumber")) == (["20261124.061330"], ["2"])
    assert listed(document, "value") == [f"1.0-{SECOND}", f"1.0-{SECOND}", f"1.0-{FIRST}"]
    assert listed(document, "classifier") == ["sources"]
    assert 'modelVersion="1.1.0"' in document
    assert listed(await metadata(http, folder("lib")), "version") == ["1.0-SNAPSHOT"]
    for end, stamp in ((".jar", SECOND), ("-sources.jar", FIRST)):  # as old clients ask for them
        got = await http.get(path("lib", "1.0-SNAPSHOT", end))
        assert (got.text, got.headers["cache-control"]) == (stamp, "no-cache")
        sha1 = await text(http, f"{path('lib', '1.0-SNAPSHOT', end)}.sha1")
        assert sha1 == digest("sha1", stamp.encode())
    assert (await http.get(path("lib", "1.0-SNAPSHOT", ".war"))).status_code == 404


async def test_metadata_that_clients_upload_changes_nothing(http: httpx.AsyncClient) -> None:
    await put(http, path("lib", "1.0"), b"jar")
    where = f"{folder('lib')}/maven-metadata.xml"
    before = await text(http, where)
    lie = b"<metadata><versioning><versions><version>9</version></versions></versioning></metadata>"
    await put(http, where, lie)
    await put(http, f"{where}.sha1", digest("sha1", lie).encode())
    assert await text(http, where) == before
    await put(http, where, b"<metadata>" + b" " * (10 << 20), 413)
    for bad in (b"", b"<html/>", b'<!DOCTYPE m [<!ENTITY e "e">]><metadata>&e;</metadata>'):
        await put(http, where, bad, 400)


def plugins(*prefixes: str) -> bytes:
    """As mvn uploads it for the plugins of a group."""
    found = "".join(
        f"<plugin><name>P</name><prefix>{one}</prefix><artifactId>{one}-maven-plugin</artifactId></plugin>"
        for one in prefixes
    )
    return f"<metadata><plugins>{found}</plugins></metadata>".encode()


async def test_prefixes_of_plugins_are_joined(http: httpx.AsyncClient) -> None:
    for prefix in ("b", "a"):
        await put(http, path(f"{prefix}-maven-plugin", "1.0"), b"jar")
        await put(http, f"{ROOT}/maven-metadata.xml", plugins(prefix, "of-nothing"))
    document = await metadata(http, ROOT)
    assert listed(document, "prefix") == ["a", "b"]
    assert listed(document, "artifactId") == ["a-maven-plugin", "b-maven-plugin"]
    await put(http, "/maven2/com/example/1.0/example-1.0.jar", b"jar")  # com:example has the same path
    document = await metadata(http, ROOT)
    assert (listed(document, "version"), listed(document, "prefix")) == (["1.0"], ["a", "b"])


async def test_prefixes_are_for_who_may_publish_and_read_the_plugin(tmp_path: Path) -> None:
    async with application(tmp_path, **OFF, NORA_AUTH_ENABLED="true") as http:
        mine = ("", await add_token(tmp_path, "write", "maven:com.example:a-*:read,write", user="a"))
        all_of_it = ("", await add_token(tmp_path, "write", user="b"))
        where = f"{ROOT}/maven-metadata.xml"
        for prefix in ("a", "b"):
            url = path(f"{prefix}-maven-plugin", "1.0")
            assert (await http.put(url, content=b"jar", auth=all_of_it)).status_code == 201
        assert (await http.put(where, content=plugins("b"), auth=all_of_it)).status_code == 201
        assert (await http.put(where, content=plugins("a"))).status_code == 401
        assert (await http.put(where, content=plugins("a"), auth=mine)).status_code == 201
        assert (await http.put(where, content=plugins("b"), auth=mine)).status_code == 403
        assert (await http.put(where, content=b"<metadata/>", auth=mine)).status_code == 403
        assert listed((await http.get(where, auth=mine)).text, "prefix") == ["a"]
        assert listed((await http.get(where, auth=all_of_it)).text, "prefix") == ["a", "b"]


# -- deleting ------------------------------------------------------------------------------------------------


async def test_what_is_deleted_is_listed_no_more(http: httpx.AsyncClient) -> None:
    for version in ("1.0", "2.0", "3.0-SNAPSHOT"):
        for end in (".jar", ".pom"):
            await put(http, path("lib", version, end), b"x")
    await put(http, f"{ROOT}/lib/core/2.0/core-2.0.jar", b"another artifact")
    assert (await http.delete(path("lib", "1.0"))).status_code == 204
    assert (await http.get(path("lib", "1.0"))).status_code == 404
    assert (await http.delete(path("lib", "1.0"))).status_code == 404
    assert listed(await metadata(http, folder("lib")), "version") == ["1.0", "2.0", "3.0-SNAPSHOT"]
    assert (await http.delete(f"{folder('lib', '1.0')}/")).status_code == 204
    assert listed(await metadata(http, folder("lib")), "version") == ["2.0", "3.0-SNAPSHOT"]
    assert (await http.delete(f"{folder('lib')}/")).status_code == 204
    assert (await http.get(f"{folder('lib')}/maven-metadata.xml")).status_code == 404
    assert (await http.get(f"{ROOT}/lib/core/2.0/core-2.0.jar")).status_code == 200
    assert (await http.delete(f"{folder('lib')}/")).status_code == 404
    assert (await http.delete("/maven2/")).status_code == 405
    assert (await http.delete("/maven2/com/")).status_code == 400
    assert (await http.delete(f"{folder('lib')}/maven-metadata.xml")).status_code == 405


async def test_the_name_of_a_release_is_used_once(http: httpx.AsyncClient) -> None:
    for where, status in ((path("lib", "1.0"), 409), (path("lib", "1.0-SNAPSHOT"), 201)):
        await put(http, where, b"x")
        assert (await http.delete(where)).status_code == 204
        await put(http, where, b"x", status)


async def test_every_directory_from_the_root_on_leads_to_a_file(tmp_path: Path) -> None:
    async def entries(where: str, token: str) -> list[str]:
        headers = {"authorization": f"Bearer {token}"}
        got = await http.get(f"/maven2/{where}?list", headers=headers)
        return [one["name"] for one in got.json()["entries"]]

    async with application(tmp_path, NORA_AUTH_ENABLED="true", **OFF) as http:
        all_of_it = await add_token(tmp_path, "write")
        limited = await add_token(tmp_path, "write", "maven:org.other:*:read,write")
        await put(http, path("lib", "1.0"), b"jar", authorization=f"Bearer {all_of_it}")
        steps = ("com/", "example/", "lib/", "1.0/", "lib-1.0.jar")
        for number, step in enumerate(steps):
            assert await entries("".join(steps[:number]), all_of_it) == [step]
        assert await entries("", limited) == []


# -- what is no artifact -------------------------------------------------------------------------------------


async def test_paths_that_are_none_reach_nobody(http: httpx.AsyncClient) -> None:
    bad = ["a/../b/1/b-1.jar", "a/%2e%2e/b/1/b-1.jar", "a/..%2fb/1/b-1.jar", "a/b/1/b-1%00.jar", "a/b/1/%ff"]
    bad += [
        "a/b/1/b%5c1.jar",
        "a/b//b-1.jar",
        "/a/b/1/b-1.jar",
        f"a/b/1/{'x' * 300}",
        "a/%252e%252e/1/b-1.jar",
    ]
    for one in bad:
        url = httpx.URL("http://localhost").copy_with(raw_path=f"/maven2/{one}".encode())
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            assert (await http.request(method, url)).status_code in (400, 404), (method, one)


async def test_only_files_of_artifacts_are_published(http: httpx.AsyncClient) -> None:
    for where in (
        "/maven2/archetype-catalog.xml",
        "/maven2/.meta/prefixes.txt",
        "/maven2/com/example/",
        "/maven2/x.jar",
    ):
        await put(http, where, b"x", 400)
    assert (await http.get("/maven2/.meta/prefixes.txt")).status_code == 404


async def test_errors_are_problems_for_who_asks_for_them(http: httpx.AsyncClient) -> None:
    got = await http.get(path("lib", "1.0"), headers={"accept": "application/problem+json"})
    assert got.headers["content-type"] == "application/problem+json"
    assert got.json() == {
        "status": 404, "title": "Not Found", "detail": "there is no lib-1.0.jar of com.example:lib 1.0"
    }  # fmt: skip


async def test_a_file_beyond_the_limit_leaves_nothing(tmp_path: Path) -> None:
    async with application(tmp_path, **OFF, NORA_MAVEN_MAX_FILE_SIZE="10") as http:

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"12345"

        assert (await http.put(path("lib", "1.0"), content=b"x" * 11)).status_code == 413
        assert (await http.put(path("lib", "1.0"), content=pieces())).status_code == 413
        assert (await http.get(f"{folder('lib')}/maven-metadata.xml")).status_code == 404


async def test_named_repositories_are_joined_in_a_group(tmp_path: Path) -> None:
    (tmp_path / "nora.toml").write_text(
        '[repositories.one]\nformat = "maven"\nkind = "hosted"\n'
        '[repositories.two]\nformat = "maven"\nkind = "hosted"\n'
        '[repositories.both]\nformat = "maven"\nkind = "group"\nmembers = ["one", "two"]\n'
    )
    async with application(tmp_path, NORA_CONFIG_PATH=str(tmp_path / "nora.toml")) as http:
        await put(http, f"/r/one{path('lib', '1.0')}", b"one")
        await put(http, f"/r/two{path('lib', '2.0')}", b"two")
        assert listed(await metadata(http, f"/r/both{folder('lib')}"), "version") == ["1.0", "2.0"]
        assert listed(await metadata(http, f"/r/two{folder('lib')}"), "version") == ["2.0"]
        assert await text(http, f"/r/both{path('lib', '2.0')}") == "two"
        await put(http, f"/r/both{path('lib', '3.0')}", b"x", 405)


@pytest.mark.parametrize("fields", [{}, {"x-forwarded-for": "10.0.0.1"}])
async def test_a_checksum_is_that_of_the_document_before_it(
    http: httpx.AsyncClient, fields: dict[str, str]
) -> None:
    """Over one connection of a client, though somebody has published in between."""
    await put(http, path("lib", "1.0"), b"jar")
    where = f"{folder('lib')}/maven-metadata.xml"
    before = (await http.get(where, headers=fields)).content
    await put(http, path("lib", "2.0"), b"jar")
    told = (await http.get(f"{where}.sha1", headers=fields)).text
    now = (await http.get(where)).content
    assert told == digest("sha1", now if fields else before)
