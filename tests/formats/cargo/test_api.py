"""Yanking, owners, search, and what tools ask for; downloads of what is hosted."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from nora.formats.cargo.samples import crate
from tests.formats.cargo.wire import API, detail, index_lines, index_path, publish, published


def test_a_yank_changes_one_word_of_one_line(http: httpx.Client, name: str) -> None:
    published(http, name, "1.0.0")
    published(http, name, "1.1.0")
    before, etag = index_lines(http, name), http.get(index_path(name)).headers["etag"]
    assert http.delete(f"{API}/{name}/1.0.0/yank").json() == {"ok": True}
    assert index_lines(http, name) == [{**before[0], "yanked": True}, before[1]]
    assert http.get(index_path(name)).headers["etag"] != etag
    assert http.get(f"{API}/{name}/1.0.0/download").content == crate(name, "1.0.0")
    assert http.put(f"{API}/{name}/1.0.0/unyank", content=b"").json() == {"ok": True}
    assert index_lines(http, name) == before


@pytest.mark.parametrize("path", ["{}/9.9.9/yank", "absent_crate/1.0.0/yank"])
def test_what_is_not_there_cannot_be_yanked(http: httpx.Client, name: str, path: str) -> None:
    published(http, name, "1.0.0")
    answer = http.delete(f"{API}/{path.format(name)}")
    assert answer.status_code == 404
    assert detail(answer)


def test_a_crate_file_by_all_its_addresses(http: httpx.Client, name: str) -> None:
    version, content = "1.0.0+build.5", crate(name, "1.0.0+build.5")
    published(http, name, version)
    digest = hashlib.sha256(content).hexdigest()
    for path in (
        f"/cargo/dl/{name}/{version}/{digest}.crate",
        f"/cargo/dl/{name}/{version.replace('+', '%2B')}/{digest}.crate",
        f"{API}/{name}/{version}/download",
    ):
        answer = http.get(path)
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["etag"] == f'"{digest}"'
        part = http.get(path, headers={"range": "bytes=2-5"})
        assert (part.status_code, part.content) == (206, content[2:6])
    for wrong in (f"1.0.0/{digest}", f"{version}/{'0' * 64}", f"{version}/x"):
        answer = http.get(f"/cargo/dl/{name}/{wrong}.crate")
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (404, "text/plain")


def test_an_index_file_is_sent_once(http: httpx.Client, name: str) -> None:
    published(http, name, "1.0.0")
    answer = http.get(index_path(name))
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["vary"] == "Accept-Encoding"
    again = http.get(index_path(name), headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = http.head(index_path(name))
    assert (head.status_code, head.headers["etag"]) == (200, answer.headers["etag"])


def test_the_registry_says_where_things_are(http: httpx.Client) -> None:
    base = str(http.base_url).rstrip("/")
    answer = http.get("/cargo/index/config.json")
    assert answer.json() == {
        "dl": f"{base}/cargo/dl/{{crate}}/{{version}}/{{sha256-checksum}}.crate",
        "api": f"{base}/cargo",
    }
    page = http.get("/cargo/me")
    assert page.headers["content-type"].startswith("text/html")
    assert f"sparse+{base}/cargo/index/" in page.text


# -- owners ------------------------------------------------------------------------------------------------


def owners(http: httpx.Client, name: str) -> list[str]:
    return [one["login"] for one in http.get(f"{API}/{name}/owners").json()["users"]]


def change(http: httpx.Client, method: str, name: str, *users: str) -> httpx.Response:
    return http.request(method, f"{API}/{name}/owners", json={"users": users})


def test_owners_are_added_and_removed(http: httpx.Client, name: str) -> None:
    published(http, name, "1.0.0")
    assert owners(http, name) == []
    added = change(http, "PUT", name, "bob", "eve", "bob").json()
    assert added["ok"] is True
    assert "bob" in added["msg"]
    assert owners(http, name) == ["bob", "eve"]
    assert change(http, "DELETE", name, "bob").json()["ok"] is True
    assert owners(http, name) == ["eve"]
    refused = change(http, "DELETE", name, "eve")
    assert (refused.status_code, "no owner" in detail(refused)) == (400, True)
    assert change(http, "DELETE", name, "nobody").status_code == 400


@pytest.mark.parametrize("body", [b"", b"[]", b'{"users":[]}', b'{"users":[1]}', b'{"users":["a\\n"]}'])
def test_owners_are_names(http: httpx.Client, name: str, body: bytes) -> None:
    published(http, name, "1.0.0")
    assert http.put(f"{API}/{name}/owners", content=body).status_code == 400


def test_a_crate_that_is_not_here_has_no_owners(http: httpx.Client, name: str) -> None:
    assert http.get(f"{API}/{name}/owners").status_code == 404
    assert change(http, "PUT", name, "bob").status_code == 404


# -- search ------------------------------------------------------------------------------------------------


def found(http: httpx.Client, query: str, **more: str) -> list[str]:
    answer = http.get(API, params={"q": query, **more})
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["crates"]]


def test_crates_are_found_by_words_of_their_names(http: httpx.Client, name: str) -> None:
    spelled = f"Sought-{name[-8:]}"
    published(http, spelled, "1.0.0", description="It was sought")
    published(http, spelled, "1.1.0-rc.1", description="A candidate")
    answer = http.get(API, params={"q": spelled.lower()}).json()
    assert answer == {
        "crates": [{"name": spelled, "max_version": "1.0.0", "description": "It was sought"}],
        "meta": {"total": 1},
    }
    for query in (f"sought+{name[-8:]}", f"{name[-8:]} SOUGHT", f"sought_{name[-8:]}"):
        assert found(http, query) == [spelled]
    assert found(http, f"{name[-8:]} ünsought") == []


def test_a_search_is_in_pages(http: httpx.Client, name: str) -> None:
    word = f"paged{name[-8:]}"
    for n in range(3):
        published(http, f"{word}_{n}", "1.0.0")
    assert found(http, word, per_page="2") == [f"{word}_0", f"{word}_1"]
    assert found(http, word, per_page="2", page="2") == [f"{word}_2"]
    for wrong in ({"per_page": "0"}, {"per_page": "x"}, {"page": "-1"}, {"q": "x" * 300}):
        assert http.get(API, params={"q": word, **wrong}).status_code == 400


# -- tools -------------------------------------------------------------------------------------------------


def test_what_there_is_to_know_of_a_crate(http: httpx.Client, name: str) -> None:
    dependency = {"name": "dep", "version_req": "^1", "kind": "dev", "explicit_name_in_toml": "ren"}
    published(http, name, "1.0.0", description="d", deps=[dependency], features={"a": ["dep:ren"]})
    published(http, name, "2.0.0-rc.1", rust_version="1.70")
    for spelled in (name, name.replace("_", "-"), name.upper()):
        crate_info = http.get(f"{API}/{spelled}").json()
        assert crate_info["crate"]["name"] == name
        assert crate_info["crate"]["max_stable_version"] == "1.0.0"
        assert [one["num"] for one in crate_info["versions"]] == ["2.0.0-rc.1", "1.0.0"]
    assert http.get(f"{API}/{name}/versions").json()["meta"] == {"total": 2}
    version = http.get(f"{API}/{name}/1.0.0").json()["version"]
    assert version["features"] == {"a": ["dep:ren"]}
    assert http.get(version["dl_path"].replace("/api", "/cargo/api")).content == crate(name, "1.0.0")
    [needed] = http.get(f"{API}/{name}/1.0.0/dependencies").json()["dependencies"]
    assert (needed["crate_id"], needed["req"], needed["kind"]) == ("dep", "^1", "dev")
    for path in (f"{name}/9.0.0", f"{name}/9.0.0/dependencies", "absent_crate", "absent_crate/versions"):
        assert http.get(f"{API}/{path}").status_code == 404


@pytest.mark.parametrize("path", ["%2e%2e", "a%2fb", "a%00", "a%5cb", "x" * 4096, "nul", "%252e"])
def test_names_that_are_none_are_refused(http: httpx.Client, path: str) -> None:
    for place in (f"{API}/{path}", f"/cargo/dl/{path}/1.0.0/x.crate", f"/cargo/index/aa/bb/{path}"):
        assert http.get(place).status_code in (400, 404)


def test_a_warning_reaches_who_publishes(http: httpx.Client, name: str) -> None:
    assert publish(http, name, "1.0.0").json()["warnings"]["other"] == []
