"""Deploys of Maven artifacts: many at once, and killed in the middle. Metadata is right at every moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import httpx
import pytest

from tests.conftest import StartServer
from tests.faults.publications import client, publish_under_kills
from tests.formats.maven.wire import build, folder, listed, path
from tests.support.maven_repository import digest
from tests.support.server import Server

pytestmark = pytest.mark.slow
ENDS = (".jar", ".pom", "-sources.jar")


def upload(http: httpx.Client, where: str, data: bytes) -> bool:
    """A file and its checksums, as mvn sends them; whether all were taken."""
    if http.put(where, content=data).status_code != 201:
        return False
    sums = [http.put(f"{where}.{one}", content=digest(one, data)) for one in ("sha1", "md5")]
    return all(one.status_code == 201 for one in sums)


def document(http: httpx.Client, directory: str) -> str:
    """The metadata in a directory, whose checksums are right over one connection; empty: there is none."""
    where = f"{directory}/maven-metadata.xml"
    answer = http.get(where)
    if answer.status_code == 404:
        return ""
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-checksum-sha1"] == digest("sha1", answer.content)
    for one in ("sha1", "md5"):
        assert http.get(f"{where}.{one}").text == digest(one, answer.content)
    return answer.text


@contextmanager
def sampled(server: Server, *directories: str) -> Iterator[None]:
    """The metadata of these is looked at all the time."""
    over = threading.Event()

    def look() -> None:
        with client(server) as http:
            while not over.is_set():
                for one in directories:
                    document(http, one)

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(look)
        try:
            yield
        finally:
            over.set()
            job.result(timeout=60)


def check_files(http: httpx.Client, directory: str, name: str) -> None:
    """What the metadata of a snapshot lists is there, and of one build each."""
    text = document(http, directory)
    values, newest = listed(text, "value"), f"{listed(text, 'timestamp')[0]}-{listed(text, 'buildNumber')[0]}"
    assert values
    assert max(values).endswith(newest)
    for value in values:
        where = f"{directory}/{name}-{value}.jar"
        answer = http.get(where)
        if answer.status_code == 200:
            assert http.get(f"{where}.sha1").text == digest("sha1", answer.content)


def test_eight_deploys_of_one_snapshot_at_once(nora_server: StartServer) -> None:
    """Some find the same number, some the same second: of a build nobody's files are another's."""
    server = nora_server(workers=2)
    directory, seconds = folder("snap", "1.0-SNAPSHOT"), count()
    done: list[tuple[str, dict[str, bytes]]] = []

    def deploy(who: int) -> None:
        with client(server) as http:
            for turn in range(6):
                found = listed(document(http, directory), "buildNumber")
                stamp = f"20261124.0613{next(seconds) // 2:02}-{int((found or ['0'])[0]) + 1}"
                files = {end: f"{who} {turn} {end}".encode() for end in ENDS}
                if all(upload(http, build("snap", "1.0", stamp, end), data) for end, data in files.items()):
                    done.append((stamp, files))
                for one in (directory, folder("snap")):
                    assert http.put(f"{one}/maven-metadata.xml", content=b"<metadata/>").status_code == 201

    with sampled(server, directory, folder("snap")), ThreadPoolExecutor(8) as pool:
        list(pool.map(deploy, range(8)))
    with client(server) as http:
        assert len({stamp for stamp, _ in done}) == len(done)
        for stamp, files in done:
            for end, data in files.items():
                assert http.get(build("snap", "1.0", stamp, end)).content == data
        text = document(http, directory)
        newest = max(stamp for stamp, _ in done)
        assert [one for one in listed(text, "value") if one >= f"1.0-{newest}"]
        check_files(http, directory, "snap")
        assert listed(document(http, folder("snap")), "version") == ["1.0-SNAPSHOT"]


def test_versions_of_one_artifact_at_once_are_all_listed(nora_server: StartServer) -> None:
    server = nora_server(workers=2)

    def deploy(who: int) -> None:
        with client(server) as http:
            for turn in range(20):
                version = f"{who}.{turn}"
                for end in ENDS:
                    assert upload(http, path("many", version, end), version.encode())
                assert version in listed(document(http, folder("many")), "version")

    with sampled(server, folder("many")), ThreadPoolExecutor(2) as pool:
        list(pool.map(deploy, range(2)))
    with client(server) as http:
        found = listed(document(http, folder("many")), "version")
        assert found == [f"{who}.{turn}" for who in range(2) for turn in range(20)]


def test_a_kill_leaves_metadata_of_what_is_there(nora_server: StartServer) -> None:
    """What was acknowledged is there and listed; what is listed is there; the rest can be deployed."""
    server = nora_server(workers=2)

    def deploy(http: httpx.Client, writer: int, number: int) -> bool:
        version = f"{writer}.{number}"
        return upload(http, path("killed", version), version.encode() * 2000)

    acknowledged = publish_under_kills(server, deploy, writers=4, kills=4)
    with client(server) as http:
        versions = listed(document(http, folder("killed")), "version")
        assert {f"{writer}.{number}" for writer, number in acknowledged} <= {*versions}
        for version in versions:
            data = version.encode() * 2000
            assert http.get(path("killed", version)).content == data
            assert http.get(f"{path('killed', version)}.sha1").text == digest("sha1", data)
            assert upload(http, path("killed", version), data)
