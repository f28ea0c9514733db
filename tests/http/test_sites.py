"""What browsers are told to ask for: names of others that lead here, and changes that other pages want."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nora.errors import BadRequest, Denied, Misdirected, NoraError
from nora.formats import load_config
from nora.http.clients import CLIENTS_KEY, Clients
from nora.http.sites import REMEMBERED, Sites

OF_THE_LOOPBACK = [
    b"localhost", b"localhost:4000", b"LOCALHOST", b"localhost.", b"nora.localhost:4000",
    b"127.0.0.1:4000", b"127.9.9.9", b"[::1]:4000",
]  # fmt: skip
OF_OTHERS = [b"evil.example", b"evil.example:4000", b"192.0.2.1", b"[2001:db8::1]", b"localhost.evil.example"]
NONE = [None, b"", b"a b", b"user@localhost", b"localhost, localhost", b"a/b", b"localhost:port", b"\xff"]


def refusal(sites: Sites, host: bytes | None, version: str = "1.1") -> type[NoraError] | None:
    try:
        sites.admit_host(host, version)
    except NoraError as error:
        return type(error)
    return None


def test_a_request_has_one_host() -> None:
    for sites in (Sites(), Sites(own_names_only=True)):
        for host in NONE:
            assert refusal(sites, host) is BadRequest, host
        assert refusal(sites, None, "2") is BadRequest


def test_version_1_0_needs_no_host() -> None:
    sites = Sites(own_names_only=True)
    assert refusal(sites, b"", "1") is None
    assert refusal(sites, b"", "1.1") is BadRequest
    assert refusal(sites, b"evil.example", "1") is Misdirected


def test_own_names_are_those_of_the_loopback() -> None:
    sites = Sites(own_names_only=True)
    for host in OF_THE_LOOPBACK:
        assert refusal(sites, host) is None, host
    for host in OF_OTHERS:
        assert refusal(sites, host) is Misdirected, host


def test_own_names_are_those_of_the_settings() -> None:
    sites = Sites(
        public_url="https://registry.example:8443/nora",
        allowed_hosts=["Other.example:80"],
        own_names_only=True,
    )
    for host in (b"registry.example", b"registry.example:8443", b"Registry.Example:1", b"other.example:4000"):
        assert refusal(sites, host) is None, host
    for host in (b"evil.example", b"sub.registry.example"):
        assert refusal(sites, host) is Misdirected, host


def test_refusal_names_the_settings() -> None:
    with pytest.raises(Misdirected, match=r"evil\.example.*server\.public_url.*server\.allowed_hosts"):
        Sites(own_names_only=True).admit_host(b"evil.example", "1.1")


def test_only_a_server_of_the_loopback_without_authentication_asks_for_its_names(
    tmp_path: Path,
) -> None:
    table = [
        ({}, Misdirected),
        ({"NORA_ALLOWED_HOSTS": "registry.example"}, None),
        ({"NORA_PUBLIC_URL": "https://registry.example"}, None),
        ({"NORA_AUTH_ENABLED": "true"}, None),
        ({"NORA_HOST": "0.0.0.0"}, None),
    ]
    for environ, expected in table:
        assert refusal(Sites.build(load_config(environ, tmp_path)), b"registry.example") is expected, environ


def test_many_hosts_are_not_remembered() -> None:
    sites = Sites()
    for number in range(REMEMBERED + 50):
        assert refusal(sites, b"h%d" % number) is None
    assert len(sites.good_hosts) == REMEMBERED
    assert refusal(sites, b"a b") is BadRequest


def admits(sites: Sites, *headers: tuple[str, str], clients: Clients | None = None) -> bool:
    scope: dict[str, Any] = {
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        CLIENTS_KEY: clients or Clients(),
    }
    try:
        sites.admit_change(scope)
    except Denied:
        return False
    return True


HERE = ("Host", "localhost:4000")


def test_programs_change_what_they_like() -> None:
    assert admits(Sites(), HERE)


def test_pages_of_others_change_nothing() -> None:
    table = [
        [("Origin", "https://evil.example")],
        [("Origin", "null")],
        [("Origin", "http://localhost:8080")],
        [("Origin", "http://localhost:4000"), ("Origin", "https://evil.example")],
        [("Origin", "http://localhost:8080"), ("Sec-Fetch-Site", "same-site")],
        [("Origin", "http://localhost:4000"), ("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "Cross-Site")],
    ]
    for headers in table:
        assert not admits(Sites(), HERE, *headers), headers


def test_pages_of_this_server_change_things() -> None:
    named = Sites(public_url="https://registry.example", allowed_hosts=["other.example"])
    table = [
        (Sites(), [("Origin", "http://localhost:4000")]),
        (Sites(), [("Origin", "HTTP://LOCALHOST:4000")]),
        (Sites(), [("Origin", "https://localhost:4000")]),  # a proxy in front speaks TLS
        (Sites(), [("Sec-Fetch-Site", "same-origin"), ("Origin", "https://registry.example")]),
        (Sites(), [("Sec-Fetch-Site", "none")]),
        (named, [("Origin", "https://registry.example")]),
        (named, [("Origin", "https://other.example:8443")]),
    ]
    for sites, headers in table:
        assert admits(sites, HERE, *headers), headers


def test_a_trusted_proxy_says_under_which_name_it_was_asked(tmp_path: Path) -> None:
    told = [HERE, ("X-Forwarded-Host", "registry.example"), ("Origin", "https://registry.example")]
    assert admits(Sites(), *told, clients=Clients.build(load_config({}, tmp_path)))
    assert not admits(Sites(), *told)  # nobody is trusted
