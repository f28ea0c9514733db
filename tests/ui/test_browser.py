"""The pages in a real browser: every page in both languages and themes, on small and large screens.

What is looked for: errors of the console, requests to other hosts, violations of the policy of contents, what
axe calls serious, a page that is wider than the screen. Screenshots are in `results/screenshots`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.access import PASSWORD, USER, make_token, write_users
from tests.support.login_issuer import CLIENT, CLIENT_SECRET, running_login_issuer
from tests.support.server import Server, running
from tests.ui.content import LONG, everything

pytestmark = pytest.mark.client("chromium")

ROOT = Path(__file__).parents[2]
PAGES = {
    "overview": "/ui/",
    "format": "/ui/formats/pypi",
    "images": "/ui/formats/docker",
    "image": "/ui/packages/docker/team/app?tag=1.1",
    "long": f"/ui/packages/docker/team/{LONG}",
    "package": "/ui/packages/npm/@team/ui",
    "project": "/ui/packages/pypi/acme-lib?client=uv",
    "artifact": "/ui/packages/maven/org.acme:team-lib",
    "files": "/ui/files/raw/builds",
    "file": "/ui/files/raw/builds/7/app.tar.gz",
    "deletion": "/ui/operation?do=delete&repository=pypi&package=acme-lib",
    "upload": "/ui/upload/raw?directory=builds",
    "activity": "/ui/activity",
    "webhooks": "/ui/webhooks",
    "upkeep": "/ui/upkeep",
    "collection": "/ui/upkeep/collection?do=apply",
    "search": "/ui/search?q=team",
    "nothing": "/ui/search?q=nothing-like-it",
    "empty": "/ui/formats/go",
    "api": "/ui/api-docs",
}
ADMINISTRATION = {
    "tokens": "/ui/tokens",
    "users": "/ui/users",
    "password": f"/ui/users/password?name={USER}",
    "account": "/ui/account",
    "audit": "/ui/audit",
    "identity": "/ui/identity",
    "operations": "/ui/upkeep",
}
"""Pages of who has logged in, as an administrator."""
ADMIN = "admin"
SIZES = (360, 768, 1440)
FOCUSABLE = "a[href], button, input:not([type=hidden]), [tabindex='0']"


class Places(NamedTuple):
    """An open registry with something of everything, an empty one, and one that asks who is there."""

    full: Server
    empty: Server
    closed: Server


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    folders = [tmp_path_factory.mktemp(name) for name in ("full", "empty", "closed")]
    offline = {"NORA_PROXY_MODE": "offline"}
    users = write_users(folders[2] / "users", **{USER: PASSWORD, ADMIN: PASSWORD})
    asking = {**offline, "NORA_AUTH_ENABLED": "true", "NORA_AUTH_HTPASSWD_FILE": str(users)}
    with (
        running(folders[0], env=offline) as full,
        running(folders[1], env=offline) as empty,
        running(folders[2], env=asking) as closed,
    ):
        fill(full)
        fill(closed, make_token(closed, "--role", "admin").bearer)
        yield Places(full, empty, closed)


def fill(server: Server, bearer: dict[str, str] | None = None) -> None:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as http:
        for sent in everything():
            said = {**sent.said, "headers": {**sent.said.get("headers", {}), **(bearer or {})}}
            answer = http.request(sent.method, sent.path, **said)
            assert answer.status_code < 300, (sent.path, answer.text)


@pytest.fixture(scope="module")
def browser(places: Places) -> Iterator[Any]:
    """Debian's; nothing is downloaded. After all that runs an event loop: playwright has one of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield launched
        launched.close()


