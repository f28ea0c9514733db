"""What Gradle and coursier (sbt, Mill) send, request by request: they are not installed where tests run.

The sequences are those of their sources: Gradle's `MavenRemotePublisher`, and coursier's `FileCache` and
`WebPage`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.in_process import add_token, application

pytestmark = pytest.mark.anyio
GRADLE = {"user-agent": "Gradle/8.14 (Linux;6.1;amd64) (Eclipse Adoptium;17.0.15;17.0.15+6)"}
COURSIER = {"user-agent": "Coursier/2.1", "accept": "*/*"}
AT = "/maven2/com/acme"
MARK = "<!-- do_not_remove: published-with-gradle-metadata -->"
CHECKSUMS = ("sha1", "md5", "sha256", "sha512")


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with application(tmp_path, NORA_MAVEN_PROXIES="off") as client:
        yield client


def files_of(name: str, version: str) -> dict[str, bytes]:
    """What the plugin maven-publish makes of a library, in its order."""
    pom = (
        f"<project>{MARK}<modelVersion>4.0.0</modelVersion><groupId>com.acme</groupId>"
        f"<artifactId>{name}</artifactId><version>{version}</version></project>"
    )
    return {
        f"{name}-{version}.jar": b"jar of " + version.encode(),
        f"{name}-{version}.module": b'{"formatVersion":"1.1"}',
        f"{name}-{version}.pom": pom.encode(),
        f"{name}-{version}-sources.jar": b"sources",
        f"{name}-{version}.jar.asc": b"-----BEGIN PGP SIGNATURE-----",
    }


async def put(http: httpx.AsyncClient, path: str, body: bytes, auth: tuple[str, str] | None) -> None:
    """A file and its four checksums."""
    for suffix in ("", *CHECKSUMS):
        content = hashlib.new(suffix, body).hexdigest().encode() if suffix else body
        where = f"{path}.{suffix}" if suffix else path
        answer = await http.put(where, content=content, headers=GRADLE, auth=auth)
        assert answer.is_success, (where, answer.status_code, answer.text)


async def gradle_publish(
    http: httpx.AsyncClient, name: str, version: str, auth: tuple[str, str] | None = None
) -> None:
    """Gradle reads the metadata that there is, and writes what it makes of it last."""
    base = f"{AT}/{name}/{version}"
    for file, body in files_of(name, version).items():
        await put(http, f"{base}/{file}", body, auth)
    before = await http.get(f"{AT}/{name}/maven-metadata.xml", headers=GRADLE, auth=auth)
    assert before.status_code in (200, 404)
    after = (
        f"<metadata><groupId>com.acme</groupId><artifactId>{name}</artifactId><versioning><latest>{version}"
        f"</latest><release>{version}</release><versions><version>{version}</version></versions>"
        "<lastUpdated>20261124061329</lastUpdated></versioning></metadata>"
    )
    await put(http, f"{AT}/{name}/maven-metadata.xml", after.encode(), auth)


async def test_gradle_publishes_and_resolves(http: httpx.AsyncClient) -> None:
    for version in ("1.9", "1.10", "1.2"):
        await gradle_publish(http, "lib", version)
    listed = (await http.get(f"{AT}/lib/maven-metadata.xml", headers=GRADLE)).text
    assert re.findall("<version>(.*?)</version>", listed) == ["1.2", "1.9", "1.10"]
    assert "<release>1.10</release>" in listed
    for file, body in files_of("lib", "1.10").items():
        path = f"{AT}/lib/1.10/{file}"
        got = await http.get(path, headers=GRADLE)
        assert got.content == body
        # what it knows of a file is compared with the answer to HEAD; then nothing is fetched
        head = await http.head(path, headers=GRADLE)
        assert head.status_code == 200
        for field in ("etag", "last-modified", "content-length", "x-checksum-sha1"):
            assert head.headers[field] == got.headers[field], field
        assert (await http.get(f"{path}.sha1", headers=GRADLE)).text == got.headers["x-checksum-sha1"]


async def test_gradle_is_told_that_a_module_is_missing(http: httpx.AsyncClient) -> None:
    """It asks for it as the POM has a mark; anything but 404 would end the build."""
    pom = files_of("old", "1.0")["old-1.0.pom"]
    await put(http, f"{AT}/old/1.0/old-1.0.pom", pom, None)
    assert MARK.encode() in (await http.get(f"{AT}/old/1.0/old-1.0.pom", headers=GRADLE)).content
    for method in ("GET", "HEAD"):
        answer = await http.request(method, f"{AT}/old/1.0/old-1.0.module", headers=GRADLE)
        assert answer.status_code == 404


async def test_gradle_publishes_the_same_again(http: httpx.AsyncClient) -> None:
    """It retries each file after an error of the network; other bytes are refused."""
    for _ in range(2):
        await gradle_publish(http, "again", "1.0")
    answer = await http.put(f"{AT}/again/1.0/again-1.0.jar", content=b"other", headers=GRADLE)
    assert answer.status_code == 409


async def test_gradle_sends_credentials_when_it_is_asked_to(tmp_path: Path) -> None:
    env = {"NORA_MAVEN_PROXIES": "off", "NORA_AUTH_ENABLED": "true"}
    async with application(tmp_path, **env) as http:
        token = await add_token(tmp_path, "write")
        answer = await http.put(f"{AT}/closed/1.0/closed-1.0.jar", content=b"jar", headers=GRADLE)
        assert answer.status_code == 401
        # sbt finds its credentials by this name
        assert answer.headers["www-authenticate"] == 'Basic realm="NORA"'
        await gradle_publish(http, "closed", "1.0", ("ci", token))


# -- coursier ----------------------------------------------------------------------------------------------


async def test_coursier_goes_on_where_a_download_ended(http: httpx.AsyncClient) -> None:
    await gradle_publish(http, "part", "1.0")
    path, body = f"{AT}/part/1.0/part-1.0.jar", files_of("part", "1.0")["part-1.0.jar"]
    rest = await http.get(path, headers={**COURSIER, "range": "bytes=4-"})
    assert (rest.status_code, rest.content) == (206, body[4:])
    assert rest.headers["content-range"] == f"bytes 4-{len(body) - 1}/{len(body)}"
    whole = await http.get(path, headers={**COURSIER, "range": f"bytes={len(body)}-"})
    assert whole.status_code == 416  # it has everything


async def test_coursier_asks_whether_a_file_has_changed(http: httpx.AsyncClient) -> None:
    """By HEAD and `Last-Modified`, for snapshots and for metadata."""
    await gradle_publish(http, "fresh", "1.0")
    await put(http, f"{AT}/fresh/2.0-SNAPSHOT/fresh-2.0-SNAPSHOT.jar", b"one", None)
    for path in ("maven-metadata.xml", "2.0-SNAPSHOT/fresh-2.0-SNAPSHOT.jar", "1.0/fresh-1.0.pom"):
        got = await http.get(f"{AT}/fresh/{path}", headers=COURSIER)
        head = await http.head(f"{AT}/fresh/{path}", headers=COURSIER)
        assert head.headers["last-modified"] == got.headers["last-modified"], path
        assert int(head.headers["content-length"]) == len(got.content)
        for name in ("sha1", "md5", "sha256"):
            assert got.headers[f"x-checksum-{name}"] == hashlib.new(name, got.content).hexdigest()


async def test_coursier_lists_versions_in_a_directory(http: httpx.AsyncClient) -> None:
    """It takes links of one segment: `./1.0/` would be none."""
    for version in ("1.0", "1.1"):
        await gradle_publish(http, "dir", version)

    async def links(path: str) -> list[str]:
        page = await http.get(path, headers=COURSIER)
        assert page.headers["content-type"].startswith("text/html")
        found = re.findall(r'<a [^>]*href="([^"]+)"', page.text)
        return [one for one in found if one not in ("./", "../") and one.find("/") in (-1, len(one) - 1)]

    assert await links(f"{AT}/dir/") == ["1.0/", "1.1/"]
    assert await links(f"{AT}/dir/1.0/") == sorted(files_of("dir", "1.0"))
