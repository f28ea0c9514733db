"""The seam, through a real server: ids, headers, mounts, methods, errors."""

from __future__ import annotations

import inspect
from pathlib import Path

import httpx
import pytest
from blacksheep.server import application as application_module
from blacksheep.server import routing

from nora.http.application import SECURITY_HEADERS, NoraApplication
from nora.observability.metrics import Metrics
from nora.observability.shared import SharedMemory
from tests.http.toy import install
from tests.http.wire import ask, connect, read_answer
from tests.support.server import Server, running

EVERY_ANSWER = [
    ("GET", "/", 200),
    ("GET", "/health", 200),
    ("GET", "/ready", 200),
    ("GET", "/metrics", 200),
    ("GET", "/nowhere", 404),
    ("PUT", "/health", 405),
    ("GET", "/toy/get", 200),
    ("HEAD", "/toy/hot", 200),
    ("GET", "/toy/nothing", 404),
    ("PUT", "/toy/refuse", 409),
    ("GET", "/toy/fail", 500),
    ("GET", "/toy/status/204", 204),
    ("GET", "/toy/status/304", 304),
    ("GET", "/toy/a%00b", 400),
    ("GET", "/v2/", 200),
    ("GET", "/v2/none/manifests/none", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), EVERY_ANSWER)
def test_every_answer_has_security_headers_and_an_id(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    for name, value in SECURITY_HEADERS:
        assert answer.headers.get_list(name.decode()) == [value.decode()]
    assert len(answer.headers.get_list("x-request-id")) == 1
    assert answer.headers["x-request-id"]


def test_content_security_policy_allows_nothing_inline() -> None:
    policy = dict(SECURITY_HEADERS)[b"content-security-policy"]
    assert policy.startswith(b"default-src 'self'")
    assert b"unsafe-inline" not in policy


def test_a_good_request_id_is_echoed(client: httpx.Client) -> None:
    wanted = "ci-7/" + "x" * 123
    assert client.get("/health", headers={"X-Request-ID": wanted}).headers["x-request-id"] == wanted


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "\u00e9"])
def test_a_bad_request_id_is_replaced(client: httpx.Client, sent: str) -> None:
    answer = client.get("/health", headers={"X-Request-ID": sent.encode("latin-1")})
    assert answer.headers["x-request-id"] not in {"", sent}


def test_ids_are_unique(client: httpx.Client) -> None:
    ids = {client.get("/toy/get").headers["x-request-id"] for _ in range(50)}
    assert len(ids) == 50


def test_an_error_of_the_house_is_told_without_its_text(client: httpx.Client, toy: Server) -> None:
    answer = client.get("/toy/fail", headers={"X-Request-ID": "find-me"})
    assert answer.headers["content-type"] == "text/x-toy"
    assert "find-me" in answer.text
    assert "secret" not in answer.text
    log = toy.log.read_text()
    assert "a secret of the house" in log
    assert '"request_id":"find-me"' in log


def test_errors_speak_the_dialect_of_their_mount(client: httpx.Client) -> None:
    assert client.put("/toy/refuse").text == "toy: never"
    assert client.get("/nowhere").json()["error"].startswith("there is nothing here; see ")
    assert "errors" in client.get("/v2/none/manifests/none").json()


def test_wrong_method_names_the_right_ones(client: httpx.Client) -> None:
    assert client.post("/toy/get").headers["allow"] == "GET"
    answer = client.post("/health")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert client.request("BREW", "/health").status_code == 405


def test_retry_after(client: httpx.Client) -> None:
    assert client.get("/toy/busy").headers["retry-after"] == "1"
    assert client.get("/toy/busy/limit").headers["retry-after"] == "7"


