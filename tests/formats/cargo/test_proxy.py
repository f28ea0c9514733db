"""Crates of upstreams: passed on as they are, checked by their checksums, and told apart from absences."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import orjson
import pytest

from nora.formats.cargo.names import prefix_of
from tests.formats.cargo.conftest import Place
from tests.formats.cargo.wire import API, index_path, publish, published, versions
from tests.support.answers import Answer, document
from tests.support.waiting import wait_until


def upstream_path(name: str) -> str:
    return f"/{prefix_of(name)}/{name}"


def checksum(place: Place, name: str, number: int = 0) -> str:
    found: str = orjson.loads(place.index.files[name][number])["cksum"]
    return found


def test_an_index_file_is_passed_on_as_it_came(place: Place, name: str) -> None:
    place.index.add(name, "1.0.0", v=3, unknown={"b": [1.50]})
    place.index.files[name].append(b'{ "name":"%b", "vers" : "2.0.0","cksum":""}' % name.encode())
    answer = place.http.get(index_path(name))
    assert answer.content == b"".join(line + b"\n" for line in place.index.files[name])
    assert answer.headers["cache-control"].startswith("public, max-age=")
    assert place.up.log.count("GET", upstream_path(name)) == 1
    again = place.http.get(index_path(name), headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304
    assert place.up.log.count("GET", upstream_path(name)) == 1


@pytest.mark.parametrize("version", ["1.0.0", "1.0.0+build.5"])
def test_a_crate_is_fetched_once(place: Place, name: str, version: str) -> None:
    content = place.index.add(name, version)
    path = f"/cargo/dl/{name}/{version}/{checksum(place, name)}.crate"
    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(lambda _: place.http.get(path).content, range(16)))
    assert bodies == [content] * 16
    assert place.http.get(f"{API}/{name}/{version}/download").content == content
    assert len([one for one in place.up.log.paths("GET") if one.startswith(f"/dl/{name}/")]) == 1


def test_a_checksum_that_the_index_does_not_have_is_not_asked_for(place: Place, name: str) -> None:
    place.index.add(name, "1.0.0")
    assert place.http.get(f"/cargo/dl/{name}/1.0.0/{'0' * 64}.crate").status_code == 404
    assert place.http.get(f"{API}/{name}/9.0.0/download").status_code == 404
    assert not [one for one in place.up.log.paths() if one.startswith(f"/dl/{name}/")]


def test_a_crate_of_other_bytes_is_not_kept(place: Place, name: str) -> None:
    content = place.index.add(name, "1.0.0")
    path = f"{API}/{name}/1.0.0/download"
    bad = document(content[:-1] + bytes([content[-1] ^ 1]))
    place.up.once(f"/dl/{name}/1.0.0/download", bad, document(content, cut=20))
    with pytest.raises(httpx.HTTPError):
        place.http.get(path).raise_for_status()
    for _ in range(3):
        answer = place.http.get(path)
        if answer.status_code == 200:
            break
    assert answer.content == content


@pytest.mark.parametrize("status", [404, 410])
def test_an_absence_is_remembered(place: Place, name: str, status: int) -> None:
    place.up.serve(upstream_path(name), Answer(status=status, body=b"<html>"))
    for _ in range(2):
        answer = place.http.get(index_path(name))
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (404, "text/plain")
    assert 1 <= place.up.log.count("GET", upstream_path(name)) <= 2  # each worker learns it


@pytest.mark.parametrize("status", [403, 429, 500])
def test_a_failure_is_no_absence(place: Place, name: str, status: int) -> None:
    content = place.index.add(name, "1.0.0")
    place.up.once(upstream_path(name), *[Answer(status=status)] * 5)
    assert place.http.get(index_path(name)).status_code in (502, 503)
    place.up._once.clear()
    for _ in range(40):
        answer = place.http.get(f"{API}/{name}/1.0.0/download")
        if answer.status_code == 200:
            break
    assert answer.content == content


@pytest.mark.parametrize(
    "body", [b"<html>404</html>", b"", b"[1]\n", b'{"name":"other","vers":"1.0.0"}\n', b'{"vers":"1.0.0"}\n']
)
def test_what_is_no_index_file_is_no_answer(place: Place, name: str, body: bytes) -> None:
    place.up.serve(upstream_path(name), document(body))
    answer = place.http.get(index_path(name))
    assert answer.status_code == 502
    assert name in answer.text


def test_what_is_hosted_is_not_asked_for(place: Place, name: str) -> None:
    published(place.http, name, "1.0.0")
    place.index.add(name, "99.0.0")
    assert versions(place.http, name) == ["1.0.0"]
    for other in (name, name.replace("_", "-"), name.upper()):
        assert place.http.get(f"{API}/{other}/99.0.0/download").status_code == 404
        assert place.http.get(index_path(other)).status_code in (200, 404)
    assert not [one for one in place.up.log.paths() if name.replace("_", "-") in one or name in one]


def test_a_name_that_was_served_is_not_taken_by_a_publication(place: Place, name: str) -> None:
    place.index.add(name, "1.0.0")
    assert versions(place.http, name) == ["1.0.0"]
    answer = publish(place.http, name, "2.0.0")
    # Who runs it on the loopback administrates it: the name is theirs then, and they are told
    assert answer.status_code == 200
    assert place.up.url in answer.json()["warnings"]["other"][0]
    assert versions(place.http, name) == ["2.0.0"]


def test_search_finds_what_is_cached(place: Place, name: str) -> None:
    word = f"kept{name[-8:]}"
    place.index.add(f"{word}-x", "1.0.0")
    place.index.add(f"{word}-x", "1.2.0")
    for version in ("1.0.0", "1.2.0"):
        assert place.http.get(f"{API}/{word}-x/{version}/download").status_code == 200

    def found() -> list[tuple[str, str]]:
        crates = place.http.get(API, params={"q": word}).json()["crates"]
        return [(one["name"], one["max_version"]) for one in crates]

    # The row comes just after the last byte.
    wait_until(lambda: found() == [(f"{word}-x", "1.2.0")], "the newer one to be found", seen=found)
