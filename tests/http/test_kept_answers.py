"""Answers that are given again: only to the same question, only while they are true, and with all that is
done for each request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from blacksheep import Content, Response

from nora.blobs.leases import Leases
from nora.catalog.records import Blob
from nora.errors import Denied
from nora.formats.docker import blobs, manifests
from nora.http.clients import Clients
from nora.http.kept_answers import (
    BASE_KEY,
    INDIFFERENT,
    LARGEST_BODY,
    MOST_VARIANTS,
    OVERHEAD,
    STAMP_KEY,
    KeptAnswers,
    Question,
    Stamp,
    Until,
    question_of,
)
from nora.observability.audit import CREDENTIAL_HEADERS
from tests.support.in_process import application
from tests.support.oci import INDEX, digest, index

BLOB = b"a layer"
ONE, TWO = index([], annotations={"of": "one"}), index([], annotations={"of": "two"})
TAG, MANIFEST, LAYER = (
    "/v2/app/manifests/1",
    f"/v2/app/manifests/{digest(ONE)}",
    f"/v2/app/blobs/{digest(BLOB)}",
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


pytestmark = pytest.mark.anyio


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all answers that were made, not given again."""
    found: list[str] = []
    for module in (manifests, blobs):
        respond = module.blob_response

        async def counted(request: Any, *args: Any, _respond: Any = respond, **named: Any) -> Response:
            found.append(request.scope["path"])
            answer: Response = await _respond(request, *args, **named)
            return answer

        monkeypatch.setattr(module, "blob_response", counted)
    return found


async def push(http: httpx.AsyncClient, manifest: bytes = ONE, tag: str = TAG) -> None:
    answer = await http.put(tag, content=manifest, headers={"content-type": INDEX})
    assert answer.status_code == 201, answer.text


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with application(tmp_path, NORA_PROXY_MODE="offline") as client:
        upload = f"/v2/app/blobs/uploads/?digest=sha256:{sha256(BLOB).hexdigest()}"
        assert (await client.post(upload, content=BLOB)).status_code == 201
        await push(client)
        yield client


@pytest.mark.parametrize("path", [TAG, MANIFEST, LAYER])
async def test_the_same_question_has_the_same_answer(
    http: httpx.AsyncClient, made: list[str], path: str
) -> None:
    first, *others = [await http.get(path) for _ in range(3)]
    assert made == [path]
    ids = {one.headers.pop("x-request-id") for one in (first, *others)}
    assert len(ids) == 3
    for one in others:
        assert (one.status_code, one.content, one.headers) == (200, first.content, first.headers)
    named = await http.get(path, headers={"x-request-id": "mine"})
    assert named.headers["x-request-id"] == "mine"
    assert made == [path]


async def test_head_and_get_are_kept_apart(http: httpx.AsyncClient, made: list[str]) -> None:
    for _ in range(2):
        head, get = await http.head(TAG), await http.get(TAG)
        assert (head.content, get.content) == (b"", ONE)
        assert head.headers["content-length"] == str(len(ONE))
    assert made == [TAG, TAG]


@pytest.mark.parametrize("left", [None, b"", b"other bytes"])
async def test_the_file_of_a_blob_is_looked_at_for_each_head(
    http: httpx.AsyncClient, made: list[str], tmp_path: Path, left: bytes | None
) -> None:
    for _ in range(3):
        assert (await http.head(LAYER)).status_code == 200
    assert made == [LAYER]
    [file] = (tmp_path / "storage" / "blobs" / "sha256").glob(f"*/{sha256(BLOB).hexdigest()}-*")
    file.chmod(0o600)
    file.unlink() if left is None else file.write_bytes(left)
    assert (await http.head(LAYER)).status_code == 404
    upload = f"/v2/app/blobs/uploads/?digest={digest(BLOB)}"
    assert (await http.post(upload, content=BLOB)).status_code == 201
    for _ in range(2):
        assert (await http.head(LAYER)).status_code == 200