@pytest.mark.parametrize("path", ["/toy/a%00", "/toy/%0A", "/toy/%7f", "/v2/a%2500b/tags/list", "/%01"])
def test_control_characters_in_paths_are_refused(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 400


def test_other_letters_in_paths_are_fine(client: httpx.Client) -> None:
    assert client.get("/toy/%D0%B4%C2%A0%25").status_code == 404


def test_mount_without_its_last_slash(client: httpx.Client) -> None:
    assert client.get("/v2").status_code == 200
    assert client.get("/toy").status_code == 404
    assert client.get("/toyland/get").json()["error"]


def test_named_repositories_are_mounted_below_r(client: httpx.Client) -> None:
    answer = client.get("/r/toy-hosted/get")
    assert answer.headers["content-type"] == "text/x-toy"  # the toy itself does not know the path
    assert client.get("/r/unknown/get").headers["content-type"] == "application/json"
    assert client.get("/r/unknown/health").status_code == 404  # what is the server's own is in no repository


def test_bodies_of_every_kind(client: httpx.Client) -> None:
    assert client.get("/toy/stream/3").text == "0\n1\n2\n"
    assert client.get("/toy/status/202").headers["content-length"] == "0"
    for status in (204, 304):
        answer = client.get(f"/toy/status/{status}")
        assert "content-length" not in answer.headers
        assert "transfer-encoding" not in answer.headers


def test_head_is_get_without_the_body_on_one_connection(toy: Server) -> None:
    with connect(toy) as connection:
        connection.sendall(b"HEAD /toy/hot HTTP/1.1\r\nhost: localhost\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        assert b"content-length: 500\r\n" in head
        assert head.count(b"content-length") == 1
        assert head.endswith(b"\r\n\r\n")
        connection.sendall(b"GET /toy/get HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert read_answer(connection).body == b"toy"


def test_a_body_that_falls_short_is_cut(toy: Server) -> None:
    answer = ask(toy, b"GET /toy/short HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert answer.headers["content-length"] == "10"
    assert answer.body == b"12345"


@pytest.mark.slow
def test_trace_tells_how_a_client_speaks_and_no_secret(tmp_path: Path) -> None:
    env = install(tmp_path) | {"NORA_LOG_LEVEL": "trace"}
    (tmp_path / "traced").mkdir()
    with running(tmp_path / "traced", env=env) as server:
        secret = {"authorization": "Bearer very-secret", "cookie": "very-secret", "x-other": "very-secret"}
        httpx.get(
            f"{server.url}/toy/get?token=very-secret",
            headers={"user-agent": "a client/1", "range": "bytes=0-1", **secret},
            trust_env=False,
        )
        log = server.log.read_text()
    assert "a client" in log
    assert "range: b'bytes=0-1'" in log
    assert "very-secret" not in log


def test_a_request_without_one_host_is_refused(toy: Server) -> None:
    for hosts in (b"", b"Host: localhost\r\nHost: localhost\r\n", b"Host: a b\r\n"):
        answer = ask(toy, b"GET /health HTTP/1.1\r\n%bConnection: close\r\n\r\n" % hosts)
        assert answer.status == 400, hosts
    assert ask(toy, b"GET /health HTTP/1.0\r\n\r\n").status == 200


def test_nothing_is_answered_under_a_name_of_others(client: httpx.Client) -> None:
    for path in ("/health", "/v2/", "/toy/get", "/simple/", "/"):
        answer = client.get(path, headers={"host": "evil.example"})
        assert answer.status_code == 421, path
        assert "allowed_hosts" in answer.text


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}]
)
def test_a_page_of_another_site_changes_nothing(client: httpx.Client, headers: dict[str, str]) -> None:
    for method, path in (("PUT", "/toy/put"), ("POST", "/v2/a/blobs/uploads/"), ("DELETE", "/v2/a/tags/b")):
        assert client.request(method, path, headers=headers).status_code == 403, path
    assert client.get("/toy/get", headers=headers).status_code == 200
    own = {"origin": str(client.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
    assert client.put("/toy/put", headers=own).status_code == 201


def test_paths_are_case_sensitive(client: httpx.Client) -> None:
    for path in ("/Health", "/V2/", "/Simple/", "/TOY/get", "/API/tokens", "/simple/a/", "/v2/A/tags/list"):
        assert client.get(path).status_code in (400, 404), path


def test_an_application_looks_at_no_module_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker copies each page of memory that it looks at: BlackSheep's own look costs 5 MiB."""

    def looked(*_: object) -> None:
        raise AssertionError("the stack was looked at")

    monkeypatch.setattr(inspect, "stack", looked)
    app = NoraApplication(Metrics(SharedMemory(1), 0, version="1", compiled=False))
    assert app.server_error_details_handler is None
    assert application_module.validate_router is routing.validate_router, "others make theirs as ever"
