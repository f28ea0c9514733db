"""Files that are put, read, replaced and removed."""

from __future__ import annotations

import asyncio
import hashlib
import time
from base64 import b64encode
from pathlib import Path

import httpx
import pytest

from nora.http import kept_answers
from tests.support.in_process import application

pytestmark = pytest.mark.anyio
A, B = b"some bytes", b"other bytes"
FROZEN, SCRATCH, BOTH = "/r/frozen/raw", "/r/scratch/raw", "/r/both/raw"


def etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()}"'


def digest_field(data: bytes, algorithm: str = "sha256", name: str = "sha-256") -> str:
    return f"{name}=:{b64encode(hashlib.new(algorithm, data).digest()).decode()}:"


async def test_a_file_is_what_was_put(http: httpx.AsyncClient) -> None:
    made = await http.put("/raw/a/b c/ü.bin", content=A, headers={"content-type": "application/x-mine"})
    assert made.status_code == 201
    assert made.headers["etag"] == etag(A)
    assert made.headers["repr-digest"] == digest_field(A)
    got = await http.get(made.headers["location"])
    assert (got.status_code, got.content) == (200, A)
    headers = {
        "content-type": "application/x-mine",
        "content-length": str(len(A)),
        "accept-ranges": "bytes",
        "etag": etag(A),
        "repr-digest": digest_field(A),
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
    }
    assert got.headers.items() >= headers.items()
    assert "sandbox" in got.headers["content-security-policy"].split(", ")
    head = await http.head("/raw/a/b c/ü.bin")
    assert (head.status_code, head.content) == (200, b"")
    for field in (*headers, "last-modified"):
        assert head.headers[field] == got.headers[field]
    again = await http.put("/raw/a/b c/ü.bin", content=A)
    assert (again.status_code, again.headers["etag"]) == (200, etag(A))
    assert (await http.get("/raw/a/b c/ü.bin")).headers["content-type"] == "application/x-mine"
    assert (await http.delete("/raw/a/b c/ü.bin")).status_code == 204
    for request in (http.get, http.head, http.delete):
        assert (await request("/raw/a/b c/ü.bin")).status_code == 404
    assert (await http.put("/raw/a/b c/ü.bin", content=B)).status_code == 201


async def test_when_a_file_is_replaced(http: httpx.AsyncClient) -> None:
    for prefix, rule in (("/raw", "if-match"), (FROZEN, "never"), (SCRATCH, "always"), (BOTH, "always")):
        path = f"{prefix}/{rule}/file"
        assert (await http.put(path, content=A)).status_code == (201 if prefix != BOTH else 200)
        plain = await http.put(path, content=B)
        same_size = await http.put(path, content=A[::-1])
        assert plain.status_code == same_size.status_code == (200 if rule == "always" else 409), rule
        now = (await http.get(path)).headers["etag"]
        said = await http.put(path, content=B, headers={"if-match": now})
        assert said.status_code == (409 if rule == "never" else 200), rule
        assert (await http.get(path)).content == (A if rule == "never" else B)
        assert (await http.delete(path)).status_code == 204
        assert (await http.get(path)).status_code == 404
        after = [(await http.put(path, content=one)).status_code for one in (A, B)]
        assert after == {"never": [409, 409], "if-match": [201, 409], "always": [201, 200]}[rule]


