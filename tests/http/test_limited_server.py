"""Limits, lock-outs and the audit log through a real server of four workers that asks who is asking.

The loopback is a trusted proxy, so each test is a client of its own: it says so in X-Forwarded-For.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import orjson
import pytest

from tests.support.server import Server, running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

RATE, BURST, SESSIONS = 40, 40, 20
PASSWORD = "correct horse"
MANIFEST = "/v2/none/manifests/none"


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class Client:
    """Somebody at an address, who opens a connection for each request: any worker may get it."""

    def __init__(self, server: Server, address: str) -> None:
        self._server = server
        self._address = address

    def ask(
        self,
        path: str = MANIFEST,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._server.host, self._server.port, timeout=30)
        try:
            told = {"X-Forwarded-For": f"198.51.100.99, {self._address}", **(headers or {})}
            connection.request(method, path, body, told)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("nora-limited")
    users = data / "users.htpasswd"
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    users.write_text("".join(f"{name}:{hashed}\n" for name in ("ann", "bob", "ci")))
    env = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_ANONYMOUS_READ": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(users),
        "NORA_DOCKER_MAX_UPLOAD_SESSIONS_PER_USER": str(SESSIONS),
        "NORA_RATE_LIMIT_GENERAL_RPS": str(RATE),
        "NORA_RATE_LIMIT_GENERAL_BURST": str(BURST),
    }
    with running(data, workers=4, env=env) as one:
        yield one


def offer(client: Client, rate: float, seconds: float, forge: bool = False) -> tuple[int, float]:
    """Ask at a rate, from several threads; how many were let in, and how long it took."""
    threads, statuses = 4, []
    began = time.monotonic()

    def run(first: int) -> None:
        for number in range(first, int(rate * seconds), threads):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            forged = {"X-Forwarded-For": f"203.0.113.{number % 250}, {client._address}"} if forge else None
            statuses.append(client.ask(headers=forged)[0])

    running_threads = [threading.Thread(target=run, args=(first,)) for first in range(threads)]
    for thread in running_threads:
        thread.start()
    for thread in running_threads:
        thread.join()
    took = time.monotonic() - began
    assert len(statuses) == int(rate * seconds)
    assert set(statuses) == {404, 429}
    return statuses.count(404), took


@pytest.mark.parametrize(
    ("address", "seconds", "forge"),
    [
        ("192.0.2.2", 3, True),
        ("192.0.2.3", 10, False),
    ],
)
def test_the_limit_holds_over_all_workers_within_a_tenth(
    server: Server, address: str, seconds: int, forge: bool
) -> None:
    let_in, took = offer(Client(server, address), 2 * RATE, seconds, forge)
    assert 0.9 * (BURST + RATE * seconds) <= let_in <= 1.1 * (BURST + RATE * took)


def test_a_refusal_says_how_long_to_wait_in_the_words_of_the_format(server: Server) -> None:
    client = Client(server, "192.0.2.10")
    for _ in range(10 * BURST):
        status, headers, body = client.ask()
        if status == 429:
            break
    assert status == 429
    assert orjson.loads(body)["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert headers["retry-after"] == "1"
    assert headers["x-request-id"]
    assert client.ask("/health")[0] == 200
    page = client.ask("/metrics")[2].decode()
    assert 'nora_rate_limited_total{class="general"}' in page
    time.sleep(1)
    assert client.ask()[0] == 404


def test_who_is_known_is_not_limited(server: Server) -> None:
    client = Client(server, "192.0.2.20")
    assert {client.ask(headers=basic("ci", PASSWORD))[0] for _ in range(3 * BURST)} == {404}


def test_a_name_is_locked_at_one_address_by_all_workers(server: Server) -> None:
    client = Client(server, "192.0.2.30")
    upload = "/v2/app/blobs/uploads/"
    statuses = []
    for number in range(8):
        status, headers, body = client.ask(upload, "POST", basic("ann", f"wrong {number}"))
        statuses.append(status)
    assert statuses[:5] == [401] * 5
    assert statuses[-1] == 429
    assert orjson.loads(body)["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert int(headers["retry-after"]) >= 1
    assert client.ask(upload, "POST", basic("ann", PASSWORD))[0] == 429
    assert Client(server, "192.0.2.31").ask(upload, "POST", basic("ann", PASSWORD))[0] == 202
    assert client.ask(upload, "POST", basic("ann", PASSWORD))[0] == 429  # also where it is known by now
    wait_until(lambda: client.ask(upload, "POST", basic("ann", PASSWORD))[0] == 202, "its turn")


def test_one_user_cannot_take_all_upload_sessions(server: Server) -> None:
    client, upload = Client(server, "192.0.2.21"), "/v2/app/blobs/uploads/"
    statuses = [client.ask(upload, "POST", basic("ci", PASSWORD))[0] for _ in range(SESSIONS + 2)]
    assert statuses == [202] * SESSIONS + [429] * 2
    assert client.ask(upload, "POST", basic("bob", PASSWORD))[0] == 202


def test_guesses_at_once_get_what_one_after_the_other_gets(server: Server) -> None:
    client, upload = Client(server, "192.0.2.32"), "/v2/app/blobs/uploads/"
    with ThreadPoolExecutor(32) as threads:
        guesses = [basic("guessed", f"wrong {number}") for number in range(32)]
        statuses = [*threads.map(lambda one: client.ask(upload, "POST", one)[0], guesses)]
    assert set(statuses) == {401, 429}
    assert 5 <= statuses.count(401) <= 6  # the sixth, where the first five take as long as the lock


def test_a_first_login_is_not_refused_because_others_guess(server: Server) -> None:
    client, upload = Client(server, "192.0.2.33"), "/v2/app/blobs/uploads/"
    for number in range(10):
        client.ask(upload, "POST", basic(f"other-{number % 2}", f"wrong {number}"))
    assert client.ask(upload, "POST", basic("other-0", "wrong"))[0] == 429
    assert client.ask(upload, "POST", basic("bob", PASSWORD))[0] == 202


def test_the_audit_log_has_all_that_was_done_and_no_secret(server: Server) -> None:
    client = Client(server, "192.0.2.40")
    content = b"content"
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path = f"/v2/team/app/blobs/uploads/?digest={digest}"
    for number in range(20):
        headers = {**basic("bob", PASSWORD), "X-Request-ID": f"push-{number}"}
        assert client.ask(path, "POST", headers, content)[0] == 201
    assert client.ask(path, "POST", {**basic("bob", "wrong"), "X-Request-ID": "refused"}, content)[0] == 401
    assert client.ask(f"/v2/team/app/blobs/{digest}", "DELETE", basic("bob", PASSWORD))[0] == 403
    log = server.storage / "audit.jsonl"
    wait_until(lambda: len(mine(log)) == 23, "all lines", seen=lambda: mine(log))
    lines = mine(log)
    (claim,) = [line for line in lines if line["action"] == "claim"]
    assert (claim["subject"], claim["object"]) == ("bob", "team/app"), "whose the name is from now on"
    lines.remove(claim)
    pushes = [line for line in lines if line["request_id"].startswith("push-")]
    assert {line["request_id"] for line in pushes} == {f"push-{number}" for number in range(20)}
    for line in pushes:
        del line["ts"], line["request_id"]
        assert line == {
            "client": "192.0.2.40",
            "subject": "bob",
            "method": "password",
            "action": "write",
            "registry": "docker",
            "repository": "docker",
            "object": "team/app",
            "digest": digest,
            "outcome": "ok",
            "status": 201,
        }
    (refused,) = [line for line in lines if line["status"] == 401]
    assert (refused["action"], refused["subject"], refused["outcome"]) == ("authenticate", "bob", "denied")
    (denied,) = [line for line in lines if line["status"] == 403]
    assert (denied["action"], denied["subject"], denied["outcome"]) == ("delete", "bob", "denied")
    for secret in (PASSWORD, "wrong", basic("bob", PASSWORD)["Authorization"].split()[1]):
        assert secret not in log.read_text()
        assert secret not in server.log.read_text()


def mine(log: Path) -> list[dict[str, object]]:
    lines = [orjson.loads(line) for line in log.read_bytes().splitlines()] if log.exists() else []
    return [line for line in lines if line["client"] == "192.0.2.40"]
