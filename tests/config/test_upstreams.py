"""Sources: what may be said of one, and that nothing shows its credentials."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path

import pytest

from nora.config.secrets import hide
from nora.config.upstreams import UPSTREAMS, Upstream, render_upstream
from tests.support.certificates import make
from tests.support.tables import each

URL = "https://a.example"


def read(raw: object) -> tuple[Upstream, ...]:
    return UPSTREAMS.read(raw)  # type: ignore[return-value]


def refusal(**fields: object) -> str:
    with pytest.raises(ValueError, match="expected") as caught:
        read([{"url": URL, **fields}])
    return str(caught.value)


def test_a_file_and_a_variable_say_the_same() -> None:
    expected = (Upstream(URL, auth="me:pass:word", prefix="hub"), Upstream("https://b.example"))
    table = [{"url": URL, "auth": "me:pass:word", "prefix": "hub"}, "https://b.example/"]
    assert read(table) == expected
    assert read(json.dumps(table)) == expected
    assert read(f"{URL}|me:pass:word|hub, https://b.example,") == expected
    assert read(table[0]) == expected[:1]
    assert read("off") == read("") == read([]) == ()


def test_a_password_in_a_variable_may_have_commas() -> None:
    assert read(f"{URL}|me:a,b@c|hub,http://b|u:p,") == (
        Upstream(URL, auth="me:a,b@c", prefix="hub"),
        Upstream("http://b", auth="u:p"),
    )


def test_every_field(tmp_path: Path) -> None:
    authority = make(tmp_path).authority
    said: dict[str, object] = {
        "url": f"{URL}/simple/",
        "mirrors": ["https://b.example/simple/"],
        "names": ["corp-*", "com.corp.**"],
        "merge": ["org.example.**"],
        "headers": {"X-Api-Key": "k"},
        "ca_cert": str(authority),
        "ttl": "forever",
        "serve_stale": False,
        "timeout": "2m",
        "absent": [403],
        "allow_private": ["*.corp.example"],
        "namespace": "corp",
    }
    expected = Upstream(
        f"{URL}/simple",
        mirrors=("https://b.example/simple",),
        names=("corp-*", "com.corp.**"),
        merge=("org.example.**",),
        headers=(("x-api-key", "k"),),
        ca_cert=authority,
        ttl=inf,
        serve_stale=False,
        timeout=120,
        absent=(403, 404, 410),
        allow_private=("*.corp.example",),
        namespace="corp",
    )
    assert read([said]) == (expected,)
    assert read([render_upstream(expected)]) == (expected,)
    for private, value in ((True, ("*",)), (False, ())):
        (one,) = read([{"url": URL, "allow_private": private}])
        assert one.allow_private == value
        assert read([render_upstream(one)]) == (one,)


def test_credentials_come_in_one_of_several_ways(tmp_path: Path) -> None:
    password, token, both = (tmp_path / name for name in ("password", "token", "both"))
    password.write_text("s,e:c@r \n")
    token.write_text("abc\n")
    both.write_text("me:s\r\n")
    for fields, auth, bearer in (
        ({"username": "me", "password": "s"}, "me:s", None),
        ({"username": "me", "password": ""}, "me:", None),
        ({"username": "me", "password_file": str(password)}, "me:s,e:c@r ", None),
        ({"auth_file": str(both)}, "me:s", None),
        ({"token": "abc"}, None, "abc"),
        ({"token_file": str(token)}, None, "abc"),
    ):
        (one,) = read([{"url": URL, **fields}])
        assert (one.auth, one.token) == (auth, bearer)
        assert read([render_upstream(one)]) == (one,)
    for fields in (
        {"username": "me"},
        {"password": "s"},
        {"username": "me", "password": "s", "token": "abc"},
        {"auth": "me:s", "auth_file": str(both)},
    ):
        assert "expected one of: username with password or password_file" in refusal(**fields)


@each(
    ("field", "value", "reason"),
    [
        ("user", "x", "user: there is no such field; expected username?"),
        ("pass", "x", "expected password?"),
        ("proxy_auth", "x", "expected auth?"),
        ("serve_stail", True, "expected serve_stale?"),
        ("zzz", "x", "expected one of url, mirrors, names"),
        ("url", "https://me:hunter2@a.example", "use username and password (or auth_file)"),
        ("mirrors", ["https://me:hunter2@a.example"], "mirrors: expected a URL without credentials"),
        ("url", "https://a.example,b.example", "expected one URL"),
        ("names", ["corp-[a]"], "names: expected patterns"),
        ("auth", "hunter2", "auth: expected the credentials of an upstream as user:password"),
        ("auth", "hunter2:\n", "auth: expected the credentials"),
        ("username", "me:hunter2", "without a colon"),
        ("token", "hunter2 hunter2", "expected a token"),
        ("headers", ["hunter2"], "expected a table"),
        ("headers", {"Host": "hunter2"}, "expected names of header fields"),
        ("headers", {"X-Key": "hunter2\n"}, "expected values of printable ASCII"),
        ("absent", [500], "expected a list of statuses"),
        ("absent", [429], "without 408 and 429"),
        ("ttl", "long", "ttl: expected 0 (always revalidate)"),
        ("timeout", 0, "timeout: expected at least 1 seconds"),
        ("ca_cert", "/absent.pem", "ca_cert: expected a file with certificates: No such file"),
        ("password_file", 5, "password_file: expected a printable text"),
        ("token_file", "/absent", "token_file: expected a file; it cannot be read"),
        ("prefix", "blobs", "prefix: expected a prefix"),
    ],
)
def test_what_cannot_be_said_is_told_without_the_value(field: str, value: object, reason: str) -> None:
    text = refusal(**{field: value})
    assert reason in text
    assert "hunter2" not in text


def test_of_several_the_wrong_one_is_named_by_its_number() -> None:
    with pytest.raises(ValueError, match=r"upstream 2: auth: expected"):
        read([URL, {"url": "https://b.example", "auth": "x"}])
    with pytest.raises(ValueError, match="expected each upstream and each prefix once"):
        read([URL, f"{URL}/"])
    for raw in (5, [5], [{}], [{"auth": "a:b"}], "{", "[1", f"{URL}|hunter2", "hunter2"):
        with pytest.raises(ValueError, match="expected"):
            read(raw)


def test_a_source_does_not_show_its_credentials() -> None:
    (basic, bearer) = read(
        [
            {"url": URL, "username": "me", "password": "hunter2", "headers": {"X-Key": "hunter2"}},
            {"url": "https://b.example", "token": "hunter2"},
        ]
    )
    shown = [hide("upstreams", render_upstream(one)) for one in (basic, bearer)]
    assert "hunter2" not in repr((basic, bearer)) + repr(shown)
    assert shown[0] == {"url": URL, "auth": "***", "headers": {"x-key": "***"}}


@each(
    ("text", "shown"),
    [
        ("https://me:hunter2@a.example", "https://***@a.example"),
        ("https://me:h@u n'\"t,er2@a.example/x", "https://***@a.example/x"),
        ("me:hunter2@a.example", "me:***@a.example"),
        ("https://a.example|me:h,u n|ter2", "https://a.example|***"),
        ("https://a.example:5000/x", "https://a.example:5000/x"),
        ("@corp/*", "@corp/*"),
        ({"docker:https://me:hunter2@a": {"token": "x"}}, {"docker:***@a": {"token": "***"}}),
    ],
)
def test_a_value_is_shown_without_credentials(text: object, shown: object) -> None:
    assert hide("some.setting", text) == shown
