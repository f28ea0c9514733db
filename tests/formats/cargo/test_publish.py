"""`cargo publish`: what is taken, what is refused before and after its file, and what the index says next."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import orjson
import pytest

from nora.formats.cargo.samples import crate, publication
from tests.formats.cargo.wire import API, detail, index_lines, index_path, publish, published, versions


def test_what_was_published_is_in_the_next_answer(http: httpx.Client, name: str) -> None:
    assert http.get(index_path(name)).status_code == 404
    answer = publish(http, name, "1.0.0")
    assert answer.json() == {"warnings": {"invalid_categories": [], "invalid_badges": [], "other": []}}
    [line] = index_lines(http, name)
    assert line.pop("pubtime").endswith("Z")
    assert line == {
        "name": name,
        "vers": "1.0.0",
        "deps": [],
        "features": {},
        "cksum": hashlib.sha256(crate(name, "1.0.0")).hexdigest(),
        "yanked": False,
    }


def test_the_name_keeps_its_capitals_and_its_path_has_none(http: httpx.Client, name: str) -> None:
    spelled = name.title()
    published(http, spelled, "1.0.0")
    assert index_lines(http, name)[0]["name"] == spelled
    path = index_path(name).removesuffix(name) + spelled
    assert http.get(path).status_code == 404
    assert http.get(f"/cargo/index/xx/yy/{name}").status_code == 404


@pytest.mark.parametrize("name", ["c", "cr", "crt", "crat"])
def test_short_names_have_folders_of_their_own(http: httpx.Client, name: str) -> None:
    published(http, name, "1.0.0")
    assert versions(http, name) == ["1.0.0"]


def test_the_same_again_is_no_error_and_changes_nothing(http: httpx.Client, name: str) -> None:
    for _ in range(2):
        published(http, name, "1.0.0")
    assert versions(http, name) == ["1.0.0"]


def test_a_version_never_changes(http: httpx.Client, name: str) -> None:
    published(http, name, "1.0.0")
    answer = publish(http, name, "1.0.0", file=crate(name, "1.0.0") + b"\0" * 8)
    assert answer.status_code == 409
    assert "never change" in detail(answer)


def test_build_metadata_does_not_make_another_version(http: httpx.Client, name: str) -> None:
    published(http, name, "1.0.0+a")
    answer = publish(http, name, "1.0.0+b")
    assert answer.status_code == 409
    assert "1.0.0+a" in detail(answer)


def test_other_spellings_of_a_name_are_refused(http: httpx.Client, name: str) -> None:
    published(http, name, "1.0.0")
    for other in (name.replace("_", "-"), name.upper()):
        answer = publish(http, other, "2.0.0")
        assert answer.status_code == 409
        assert name in detail(answer)
        assert http.get(index_path(other)).status_code == (404 if "-" in other else 200)
    assert versions(http, name) == ["1.0.0"]


def test_versions_that_come_at_once_are_all_there(http: httpx.Client, name: str) -> None:
    numbers = [f"1.0.{n}" for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: publish(http, name, number).status_code, numbers))
    assert answers == [200] * 24
    assert sorted(versions(http, name)) == sorted(numbers)


def test_one_spelling_wins_when_two_come_at_once(http: httpx.Client, name: str) -> None:
    both = [(name, "1.0.0"), (name.replace("_", "-"), "1.0.1")] * 4
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda one: publish(http, *one).status_code, both))
    assert set(statuses) == {200, 409}
    found = {spelled for (spelled, _), status in zip(both, statuses, strict=True) if status == 200}
    assert len(found) == 1


GOOD = orjson.dumps({"name": "faulty", "vers": "1.0.0", "deps": [], "features": {}})
FILE = crate("faulty", "1.0.0")
BODIES = {
    "nothing": b"",
    "no whole length": b"\1\0",
    "a length beyond the end": (1000).to_bytes(4, "little") + GOOD,
    "no file": len(GOOD).to_bytes(4, "little") + GOOD,
    "a file that is cut": publication(GOOD, FILE)[:-1],
    "bytes after the file": publication(GOOD, FILE) + b"x",
    "no JSON": publication(b"{", FILE),
    "no UTF-8": publication(b'{"name":"\xff"}', FILE),
    "no name": publication(b'{"vers":"1.0.0"}', FILE),
    "no version": publication(b'{"name":"faulty"}', FILE),
    "a bad version": publication(GOOD.replace(b"1.0.0", b"1.0"), FILE),
    "a bad name": publication(GOOD.replace(b"faulty", b"../x"), FILE),
    "another file": publication(GOOD, crate("faulty", "2.0.0")),
    "no archive": publication(GOOD, b"x" * 100),
    "an empty file": publication(GOOD, b""),
}


@pytest.mark.parametrize("what", BODIES)
def test_a_faulty_body_is_refused_and_leaves_nothing(http: httpx.Client, what: str) -> None:
    answer = http.put(f"{API}/new", content=BODIES[what])
    assert answer.status_code == 400, answer.text
    assert detail(answer)
    assert http.get(index_path("faulty")).status_code == 404


def test_too_large_is_said_before_the_bytes(http: httpx.Client) -> None:
    for body in (
        (2 << 20).to_bytes(4, "little") + b" " * (2 << 20),
        len(GOOD).to_bytes(4, "little") + GOOD + (1 << 30).to_bytes(4, "little"),
    ):
        answer = http.put(f"{API}/new", content=body)
        assert answer.status_code == 413
        assert "larger" in detail(answer)


def test_deleted_versions_are_never_used_again(http: httpx.Client, name: str) -> None:
    published(http, name, "1.0.0")
    published(http, name, "1.1.0")
    assert http.delete(f"{API}/{name}/1.0.0").json()["deleted"] == 1
    assert versions(http, name) == ["1.1.0"]
    answer = publish(http, name, "1.0.0")
    assert (answer.status_code, "never used again" in detail(answer)) == (409, True)
    assert http.delete(f"{API}/{name}").status_code == 200
    assert http.get(index_path(name)).status_code == 404
