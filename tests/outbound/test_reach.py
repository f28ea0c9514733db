"""How far what others name may lead: no further into private networks than they were reached in one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from nora.errors import UpstreamFailed
from nora.outbound import Outbound, Reply, Terms, origin
from tests.support.httpd import Answer, Asked, Served, serving
from tests.support.resolver import resolving

NAMES = {
    "index.example": "93.184.216.34",
    "cdn.example": "93.184.216.35",
    "index.corp.example": "10.0.0.5",
    "files.corp.example": "203.0.113.80",
    "meta.corp.example": "169.254.169.254",
    "cloud.corp.example": "100.100.100.200",
    "self.corp.example": "127.0.0.1",
}


@pytest.fixture(autouse=True)
def _no_proxy_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[Served]:
    """Every host of the table: `/to/<host>/<host>…` redirects along the hosts."""

    def answer(asked: Asked) -> Answer:
        _, _, hosts = asked.path.partition("/to/")
        host, _, rest = hosts.partition("/")
        if not host:
            return Answer(200, b"here")
        after = f"/to/{rest}" if rest else "/"
        return Answer(302, headers={"location": f"http://{host}:{found.port}{after}"})

    with serving(answer) as found:
        yield found


def get(server: Served, *hosts: str, private: tuple[str, ...] = (), inside: bool = False) -> Reply:
    """What the last of the hosts answers, to which those before lead; the first one is configured."""
    first, *others = hosts
    base = f"http://{first}:{server.port}"
    given = frozenset() if inside else frozenset({origin(base)})

    async def body() -> Reply:
        outbound = Outbound()
        try:
            terms = Terms(max_bytes=100, given=given, private=private, inside=inside)
            return await outbound.get(f"{base}/to/{'/'.join(others)}" if others else f"{base}/", terms)
        finally:
            await outbound.close()

    return asyncio.run(body())


@pytest.mark.parametrize(
    "hosts",
    [
        ("index.corp.example", "files.corp.example"),
        ("index.corp.example", "files.corp.example", "index.corp.example", "cdn.example"),
        ("self.corp.example", "files.corp.example"),
        ("meta.corp.example",),
    ],
)
def test_who_is_in_a_private_network_leads_into_it(
    monkeypatch: pytest.MonkeyPatch, server: Served, hosts: tuple[str, ...]
) -> None:
    connected = resolving(monkeypatch, NAMES)
    assert get(server, *hosts).body == b"here"
    assert set(connected) == {NAMES[host] for host in hosts}


@pytest.mark.parametrize(
    "hosts",
    [
        ("index.example", "files.corp.example"),
        ("index.corp.example", "cdn.example", "files.corp.example"),
        ("index.corp.example", "meta.corp.example"),
        ("index.corp.example", "cloud.corp.example"),
        ("index.corp.example", "self.corp.example"),
        ("index.corp.example", "files.corp.example", "self.corp.example"),
        ("self.corp.example", "meta.corp.example"),
    ],
)
def test_where_nobody_may_lead_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, server: Served, hosts: tuple[str, ...]
) -> None:
    connected = resolving(monkeypatch, NAMES)
    with pytest.raises(UpstreamFailed) as failed:
        get(server, *hosts)
    assert len(server.asked) == len(hosts) - 1
    assert connected == [NAMES[host] for host in hosts[:-1]]
    message = str(failed.value)
    assert f"{hosts[-1]} ({NAMES[hosts[-1]]})" in message
    assert f'allow_private = ["{hosts[-1]}"]' in message
    assert "NORA_PROXY_ALLOW_PRIVATE" in message


def test_what_is_allowed_leads_no_further(monkeypatch: pytest.MonkeyPatch, server: Served) -> None:
    resolving(monkeypatch, NAMES)
    allowed = ("files.corp.example",)
    assert get(server, "index.example", "files.corp.example", private=allowed).body == b"here"
    with pytest.raises(UpstreamFailed, match=r"index\.corp\.example"):
        get(server, "index.example", "files.corp.example", "index.corp.example", private=allowed)
    everything = ("*",)
    assert get(server, "index.example", "meta.corp.example", private=everything).body == b"here"


def test_what_was_named_in_a_private_network_may_be_in_one(
    monkeypatch: pytest.MonkeyPatch, server: Served
) -> None:
    resolving(monkeypatch, NAMES)
    assert get(server, "files.corp.example", inside=True).is_inside
    assert not get(server, "cdn.example", inside=True).is_inside
    with pytest.raises(UpstreamFailed, match=r"self\.corp\.example"):
        get(server, "self.corp.example", inside=True)


def test_behind_a_proxy_only_addresses_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are the proxy's to resolve: that it is on the loopback itself says nothing about them."""
    there = {"http://10.0.0.5/": "http://10.0.0.6/", "http://index.example/": "http://10.0.0.6/"}

    def answer(asked: Asked) -> Answer:
        target = there.get(asked.path)
        return Answer(200, b"here") if target is None else Answer(302, headers={"location": target})

    async def body() -> None:
        outbound = Outbound()
        try:
            for url, is_reached in (("http://10.0.0.5/", True), ("http://index.example/", False)):
                terms = Terms(max_bytes=100, given=frozenset({origin(url)}))
                if is_reached:
                    assert (await outbound.get(url, terms)).body == b"here"
                    continue
                with pytest.raises(UpstreamFailed, match="private network"):
                    await outbound.get(url, terms)
        finally:
            await outbound.close()

    with serving(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        asyncio.run(body())