class Watched:
    """A page, and what went wrong on it."""

    def __init__(self, browser: Any, server: Server, **said: Any) -> None:
        self.context = browser.new_context(base_url=server.url, **said)
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        host = urlsplit(server.url).netloc
        self.page.on("console", lambda one: one.type in ("error", "warning") and self.wrong.append(one.text))
        self.page.on("pageerror", lambda one: self.wrong.append(str(one)))
        self.page.on("requestfailed", self._fail)
        self.page.on("dialog", lambda one: self.wrong.append(f"dialog: {one.message}"))
        self.page.on(
            "request",
            lambda one: urlsplit(one.url).netloc != host and self.wrong.append(f"elsewhere: {one.url}"),
        )

    def _fail(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left meanwhile
            self.wrong.append(f"failed: {request.url}")

    def open(self, path: str, status: int = 200) -> None:
        answer = self.page.goto(path)
        assert answer.status == status, path

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.close()


@pytest.mark.parametrize("code", ["en", "ru"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_sound_at_every_size(browser: Any, places: Places, theme: str, code: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    folder = ROOT / "results" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    problems = []
    for size in SIZES:
        said = {"viewport": {"width": size, "height": 900}, "color_scheme": theme, "locale": code}
        for server, pages in (
            (places.full, PAGES),
            (places.empty, {"first": "/ui/"}),
            (places.closed, {"login": "/ui/login"}),
            (places.closed, ADMINISTRATION),
        ):
            with Watched(browser, server, **said) as watched:
                if pages is ADMINISTRATION:
                    log_in(watched.page, ADMIN, PASSWORD)
                for name, path in pages.items():
                    watched.open(path)
                    where = f"{name}-{theme}-{code}-{size}"
                    watched.page.screenshot(path=folder / f"{where}.png", full_page=True)
                    found = axe.run(watched.page).response["violations"]
                    problems += [
                        (where, one["id"], one["nodes"][0]["html"][:200])
                        for one in found
                        if one["impact"] in ("serious", "critical")
                    ]
                    if watched.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                        problems.append((where, "wider than the screen", ""))
                    assert watched.page.evaluate("document.documentElement.lang") == code
                problems += [(name, one, "") for one in watched.wrong]
    assert not problems, "\n".join(map(str, problems))


def test_pages_are_complete_without_javascript(browser: Any, places: Places) -> None:
    with Watched(browser, places.full, java_script_enabled=False) as watched:
        for path in PAGES.values():
            watched.open(path)
            assert watched.page.locator("h1").count() == 1, path
        watched.open("/ui/")
        assert watched.page.locator("[data-copy]").first.is_hidden()
        watched.page.fill("input[name=q]", "team")
        watched.page.press("input[name=q]", "Enter")
        watched.page.wait_for_url("**/ui/search?q=team*")
        assert watched.page.locator("a", has_text="@team/ui").count() == 1
        watched.page.click("button[name=lang][value=ru]")
        assert watched.page.url.endswith("/ui/search?q=team")
        assert watched.page.get_attribute("html", "lang") == "ru"
        watched.page.click("button[name=theme]")
        assert watched.page.get_attribute("html", "data-theme") == "dark"
        assert watched.wrong == []


def test_every_control_is_reached_by_keyboard(browser: Any, places: Places) -> None:
    with Watched(browser, places.full) as watched:
        for path in (PAGES["overview"], PAGES["image"], PAGES["package"]):
            watched.open(path)
            page = watched.page
            # By what they are: parts of a page replace themselves meanwhile.
            page.evaluate(
                "void (window.describe = "
                "one => [one.tagName, one.name, one.href, one.textContent.trim()].join(' '))"
            )
            wanted = page.evaluate(
                f"[...document.querySelectorAll({FOCUSABLE!r})]"
                ".filter(one => one.checkVisibility()).map(describe)"
            )
            reached = set()
            for _ in range(len(wanted) + 5):
                page.keyboard.press("Tab")
                reached.add(page.evaluate("describe(document.activeElement)"))
            assert set(wanted) - reached == set(), path
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.name") == "q"
        assert watched.wrong == []


def test_a_button_copies(browser: Any, places: Places) -> None:
    with Watched(browser, places.full, permissions=["clipboard-read", "clipboard-write"]) as watched:
        watched.open(PAGES["package"])
        button = watched.page.locator("#install [data-copy]").first
        button.focus()
        watched.page.keyboard.press("Enter")
        watched.page.wait_for_selector(".copy.done")
        copied = watched.page.evaluate("navigator.clipboard.readText()")
        assert copied == f"npm install --registry {places.full.url}/npm/ @team/ui@1.0.0"
        assert button.get_attribute("aria-label") == "Copied"
        assert watched.wrong == []


def test_arrows_go_through_the_results_below_the_field(browser: Any, places: Places) -> None:
    with Watched(browser, places.full) as watched:
        page, field = watched.page, watched.page.locator("header input[name=q]")
        watched.open(PAGES["image"])
        page.keyboard.press("/")
        first = page.locator("#quick a").first.filter(has_text="acme-tools")
        field.press_sequentially("acme-to", delay=20)
        first.wait_for()
        field.press("ArrowDown")
        assert page.evaluate("document.activeElement.textContent") == "acme-tools"
        page.keyboard.press("ArrowUp")
        assert page.evaluate("document.activeElement.name") == "q"
        page.keyboard.press("Escape")
        assert page.locator("#quick").is_hidden()
        field.fill("")  # which Escape does by itself in some browsers
        field.press_sequentially("acme-too", delay=20)
        first.wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_url("**/ui/packages/pypi/acme-tools")
        assert watched.wrong == []


def test_results_that_come_late_change_nothing(browser: Any, places: Places) -> None:
    with Watched(browser, places.full) as watched:
        page, field = watched.page, watched.page.locator("header input[name=q]")
        watched.open(PAGES["image"])
        late: list[Any] = []

        def hold(route: Any) -> None:
            late.append(route)

        page.route(re.compile(r"q=acme-tool$"), hold)
        for key, goes_on in (("ArrowDown", "ArrowUp"), ("Escape", "")):
            field.fill("acme-to")
            page.locator("#quick a").first.filter(has_text="acme-tools").wait_for()
            with page.expect_request(re.compile(r"q=acme-tool$")):
                field.press_sequentially("ol", delay=0)
            field.press(key)
            with page.expect_response(re.compile(r"q=acme-tool$")):
                late.pop().continue_()
            page.wait_for_timeout(100)  # in which the script reads it
            if goes_on:
                assert page.evaluate("document.activeElement.textContent") == "acme-tools"
                page.keyboard.press(goes_on)
            else:
                assert page.locator("#quick").is_hidden()
        assert watched.wrong == []


def test_results_come_while_somebody_types(browser: Any, places: Places) -> None:
    with Watched(browser, places.full) as watched:
        page = watched.page
        for path, part in (
            ("/ui/search?q=zzz", "header input[name=q]"),
            ("/ui/formats/pypi", ".filter input[name=q]"),
        ):
            watched.open(path)
            page.fill(part, "")
            page.locator(part).press_sequentially("acme-to", delay=20)
            page.wait_for_url("**q=acme-to*")
            assert page.locator("#found a", has_text="acme-tools").count() == 1
            assert page.locator("#found a", has_text="acme-lib").count() == 0
            page.reload()
            assert page.locator("#found a", has_text="acme-tools").count() == 1
        assert watched.wrong == []


def log_in(page: Any, name: str, password: str) -> None:
    if "/ui/login" not in page.url:
        page.goto("/ui/login")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/ui/login" not in url)


def test_a_session_from_login_to_logout(browser: Any, places: Places) -> None:
    with Watched(browser, places.closed) as watched:
        page = watched.page
        watched.open("/ui/packages/docker/team/app?tag=1.0")
        assert re.search(r"/ui/login\?next=packages", page.url)
        log_in(page, USER, PASSWORD)
        page.wait_for_url("**/ui/packages/docker/team/app?tag=1.0")
        [cookie] = watched.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/ui")
        assert page.evaluate("document.cookie") == ""
        page.click("button:has-text('Log out')")
        page.wait_for_url("**/ui/login")
        watched.open("/ui/")
        assert "/ui/login" in page.url
        assert watched.wrong == []


def test_a_login_by_an_issuer(browser: Any, tmp_path: Path) -> None:
    with running_login_issuer() as issuer:
        server = Server(tmp_path / "data", tmp_path / "nora.log")
        said = {
            "NORA_AUTH_ENABLED": "true",
            "NORA_PUBLIC_URL": server.url,
            "NORA_AUTH_OIDC_LOGIN_ISSUER": issuer.url,
            "NORA_AUTH_OIDC_LOGIN_CLIENT_ID": CLIENT,
            "NORA_AUTH_OIDC_LOGIN_CLIENT_SECRET_FILE": str(tmp_path / "client"),
            "NORA_AUTH_OIDC_LOGIN_ROLES": "admins=admin",
        }
        (tmp_path / "client").write_text(CLIENT_SECRET)
        server.env = said
        server.start()
        try:
            context = browser.new_context(base_url=server.url, locale="en")
            page = context.new_page()
            wrong: list[str] = []
            page.on("console", lambda one: one.type in ("error", "warning") and wrong.append(one.text))
            page.goto("/ui/upkeep")
            page.click(f"a:has-text('Log in with 127.0.0.1:{urlsplit(issuer.url).port}')")
            page.wait_for_load_state()
            assert page.locator("h1").inner_text() == "You are not logged in"  # no group of theirs
            wrong.clear()  # of its status
            issuer.user["groups"] = ["admins"]
            page.click("a.button:has-text('Log in again')")
            page.click("a.primary")
            page.wait_for_url("**/ui/")
            page.goto("/ui/upkeep")
            assert page.locator(".user").inner_text() == "sso/alice"
            [cookie] = context.cookies(f"{server.url}/ui/")
            assert (cookie["name"], cookie["path"]) == ("nora_session", "/ui")
            page.click("button:has-text('Log out')")
            page.wait_for_url(lambda url: urlsplit(url).path == "/ui/login")
            assert context.cookies(f"{server.url}/ui/") == []
            assert wrong == []
            context.close()
        finally:
            server.kill()
