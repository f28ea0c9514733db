"""Whom a proxy repository asks, as the configuration has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nora.config import Config
from nora.config import Upstream as UpstreamSetting
from nora.formats import load_config
from nora.model import Repository
from nora.proxy.upstream_auth import Basic
from nora.proxy.upstreams import Upstreams
from tests.proxy.asking import LIMIT, World
from tests.support.answers import document
from tests.support.upstream import Upstream

REPOSITORY = Repository(1, "mirror", "pypi", "proxy")


def make(world: World, config: Config) -> Upstreams:
    return Upstreams.build(config, world.outbound, world.metrics, world.memory.answers)


def configured(tmp_path: Path, text: str) -> Config:
    (tmp_path / "config.toml").write_text('[repositories.mirror]\nformat = "pypi"\nkind = "proxy"\n' + text)
    return load_config({}, tmp_path)


def test_they_are_asked_with_their_credentials_in_their_order(tmp_path: Path, up: Upstream) -> None:
    up.serve("/one/a", document(b"1"))
    config = configured(
        tmp_path,
        f'upstreams = [{{ url = "{up.url}/one", auth = "user:secret" }}, "https://two.example.com/"]',
    )
    world = World()

    async def body() -> None:
        upstreams = make(world, config)
        found = upstreams.of(REPOSITORY)
        assert [one.url for one in found] == [f"{up.url}/one", "https://two.example.com"]
        assert upstreams.of(REPOSITORY) is found
        assert await found[0].ask("GET", f"{up.url}/one/a", max_bytes=LIMIT) is not None

    world.run(body)
    assert up.log.requests[0].headers["authorization"] == "Basic dXNlcjpzZWNyZXQ="
    assert world.value("nora_circuit_breaker_state", host="two.example.com") == 0


def test_a_format_may_bring_its_own_credentials(tmp_path: Path) -> None:
    config = configured(tmp_path, 'upstreams = [{ url = "https://one.example.com", auth = "user:secret" }]')
    asked: list[UpstreamSetting] = []
    world = World()

    async def body() -> None:
        def authorize(setting: UpstreamSetting) -> Basic:
            asked.append(setting)
            return Basic(None)

        upstreams = make(world, config)
        for _ in range(2):
            upstreams.of(REPOSITORY, authorize)

    world.run(body)
    assert [(one.url, one.auth) for one in asked] == [("https://one.example.com", "user:secret")]


def test_nobody_is_asked_offline(tmp_path: Path) -> None:
    config = configured(tmp_path, 'upstreams = ["https://one.example.com"]')
    offline = replace(config, proxy=replace(config.proxy, mode="offline"))
    alone = configured(tmp_path, 'upstreams = ["https://one.example.com"]\nmode = "offline"')
    world = World()

    async def body() -> None:
        assert make(world, config).is_online(REPOSITORY)
        for one in (offline, alone):
            assert not make(world, one).is_online(REPOSITORY)
            assert make(world, one).of(REPOSITORY) == ()

    world.run(body)
