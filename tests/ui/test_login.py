"""Login by an issuer of the tests' own: the whole way of a browser, and what may be wrong on it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from tests.support.access import write_users
from tests.support.in_process import application
from tests.support.issuer import b64, make_key, signed
from tests.support.login_issuer import CLIENT_SECRET, LoginIssuer, running_login_issuer

pytestmark = pytest.mark.anyio

CONFIG = """
[auth.oidc.login]
issuer = "{issuer}"
client_id = "nora"
client_secret_file = "client"
label = "Enter"
[auth.oidc.login.roles]
admins = "admin"
developers = "write"
guests = "read"
team = {{ role = "write", scopes = [{{ repository = "raw", name = "team/**" }}] }}
"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def running() -> Iterator[LoginIssuer]:
    with running_login_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: LoginIssuer) -> LoginIssuer:
    """As it was."""
    running.down, running.refuse, running.sign = False, {}, None
    running.secret = CLIENT_SECRET
    running.user = {"preferred_username": "alice", "groups": ["developers"]}
    return running


@pytest.fixture(scope="module")
async def http(
    tmp_path_factory: pytest.TempPathFactory, running: LoginIssuer
) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("login")
    async with served(folder, running.url) as client:
        yield client


def served(folder: Path, issuer: str, **environ: str) -> Any:
    (folder / "client").write_text(f"{CLIENT_SECRET}\n")
    (folder / "config.toml").write_text(CONFIG.format(issuer=issuer))
    users = write_users(folder / "users", alice="correct horse")
    said = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(users),
        "NORA_PUBLIC_URL": "http://localhost/pkg",
        "NORA_PROXY_MODE": "offline",
    }
    return application(folder, **said, **environ)