async def test_each_head_of_a_blob_renews_its_lease(
    http: httpx.AsyncClient, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []

    def note(self: Leases, repository: int, package: str, blob: Blob) -> None:
        noted.append(f"{package} {blob.digest}")

    monkeypatch.setattr(Leases, "note", note)
    for _ in range(3):
        await http.head(LAYER)
    assert made == [LAYER]
    assert noted == [f"app {digest(BLOB)}"] * 3


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"range": "bytes=0-1"}, 206),
        ({"if-none-match": f'"{digest(TWO)}"'}, 200),
        ({"if-none-match": f'"{digest(TWO)}", "{digest(ONE)}"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": f'"{digest(ONE)}"', "range": "bytes=0-1"}, 304),
        ({"if-none-match": f'"{digest(ONE)}"', "x-unheard-of": "1"}, 304),
        ({"range": "bytes=0-1", "if-range": '"other"'}, 200),
        ({"authorization": "Basic eDp5"}, 200),
        ({"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 200),
        ({"x-unheard-of": "1"}, 200),
    ],
)
async def test_another_question_is_answered_anew(
    http: httpx.AsyncClient, made: list[str], headers: dict[str, str], status: int
) -> None:
    for _ in range(2):
        await http.get(TAG)
    assert made == [TAG]
    assert (await http.get(TAG, headers=headers)).status_code == status
    assert made == [TAG, TAG]
    assert (await http.get(TAG)).content == ONE


@pytest.mark.parametrize("path", [TAG, MANIFEST, LAYER])
async def test_who_has_it_is_told_what_is_told_anew(
    http: httpx.AsyncClient, made: list[str], path: str
) -> None:
    etag = (await http.get(f"{path}?")).headers["etag"]
    condition = {"if-none-match": etag, "if-modified-since": "Sat, 01 Jan 2000 00:00:00 GMT"}
    first = await http.get(path, headers=condition)
    assert (first.status_code, made) == (304, [path] * len(made))
    await http.get(path)
    made.clear()
    again = await http.get(path, headers=condition)
    for one in (first, again):
        del one.headers["x-request-id"]
    assert (again.status_code, again.content) == (304, b"")
    assert sorted(again.headers.multi_items()) == sorted(first.headers.multi_items())
    assert made == []
    assert (await http.get(path)).status_code == 200


async def test_two_conditions_are_none_that_is_known(http: httpx.AsyncClient, made: list[str]) -> None:
    await http.get(TAG)
    etag = f'"{digest(ONE)}"'
    for several in ([etag, etag], ['"x"', etag], [etag, '"x"']):
        made.clear()
        headers = [("if-none-match", one) for one in several]
        assert (await http.get(TAG, headers=headers)).status_code in (200, 304)
        assert made == [TAG]


async def test_parameters_are_looked_at(http: httpx.AsyncClient, made: list[str]) -> None:
    for _ in range(2):
        await http.get(TAG)
        assert (await http.get(TAG, params={"ns": "nowhere.example"})).status_code == 404
    assert made == [TAG]


async def test_a_request_with_a_body_is_no_plain_one(http: httpx.AsyncClient, made: list[str]) -> None:
    for _ in range(2):
        await http.request("GET", TAG, content=b"x")
    assert made == [TAG, TAG]


def test_credentials_are_never_indifferent() -> None:
    told = {b"authorization", b"cookie", b"range", b"if-range", b"if-none-match", b"if-match", b"origin"}
    assert not INDIFFERENT & (
        CREDENTIAL_HEADERS | told | {b"content-length", b"transfer-encoding", b"expect"}
    )


async def test_changes_of_another_worker_are_seen_at_once(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(application(tmp_path)) for _ in range(2)]
        await push(one)
        for _ in range(2):
            assert (await two.get(TAG)).content == ONE
        await push(one, TWO)
        assert (await two.get(TAG)).content == TWO
        assert (await one.delete(TAG)).status_code == 202
        assert (await two.get(TAG)).status_code == 404
        await push(one)
        assert (await two.get(TAG)).content == ONE
        assert (await two.head(MANIFEST)).status_code == (await two.get(MANIFEST)).status_code == 200
        assert (await one.delete(MANIFEST)).status_code == 202
        assert [(await two.head(path)).status_code for path in (TAG, MANIFEST)] == [404, 404]


@pytest.mark.parametrize("what", [{"digest": digest(ONE)}, {"name": "app", "version": "1"}, {"name": "app"}])
async def test_a_block_of_another_worker_is_seen_at_once(tmp_path: Path, what: dict[str, str]) -> None:
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(application(tmp_path)) for _ in range(2)]
        await push(one)
        assert [(await two.get(TAG)).status_code for _ in range(2)] == [200, 200]
        body = {"repository": "docker", "reason": "it bites", **what}
        assert (await one.post("/api/v1/admin/blocks", json=body)).is_success
        assert (await two.get(TAG)).status_code == Denied.status


async def test_what_is_not_public_is_not_kept_for_nobody(tmp_path: Path, made: list[str]) -> None:
    users = tmp_path / "users"
    users.write_text("admin:$2b$04$2tAcC2YNbC/Evf7NrhBQ.OJUA.zUKo9bcKPbVJhOtGrzdOXJGBjIu\n")
    async with application(tmp_path, NORA_AUTH_ENABLED="true", NORA_AUTH_HTPASSWD_FILE=str(users)) as http:
        for _ in range(3):
            assert (await http.get(TAG)).status_code == 401
    assert made == []


async def test_each_is_counted_and_checked(tmp_path: Path, made: list[str]) -> None:
    limited = {
        "NORA_RATE_LIMIT_ENABLED": "true",
        "NORA_RATE_LIMIT_GENERAL_RPS": "1",
        "NORA_RATE_LIMIT_GENERAL_BURST": "4",
    }
    async with application(tmp_path, **limited) as http:
        await push(http)
        found = [(await http.get(TAG)).status_code for _ in range(5)]
        assert found == [200, 200, 200, 200, 429]
        assert (await http.get(TAG, headers={"host": "evil.example"})).status_code == 421
        assert made == [TAG]
        numbers = (await http.get("/metrics")).text
    assert 'nora_http_requests_total{method="GET",registry="docker",status="200"} 4.0' in numbers
    assert 'nora_downloads_total{registry="docker"} 4.0' in numbers


class Always:
    """A stamp."""

    true = True

    def holds(self) -> bool:
        return self.true


Fields = dict[bytes, bytes]
CLIENTS = Clients(host="127.0.0.1")


def asked(path: bytes, fields: Fields) -> tuple[dict[str, Any], Question]:
    headers = [*fields.items()]
    scope = {"method": "GET", "scheme": "http", "raw_path": path, "query_string": b"", "headers": headers}
    return scope, question_of(headers)


def keep(
    kept: KeptAnswers[None],
    path: bytes,
    body: bytes,
    stamp: Stamp,
    vary: bytes = b"",
    fields: Fields | None = None,
    base: str | None = None,
) -> None:
    scope, question = asked(path, fields or {})
    kept.invite(scope, question)
    scope |= {STAMP_KEY: stamp} | ({} if base is None else {BASE_KEY: base})
    head = [(b"vary", vary)] if vary else []
    kept.put(scope, question, Response(200, head, Content(b"text/plain", body)), (), None)  # type: ignore[arg-type]


def recalled(kept: KeptAnswers[None], path: bytes, fields: Fields | None = None) -> bytes | None:
    again = kept.recall(*asked(path, fields or {}), CLIENTS)
    return None if again is None else again.body["body"]


def is_kept(kept: KeptAnswers[None], path: bytes) -> bool:
    return recalled(kept, path) is not None


def test_what_varies_is_for_who_asks_alike() -> None:
    """A table: what an answer varies by, and who gets it of those who ask otherwise than the first."""
    one, other_encoding, other_accept, nothing = (
        {b"accept-encoding": b"gzip", b"accept": b"a/b"},
        {b"accept-encoding": b"gzip, zstd", b"accept": b"a/b"},
        {b"accept-encoding": b"gzip", b"accept": b"*/*"},
        dict[bytes, bytes](),
    )
    kept = KeptAnswers[None](1 << 20)
    for vary, found in (
        (b"", [True, True, True, True]),
        (b"Accept-Encoding", [True, False, True, False]),
        (b"accept", [True, True, False, False]),
        (b"Accept, Accept-Encoding", [True, False, False, False]),
        (b"Accept, Origin", [False, False, False, False]),
        (b"*", [False, False, False, False]),
    ):
        path = b"/" + vary
        keep(kept, path, b"x", Always(), vary, one)
        asks = (one, other_encoding, other_accept, nothing)
        assert [recalled(kept, path, ask) is not None for ask in asks] == found, vary


def test_each_variant_is_kept_once() -> None:
    kept = KeptAnswers[None](1 << 20)
    for number in range(MOST_VARIANTS + 3):
        for body in (b"old", b"%d" % number):
            keep(kept, b"/1", body, Always(), b"Accept", {b"accept": b"a/%d" % number})
    found = [recalled(kept, b"/1", {b"accept": b"a/%d" % number}) for number in range(MOST_VARIANTS + 3)]
    assert found == [None] * 3 + [b"%d" % number for number in range(3, MOST_VARIANTS + 3)]
    assert (len(kept), kept.used) == (MOST_VARIANTS, sum(OVERHEAD + len(one) for one in found if one))


def test_what_has_the_address_of_this_server_is_for_who_used_that() -> None:
    kept = KeptAnswers[None](1 << 20)
    for host in (b"localhost:1", b"127.0.0.1:1"):
        keep(kept, b"/1", host, Always(), fields={b"host": host}, base=f"http://{host.decode()}")
    for host in (b"localhost:1", b"127.0.0.1:1"):
        assert recalled(kept, b"/1", {b"host": host}) == host
    assert recalled(kept, b"/1", {b"host": b"other:1"}) is None


def test_two_fields_of_a_name_are_not_known() -> None:
    kept = KeptAnswers[None](1 << 20)
    keep(kept, b"/1", b"x", Always())
    for name in (b"accept", b"accept-encoding"):
        question = question_of([(name, b"a"), (name, b"b")])
        assert kept.recall(asked(b"/1", {})[0], question, CLIENTS) is None


def test_a_stamp_may_hold_for_a_time() -> None:
    stamp = Always()
    assert Until(stamp, 60.0).holds()
    assert not Until(stamp, 0.0).holds()
    stamp.true = False
    assert not Until(stamp, 60.0).holds()


def test_the_room_is_bounded_and_the_least_used_make_place() -> None:
    kept, stamp = KeptAnswers[None](3 * (OVERHEAD + 10)), Always()
    for path in (b"/1", b"/2", b"/3"):
        keep(kept, path, bytes(10), stamp)
    assert is_kept(kept, b"/1")
    keep(kept, b"/4", bytes(10), stamp)
    assert [is_kept(kept, path) for path in (b"/1", b"/2", b"/3", b"/4")] == [True, False, True, True]
    keep(kept, b"/4", bytes(20), stamp)  # in place of the other one
    assert kept.used <= 3 * (OVERHEAD + 10)
    keep(kept, b"/5", bytes(LARGEST_BODY + 1), stamp)
    keep(KeptAnswers[None](0), b"/6", b"", stamp)
    assert not is_kept(kept, b"/5")


def test_what_no_longer_holds_takes_no_room() -> None:
    kept, stamp = KeptAnswers[None](1 << 20), Always()
    keep(kept, b"/1", bytes(10), stamp)
    stamp.true = False
    assert not is_kept(kept, b"/1")
    assert (len(kept), kept.used) == (0, 0)
