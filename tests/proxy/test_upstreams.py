"""How the sources of a configuration are asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from nora.config import Config, repository_specs
from nora.config import Upstream as UpstreamSetting
from nora.errors import UpstreamUnavailable
from nora.formats import load_config
from nora.model import Repository
from nora.outbound import Outbound
from nora.proxy.mirrors import rebased
from nora.proxy.upstream_auth import StaticAuthorization
from nora.proxy.upstreams import Upstreams
from nora.resolve import Source, Sources
from tests.proxy.asking import LIMIT, World, failing, read
from tests.support.answers import Answer, document
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream


def make(world: World, config: Config) -> Upstreams:
    return Upstreams.build(config, world.outbound, world.metrics, world.memory.answers)


def configured(tmp_path: Path, text: str) -> Config:
    (tmp_path / "config.toml").write_text('[repositories.mirror]\nformat = "pypi"\nkind = "proxy"\n' + text)
    return load_config({}, tmp_path)


def sources_of(config: Config) -> tuple[tuple[Source, ...], Sources]:
    """The sources of the repository `mirror`, with rows that nobody has made."""
    (spec,) = (one for one in repository_specs(config) if one.name == "mirror")
    rows = tuple(
        Repository(number, spec.source_name(one), spec.format, "proxy")
        for number, one in enumerate(spec.sources, 2)
    )
    mirror = Repository(1, "mirror", "pypi", "proxy", sources=rows)
    found = Sources(config, {"mirror": mirror}, {})
    return found.of(mirror), found


def test_a_source_is_asked_with_what_is_said_of_it(tmp_path: Path, up: Upstream) -> None:
    for path in ("/one/a", "/two/a"):
        up.serve(path, document(b"1"))
    up.serve("/one/gone", Answer(status=403))
    config = configured(
        tmp_path,
        f'''upstreams = [
            {{ url = "{up.url}/one", auth = "user:secret", headers = {{ x-who = "nora" }}, absent = [403] }},
            {{ url = "{up.url}/two", token = "abc", timeout = 7 }},
        ]''',
    )
    world = World()

    async def body() -> None:
        upstreams = make(world, config)
        one, two = map(upstreams.of, sources_of(config)[0])
        assert [one.url, two.url] == [f"{up.url}/one", f"{up.url}/two"]
        assert upstreams.of(sources_of(config)[0][0]) is one
        for each in (one, two):
            assert await each.ask("GET", f"{each.url}/a", max_bytes=LIMIT) is not None
        assert await one.ask("GET", f"{one.url}/gone", max_bytes=LIMIT) is None
        await upstreams.close()

    world.run(body)
    first, second, _ = (request.headers for request in up.log.requests)
    assert (first["authorization"], first["x-who"]) == ("Basic dXNlcjpzZWNyZXQ=", "nora")
    assert (second["authorization"], "x-who" in second) == ("Bearer abc", False)


def test_a_format_may_bring_its_own_credentials(tmp_path: Path) -> None:
    """One for each address of a source."""
    config = configured(
        tmp_path,
        'upstreams = [{ url = "https://a.example.com", mirrors = ["https://b.example.com"], auth = "u:p" }]',
    )
    asked: list[UpstreamSetting] = []
    world = World()

    async def body() -> None:
        def authorize(setting: UpstreamSetting, outbound: Outbound) -> StaticAuthorization:
            assert outbound is world.outbound
            asked.append(setting)
            return StaticAuthorization(setting)

        upstreams = make(world, config)
        for _ in range(2):
            upstreams.of(sources_of(config)[0][0], authorize)

    world.run(body)
    assert [(one.url, one.auth) for one in asked] == [
        ("https://a.example.com", "u:p"),
        ("https://b.example.com", "u:p"),
    ]


def test_nobody_is_asked_offline(tmp_path: Path) -> None:
    online = 'upstreams = ["https://one.example.com"]\n'
    for text, expected in ((online, True), (online + 'mode = "offline"\n', False)):
        (source,), sources = sources_of(configured(tmp_path, text))
        assert sources.is_online(source.repository) is expected
    (source,), sources = sources_of(configured(tmp_path, online + '[proxy]\nmode = "offline"\n'))
    assert not sources.is_online(source.repository)


def test_whoever_asks_offline_reaches_nobody(tmp_path: Path, up: Upstream) -> None:
    config = configured(tmp_path, f'upstreams = ["{up.url}/simple"]\nmode = "offline"\n')
    world = World()

    async def body() -> None:
        upstream = make(world, config).of(sources_of(config)[0][0])
        assert upstream.url == f"{up.url}/simple"
        assert await upstream.ask("GET", f"{upstream.url}/a", max_bytes=LIMIT) is None
        assert await read(upstream, f"{upstream.url}/a") is None

    world.run(body)
    assert up.log.requests == []


def test_a_mirror_answers_while_the_first_address_fails(tmp_path: Path, up: Upstream) -> None:
    up.serve("/first/simple/a", Answer(status=500))
    up.serve("/first/simple/gone", Answer(status=404))
    up.serve("/second/simple/a", document(b"mirrored"))
    up.serve("/second/simple/gone", document(b"not asked for"))
    config = configured(
        tmp_path,
        f'upstreams = [{{ url = "{up.url}/first/simple", mirrors = ["{up.url}/second/simple"] }}]\n'
        "[proxy]\nretries = 0\n",
    )
    world = World()

    async def body() -> None:
        upstream = make(world, config).of(sources_of(config)[0][0])
        url = f"{upstream.url}/a"
        reply = await upstream.ask("GET", url, max_bytes=LIMIT)
        assert reply is not None
        assert (reply.body, reply.url) == (b"mirrored", f"{up.url}/second/simple/a")
        assert await read(upstream, url) == b"mirrored"
        assert await upstream.ask("GET", f"{upstream.url}/gone", max_bytes=LIMIT) is None
        up.serve("/second/simple/a", Answer(status=502))
        for work in (upstream.ask("GET", url, max_bytes=LIMIT), read(upstream, url)):
            assert isinstance(await failing(work), UpstreamUnavailable)

    world.run(body)


def test_clients_wait_no_longer_than_until_any_address_may_answer(tmp_path: Path, up: Upstream) -> None:
    up.serve("/first/simple/a", Answer(status=503, headers={"retry-after": "50"}))
    up.serve("/second/simple/a", Answer(status=503, headers={"retry-after": "20"}))
    config = configured(
        tmp_path,
        f'upstreams = [{{ url = "{up.url}/first/simple", mirrors = ["{up.url}/second/simple"] }}]\n'
        "[proxy]\nretries = 0\n",
    )
    world = World()

    async def body() -> None:
        upstream = make(world, config).of(sources_of(config)[0][0])
        error = await failing(upstream.ask("GET", f"{upstream.url}/a", max_bytes=LIMIT))
        assert isinstance(error, UpstreamUnavailable)
        assert error.retry_after == 20

    world.run(body)


def test_what_a_page_of_a_mirror_links_to_is_had_from_any_address(tmp_path: Path, up: Upstream) -> None:
    """Whose link it is, is asked first, with its credentials; then the others, as while that one fails."""
    up.serve("/second/files/a", Answer(status=500))
    with running_upstream() as elsewhere:
        elsewhere.serve("/first/files/a", document(b"main"))
        config = configured(
            tmp_path,
            f'upstreams = [{{ url = "{elsewhere.url}/first/simple", mirrors = ["{up.url}/second/simple"],'
            ' auth = "u:p" }]\n[proxy]\nretries = 0\n',
        )
        world = World()

        async def body() -> None:
            upstream = make(world, config).of(sources_of(config)[0][0])
            url = f"{up.url}/second/files/a"
            reply = await upstream.ask("GET", url, max_bytes=LIMIT)
            assert reply is not None
            assert reply.body == await read(upstream, url) == b"main"

        world.run(body)
    assert [asked.path for asked in up.log.requests] == ["/second/files/a"] * 2
    assert all("authorization" in asked.headers for asked in up.log.requests)


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("https://a.example/simple/x/", "https://b.example/pypi/simple/x/"),
        ("https://a.example/files/x.whl", "https://b.example/pypi/files/x.whl"),
        ("https://files.example/x.whl", None),
        ("https://a.example.org/files/x.whl", None),
    ],
)
def test_what_is_beside_an_index_is_beside_its_mirror(url: str, there: str | None) -> None:
    assert rebased(url, "https://a.example/simple", "https://b.example/pypi/simple") == there


def test_mirrors_may_be_at_another_depth() -> None:
    for url, there in (
        ("https://a.example/one/v2/x", "https://b.example/v2/x"),
        ("https://a.example/two", "https://b.example/two"),
        ("https://a.example/one/", "https://b.example/"),
    ):
        assert rebased(url, "https://a.example/one", "https://b.example") == there