def led(address: str) -> str:
    """Where the issuer leads a browser."""
    parts = urlsplit(address)
    connection = HTTPConnection(parts.netloc, timeout=60)
    connection.request("GET", f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    connection.close()
    return answer.headers["location"] or ""


class Browser:
    """What a browser does: follows, and keeps cookies by name."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.cookies: dict[str, str] = {}

    async def get(self, path: str) -> httpx.Response:
        self.http.cookies.clear()
        said = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = await self.http.get(path, headers={"cookie": said} if said else {})
        for line in answer.headers.get_list("set-cookie"):
            name, _, rest = line.partition("=")
            self.cookies[name] = rest.partition(";")[0]
            assert "; HttpOnly; SameSite=Lax; Path=/pkg/ui" in line
        self.cookies = {name: value for name, value in self.cookies.items() if value}
        return answer

    async def begin(self, path: str = "/ui/login/oidc?next=search%3Fq%3Dx") -> str:
        """To the issuer, and its answer: an address of ours."""
        asked = await self.get(path)
        assert asked.status_code == 303
        address = await asyncio.to_thread(led, asked.headers["location"])
        assert address.startswith("http://localhost/pkg/ui/login/oidc/callback?")
        return str(address.removeprefix("http://localhost/pkg"))

    async def log_in(self) -> httpx.Response:
        return await self.get(await self.begin())


@pytest.fixture
def browser(http: httpx.AsyncClient) -> Browser:
    return Browser(http)


def changed(address: str, **values: str | None) -> str:
    query = {**dict(parse_qsl(urlsplit(address).query)), **values}
    return f"/ui/login/oidc/callback?{urlencode({k: v for k, v in query.items() if v is not None})}"


async def test_a_user_of_the_issuer_logs_in_and_out(issuer: LoginIssuer, browser: Browser) -> None:
    page = await browser.get("/ui/login?next=formats/raw")
    assert 'href="./login/oidc?next=formats%2Fraw">Enter</a>' in page.text
    answer = await browser.log_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "../../search?q=x")
    assert list(browser.cookies) == ["nora_session"]
    page = await browser.get("/ui/")
    assert page.status_code == 200
    assert "sso/alice" in page.text
    form = (await browser.get("/ui/tokens")).text
    assert 'name="days" type="number" min="1" max="30" value="30"' in form  # auth.oidc.login.token_ttl
    browser.cookies.clear()
    assert (await browser.get("/ui/")).status_code == 303


async def test_two_logins_of_a_browser_are_two(issuer: LoginIssuer, browser: Browser) -> None:
    first, second = await browser.begin(), await browser.begin("/ui/login/oidc?next=formats/raw")
    assert len(browser.cookies) == 2
    assert (await browser.get(first)).headers["location"] == "../../search?q=x"
    assert (await browser.get(second)).headers["location"] == "../../formats/raw"
    for _ in range(12):
        await browser.begin()
    assert len(browser.cookies) <= 10


async def test_only_the_browser_that_began_finishes_and_once(issuer: LoginIssuer, browser: Browser) -> None:
    address = await browser.begin()
    stranger = Browser(browser.http)
    for who, what in (
        (stranger, address),
        (browser, changed(address, state=None)),
        (browser, changed(address, state="x" * 43)),
        (browser, changed(address, state="é")),
    ):
        answer = await who.get(what)
        assert answer.status_code == 400
        assert "begun in another browser" in answer.text
    kept = dict(browser.cookies)
    forged = {name: value.replace(".", ".9", 1) for name, value in kept.items()}
    browser.cookies = forged
    assert (await browser.get(address)).status_code == 400
    browser.cookies = dict(kept)
    assert (await browser.get(address)).status_code == 303
    browser.cookies = dict(kept)
    again = await browser.get(address)
    assert again.status_code == 400
    assert "nora_session" not in browser.cookies
    assert "code=" not in again.text


def of_another_key(claims: dict[str, Any]) -> str:
    return signed(make_key("other", number=7), claims)


def unsigned(claims: dict[str, Any]) -> str:
    whole = signed(make_key("other", number=7), claims, {"alg": "none"})
    return f"{whole.rpartition('.')[0]}."


def by_the_secret(claims: dict[str, Any]) -> str:
    data = signed(make_key("other", number=7), claims, {"alg": "HS256"}).rpartition(".")[0]
    return f"{data}.{b64(hmac.digest(CLIENT_SECRET.encode(), data.encode(), hashlib.sha256))}"


def changing(issuer: LoginIssuer, changes: dict[str, Any], claims: dict[str, Any]) -> str:
    return issuer.token(**{**claims, **changes})


WRONG: dict[str, dict[str, Any] | Callable[[dict[str, Any]], str]] = {
    "nonce": {"nonce": "of another login"},
    "no nonce": {"nonce": None},
    "audience": {"aud": "somebody else"},
    "party": {"aud": ["nora", "other"], "azp": "other"},
    "no party": {"aud": ["nora", "other"]},
    "issuer": {"iss": "https://elsewhere.example"},
    "expired": {"iat": time.time() - 900, "nbf": None, "exp": time.time() - 600},
    "other key": of_another_key,
    "unsigned": unsigned,
    "by the secret": by_the_secret,
    "no token": lambda claims: "nothing",
}


async def test_a_token_that_is_not_right_lets_nobody_in(issuer: LoginIssuer, browser: Browser) -> None:
    for name, wrong in WRONG.items():
        issuer.sign = wrong if callable(wrong) else partial(changing, issuer, wrong)
        answer = await browser.log_in()
        assert answer.status_code == 502, name
        assert "does not trust" in answer.text, name
        assert "nora_session" not in browser.cookies, name


async def test_what_the_issuer_says_decides(issuer: LoginIssuer, browser: Browser) -> None:
    for user, status, told in (
        ({"groups": []}, 403, "none of your groups"),
        ({"groups": ["others"]}, 403, "none of your groups"),
        ({"groups": None}, 403, "none of your groups"),
        ({"groups": {"developers": True}}, 403, "none of your groups"),
        ({"preferred_username": None}, 403, "says no name"),
        ({"preferred_username": "a:b"}, 403, "says no name"),
        ({"preferred_username": "x" * 125}, 403, "says no name"),
    ):
        issuer.user = {"preferred_username": "alice", "groups": ["developers"], **user}
        answer = await browser.log_in()
        assert (answer.status_code, told in answer.text) == (status, True), user
    issuer.user = {"preferred_username": "alice", "groups": "developers"}
    for refusal, status, told in (
        ({"error": "access_denied", "error_description": "<b>no</b>"}, 403, "did not let you in"),
        ({"error": "server_error"}, 502, "does not trust"),
        ({"iss": "https://elsewhere.example", "code": "x"}, 502, "does not trust"),
        ({"code": "unknown"}, 502, "does not trust"),
        ({}, 303, ""),
    ):
        issuer.refuse = refusal
        answer = await browser.log_in()
        assert (answer.status_code, told in answer.text) == (status, True), refusal
        assert "<b>" not in answer.text
    issuer.secret = "another"
    issuer.refuse = {}
    assert (await browser.log_in()).status_code == 502


async def test_rights_are_those_of_the_groups_now(
    issuer: LoginIssuer, browser: Browser, tmp_path: Path
) -> None:
    issuer.user["groups"] = ["team", "others"]
    async with served(tmp_path, issuer.url) as http:
        other = Browser(http)
        await other.log_in()
        assert (await other.get("/ui/formats/raw")).status_code == 200
        session = dict(other.cookies)
    async with served(tmp_path, issuer.url, NORA_AUTH_OIDC_LOGIN_NAME_CLAIM="sub") as http:
        other = Browser(http)
        other.cookies = session
        assert (await other.get("/ui/formats/raw")).status_code == 303
        issuer.refuse = {}
        await other.log_in()
        assert "sso/u-1" in (await other.get("/ui/")).text


async def test_without_a_namespace_a_user_of_the_file_is_nobody_elses(
    issuer: LoginIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nora.auth.htpasswd.LOOK_SECONDS", 0.0)
    (tmp_path / "more").mkdir()
    async with served(tmp_path / "more", issuer.url, NORA_AUTH_OIDC_LOGIN_NAME_CLAIM="email") as http:
        for verified, status in ((False, 403), ("true", 403), (True, 303)):
            issuer.user |= {"email": "alice@example.org", "email_verified": verified}
            assert (await Browser(http).log_in()).status_code == status
    (tmp_path / "config.toml").write_text("")
    with (tmp_path / "config.toml").open("w") as file:
        file.write(CONFIG.format(issuer=issuer.url).replace("label =", 'namespace = ""\nlabel ='))
    async with _as_written(tmp_path) as http:
        answer = await Browser(http).log_in()
        assert answer.status_code == 403
        assert "user with a password here" in answer.text
        issuer.user["preferred_username"] = "bob"
        browser = Browser(http)
        assert (await browser.log_in()).status_code == 303
        assert (await browser.get("/ui/tokens")).status_code == 200
        write_users(tmp_path / "users", alice="correct horse", bob="battery staple")
        assert (await browser.get("/ui/tokens")).status_code == 303


def _as_written(folder: Path) -> Any:
    text = (folder / "config.toml").read_text()
    made = served(folder, "http://127.0.0.1:1")
    (folder / "config.toml").write_text(text)
    return made


async def test_an_issuer_that_is_down_is_told(issuer: LoginIssuer, tmp_path: Path) -> None:
    issuer.down = True
    async with served(tmp_path, issuer.url) as http:
        answer = await http.get("/ui/login/oidc", headers={"accept-language": "ru"})
        assert answer.status_code == 502
        assert "не отвечает" in answer.text
        issuer.down = False
        assert (await http.get("/ui/login/oidc")).status_code == 502  # asked a moment ago
        assert (await http.get("/ui/login")).status_code == 200
    async with served(tmp_path, issuer.url) as http:
        browser = Browser(http)
        address = await browser.begin()
        issuer.down = True
        answer = await browser.get(address)
        assert (answer.status_code, "does not answer" in answer.text) == (502, True)


async def test_no_page_of_others_is_a_goal(issuer: LoginIssuer, browser: Browser) -> None:
    for goal in ("//evil.example", "https://evil.example", "/evil", "..%2F..%2Fevil", "javascript:alert(1)"):
        answer = await browser.get(await browser.begin(f"/ui/login/oidc?next={goal}"))
        assert answer.headers["location"] == "../../", goal


async def test_who_logs_out_is_told_where_to_log_out_of_the_issuer(tmp_path: Path) -> None:
    for end in ("", "/end?of=all"):
        with running_login_issuer() as issuer:
            issuer.discovery = {
                **issuer.discovery,
                **({"end_session_endpoint": issuer.url + end} if end else {}),
            }
            folder = tmp_path / str(len(end))
            folder.mkdir()
            async with served(folder, issuer.url) as http:
                browser = Browser(http)
                await browser.log_in()
                [key] = {*re.findall(r'name="key" value="([^"]+)"', (await browser.get("/ui/")).text)}
                said = {"cookie": f"nora_session={browser.cookies['nora_session']}"}
                left = await http.post("/ui/logout", data={"key": key}, headers=said)
                assert (left.status_code, left.headers["location"]) == (303, "./login?left=issuer")
                assert (await http.get("/ui/", headers=said)).status_code == 303, "the session has ended"
                told = (await http.get("/ui/login?left=issuer")).text
                assert ("Log out there, too" in told) is bool(end)
                assert (f'href="{issuer.url}/end?of=all&amp;client_id=nora"' in told) is bool(end)
                assert "Log out there, too" not in (await http.get("/ui/login")).text