async def test_conditions_of_changes(http: httpx.AsyncClient) -> None:
    path = "/raw/conditional"
    for content, headers, status in (
        (A, {"if-match": "*"}, 412),
        (A, {"if-match": etag(A)}, 412),
        (A, {"if-none-match": "*"}, 201),
        (B, {"if-none-match": "*"}, 412),
        (B, {"if-match": etag(B)}, 412),
        (B, {"if-match": f"W/{etag(A)}"}, 412),
        (B, {"if-match": f'"x", {etag(A)}'}, 200),
        (A, {"if-match": "*"}, 200),
        (B, {"if-match": etag(A), "if-unmodified-since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200),
        (A, {"if-none-match": etag(B)}, 412),
        (A, {"if-none-match": etag(A)}, 409),
    ):
        assert (await http.put(path, content=content, headers=headers)).status_code == status, headers
    for headers, status in (
        ({"if-match": etag(A)}, 412),
        ({"if-none-match": "*"}, 412),
        ({"if-unmodified-since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 412),
        ({"if-match": etag(B)}, 204),
        ({"if-match": etag(B)}, 404),
    ):
        assert (await http.delete(path, headers=headers)).status_code == status, headers


async def test_a_directory_is_removed_with_all_that_is_in_it(http: httpx.AsyncClient) -> None:
    beneath = [f"d/{number}" for number in range(20)] + ["d/sub/a", "d/sub/b/c"]
    for path in (*beneath, "d", "d-x/1", "e/d/1"):
        assert (await http.put(f"/raw/{path}", content=A)).status_code == 201
    assert (await http.delete("/raw/d/", headers={"if-match": "*"})).status_code == 400
    answer = await http.delete("/raw/d/")
    assert (answer.status_code, answer.json()) == (200, {"path": "d/", "deleted": len(beneath)})
    for path in beneath:
        assert (await http.get(f"/raw/{path}")).status_code == 404
    for path in ("d", "d-x/1", "e/d/1"):
        assert (await http.get(f"/raw/{path}")).status_code == 200
    assert (await http.delete("/raw/d/")).status_code == 404


async def test_one_of_many_makes_a_file(http: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(
            http.put("/raw/race", content=b"%d" % number, headers={"if-none-match": "*"})
            for number in range(50)
        )
    )
    assert sorted(one.status_code for one in answers) == [201] + [412] * 49
    [number] = [number for number, one in enumerate(answers) if one.status_code == 201]
    assert (await http.get("/raw/race")).content == b"%d" % number


@pytest.mark.parametrize("writers", [8, pytest.param(50, marks=pytest.mark.slow)])
async def test_no_update_is_lost(http: httpx.AsyncClient, writers: int) -> None:
    await http.put("/raw/counter", content=b"0")

    async def add() -> None:
        while True:
            now = await http.get("/raw/counter")
            condition = {"if-match": now.headers["etag"]}
            new = b"%d" % (int(now.content) + 1)
            answer = await http.put("/raw/counter", content=new, headers=condition)
            if answer.status_code == 200:
                return
            assert answer.status_code == 412

    await asyncio.gather(*(add() for _ in range(writers)))
    assert (await http.get("/raw/counter")).content == b"%d" % writers


async def test_who_replaces_last_wins_and_all_of_it(http: httpx.AsyncClient) -> None:
    bodies = [bytes([number]) * 100_000 for number in range(12)]
    answers = await asyncio.gather(*(http.put(f"{SCRATCH}/same", content=one) for one in bodies))
    assert {one.status_code for one in answers} <= {200, 201}
    got = await http.get(f"{SCRATCH}/same")
    assert got.content in bodies
    assert got.headers["etag"] == etag(got.content)


async def test_digests_are_checked(http: httpx.AsyncClient) -> None:
    md5 = b64encode(hashlib.md5(A, usedforsecurity=False).digest()).decode()
    for number, (headers, is_right) in enumerate(
        (
            ({"repr-digest": digest_field(A)}, True),
            ({"repr-digest": digest_field(B)}, False),
            ({"content-digest": digest_field(A, "sha512", "sha-512")}, True),
            ({"content-digest": digest_field(B, "sha512", "sha-512")}, False),
            ({"content-md5": md5}, True),
            ({"content-md5": md5, "repr-digest": digest_field(B)}, False),
            ({"x-checksum-sha256": hashlib.sha256(A).hexdigest()}, True),
            ({"x-checksum-sha256": hashlib.sha256(B).hexdigest()}, False),
            ({"x-checksum-sha1": hashlib.sha1(A, usedforsecurity=False).hexdigest()}, True),
            ({"x-checksum-sha256": "zz"}, False),
            ({"repr-digest": "unixsum=:AAAA:"}, True),
        )
    ):
        path = f"/raw/digests/{number}"
        assert (await http.put(path, content=A, headers=headers)).status_code == (201 if is_right else 400)
        assert (await http.get(path)).status_code == (200 if is_right else 404), headers


async def test_nothing_is_left_of_bytes_that_are_wrong(http: httpx.AsyncClient, tmp_path: Path) -> None:
    body = b"x" * 300_000
    answer = await http.put("/raw/wrong", content=body, headers={"x-checksum-sha256": "0" * 64})
    assert answer.status_code == 400
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size == len(body)]


async def test_parts_of_a_file(http: httpx.AsyncClient) -> None:
    data = bytes(range(256)) * 1000
    for name, content in (("large", data), ("small", data[:100]), ("empty", b"")):
        assert (await http.put(f"/raw/parts/{name}", content=content)).status_code == 201
        size = len(content)
        for wanted, first, last in (
            ("bytes=-5", max(0, size - 5), size - 1),
            ("bytes=0-0", 0, 0),
            ("bytes=50-", 50, size - 1),
            ("bytes=10-19", 10, 19),
            ("bytes=90-999999999", 90, size - 1),
        ):
            got = await http.get(f"/raw/parts/{name}", headers={"range": wanted})
            if not size:
                assert got.status_code == 416
                continue
            assert (got.status_code, got.content) == (206, content[first : last + 1]), wanted
            assert got.headers["content-range"] == f"bytes {first}-{last}/{size}"
            assert got.headers["repr-digest"] == digest_field(content)
        for whole in ("bytes=5-3", "bytes=0-0,5-6", "lines=1-2"):
            got = await http.get(f"/raw/parts/{name}", headers={"range": whole})
            assert (got.status_code, got.content) in [(200, content), (416, got.content)], whole
        beyond = await http.get(f"/raw/parts/{name}", headers={"range": f"bytes={size}-"})
        assert beyond.status_code == 416
        got = await http.get(f"/raw/parts/{name}")
        assert (got.status_code, got.content, got.headers["content-length"]) == (200, content, str(size))


async def test_a_part_is_of_the_file_that_the_client_has(http: httpx.AsyncClient) -> None:
    first = await http.put(f"{SCRATCH}/grown", content=A)
    part = {"range": "bytes=5-", "if-range": first.headers["etag"]}
    assert (await http.get(f"{SCRATCH}/grown", headers=part)).status_code == 206
    await http.put(f"{SCRATCH}/grown", content=B)
    got = await http.get(f"{SCRATCH}/grown", headers=part)
    assert (got.status_code, got.content) == (200, B)


async def test_what_a_client_has_is_not_sent_again(http: httpx.AsyncClient) -> None:
    await http.put("/raw/known", content=A)
    modified = (await http.get("/raw/known")).headers["last-modified"]
    for headers, status in (
        ({"if-none-match": etag(A)}, 304),
        ({"if-none-match": etag(B)}, 200),
        ({"if-modified-since": modified}, 304),
        ({"if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200),
        ({"if-match": etag(B)}, 412),
        ({"if-match": etag(A)}, 200),
    ):
        assert (await http.get("/raw/known", headers=headers)).status_code == status, headers


async def test_types_are_as_said_or_as_the_name_tells(http: httpx.AsyncClient) -> None:
    for name, said, told in (
        ("a.txt", None, "text/plain"),
        ("a.tar.gz", None, "application/gzip"),
        ("a.json", None, "application/json"),
        ("a.html", None, "text/html"),
        ("a.unknown", None, "application/octet-stream"),
        ("a", None, "application/octet-stream"),
        ("b.txt", "application/x-www-form-urlencoded", "text/plain"),
        ("c.txt", "text/markdown; charset=utf-8", "text/markdown; charset=utf-8"),
        ("d.txt", "nonsense", None),
        ("e.txt", f"text/{'x' * 300}", None),
    ):
        headers = {"content-type": said} if said else {}
        answer = await http.put(f"/raw/types/{name}", content=A, headers=headers)
        assert answer.status_code == (201 if told else 400), name
        if told:
            assert (await http.get(f"/raw/types/{name}")).headers["content-type"] == told


async def test_pages_of_others_run_nothing_here(http: httpx.AsyncClient) -> None:
    for name in ("evil.html", "evil.svg", "evil.xml"):
        await http.put(f"/raw/{name}", content=b"<script>alert(1)</script>")
        got = await http.get(f"/raw/{name}")
        assert "sandbox" in got.headers["content-security-policy"].split(", ")
        assert got.headers["x-content-type-options"] == "nosniff"


async def test_a_file_may_be_called_as_a_directory_is(http: httpx.AsyncClient) -> None:
    for first, second in (("file", "file/below"), ("dir/below", "dir")):
        for path in (first, second):
            assert (await http.put(f"/raw/tree/{path}", content=path.encode())).status_code == 201
        for path in (first, second):
            assert (await http.get(f"/raw/tree/{path}")).content == path.encode()


async def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_RAW_MAX_FILE_SIZE="1000") as http:

        async def pieces() -> object:
            for _ in range(11):
                yield bytes(100)

        assert (await http.put("/raw/exact", content=bytes(1000))).status_code == 201
        assert (await http.put("/raw/announced", content=bytes(1001))).status_code == 413
        assert (await http.put("/raw/chunked", content=pieces())).status_code == 413
        for name in ("announced", "chunked"):
            assert (await http.get(f"/raw/{name}")).status_code == 404


async def test_what_is_no_request_for_a_file(http: httpx.AsyncClient) -> None:
    for method, path, status in (
        ("PUT", "/raw/", 405),
        ("DELETE", "/raw/", 405),
        ("PUT", "/raw/directory/", 400),
        ("DELETE", "/raw/directory/", 404),
        ("PATCH", "/raw/file", 405),
        ("PUT", "/raw/-/file", 400),
        ("PUT", "/r/unknown/raw/file", 404),
    ):
        answer = await http.request(method, path, content=A if method == "PUT" else None)
        assert answer.status_code == status, (method, path)
    for headers, status in (({"content-range": "bytes 5-14/15"}, 400), ({"content-encoding": "gzip"}, 415)):
        assert (await http.put("/raw/file", content=A, headers=headers)).status_code == status


async def test_what_is_blocked_is_neither_served_nor_put(http: httpx.AsyncClient) -> None:
    async def block(**what: str) -> int:
        answer = await http.post("/api/v1/admin/blocks", json={"reason": "it bites", **what})
        assert answer.status_code == 200, answer.text
        number: int = answer.json()["id"]
        return number

    async def lift(number: int) -> None:
        assert (await http.post("/api/v1/admin/blocks/lift", json={"id": number})).status_code == 200

    for path in ("x/bad", "x/good"):
        assert (await http.put(f"/raw/{path}", content=path.encode())).status_code == 201
    digest = f"sha256:{hashlib.sha256(b'x/bad').hexdigest()}"
    for what in ({"repository": "raw", "name": "x/bad"}, {"digest": digest}):
        number = await block(**what)
        for answer in (await http.get("/raw/x/bad"), await http.put("/raw/x/bad", content=b"x/bad")):
            assert answer.status_code == 403
            assert "it bites" in answer.text
        assert [one["name"] for one in (await http.get("/raw/x/?list")).json()["entries"]] == ["good"]
        assert (await http.get("/raw/x/good")).status_code == 200
        if "digest" in what:
            assert (await http.put("/raw/copy", content=b"x/bad")).status_code == 403
            mended = await http.put("/raw/x/bad", content=b"well", headers={"if-match": "*"})
            assert (mended.status_code, (await http.get("/raw/x/bad")).content) == (200, b"well")
            with_old = {"if-match": mended.headers["etag"]}
            assert (await http.put("/raw/x/bad", content=b"x/bad", headers=with_old)).status_code == 403
        await lift(number)
        assert (await http.get("/raw/x/bad")).status_code == 200
    await block(repository="raw", name="x/bad")
    assert (await http.delete("/raw/x/bad")).status_code == 204


async def test_a_file_may_have_an_end(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, query, headers in (
        ("query", "?expires=7d", {}),
        ("header", "", {"x-nora-ttl": "604800"}),
        ("for-good", "", {}),
    ):
        assert (await http.put(f"/raw/ends/{path}{query}", content=A, headers=headers)).status_code == 201
        assert ("sunset" in (await http.get(f"/raw/ends/{path}")).headers) is (path != "for-good")
    listed = (await http.get("/raw/ends/?list")).json()["entries"]
    assert ["expires" in one for one in listed] == [False, True, True]
    for wrong in ("0", "-1", "x", "7 years"):
        assert (await http.put("/raw/ends/x", params={"expires": wrong}, content=A)).status_code == 400, wrong
    really = time.time
    monkeypatch.setattr(time, "time", lambda: really() + 8 * 86400)
    monkeypatch.setattr(kept_answers, "monotonic", lambda: time.monotonic() + 8 * 86400)
    assert [one["name"] for one in (await http.get("/raw/ends/?list")).json()["entries"]] == ["for-good"]
    for path, status in (("query", 404), ("header", 404), ("for-good", 200)):
        assert (await http.get(f"/raw/ends/{path}")).status_code == status
    assert (await http.put("/raw/ends/query", content=B)).status_code == 201


async def test_a_file_that_is_put_again_does_not_end_earlier(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for query in ("?expires=1h", ""):
        assert (await http.put(f"/raw/x{query}", content=A)).is_success
    assert "sunset" not in (await http.get("/raw/x")).headers
    really = time.time
    monkeypatch.setattr(time, "time", lambda: really() + 7200)
    assert (await http.get("/raw/x", params={"a": "b"})).content == A


@pytest.mark.parametrize("jump", [0, -3600])
async def test_other_bytes_are_of_a_later_second(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: began)
    assert (await http.put(f"{SCRATCH}/x", content=A)).status_code == 201
    since = (await http.get(f"{SCRATCH}/x")).headers["last-modified"]
    monkeypatch.setattr(time, "time", lambda: began + jump)
    assert (await http.put(f"{SCRATCH}/x", content=B)).status_code == 200
    got = await http.get(f"{SCRATCH}/x", headers={"if-modified-since": since})
    assert (got.status_code, got.content) == (200, B)
