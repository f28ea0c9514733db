"""Settings of proxies: whom they ask, in which mode, for which names, and what is said about it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from nora.config import Config, Timeouts, Upstream, load, repository_specs
from nora.config.describe import proxies, render_toml
from nora.config.proxy import Breaker
from nora.config.registries import DOCKER_HUB, simple_index
from nora.errors import ConfigError
from nora.model import RepositorySpec

FORMATS = ("docker", "pypi", "toy")
PROXYING = frozenset({"docker", "pypi"})
MIRROR = "[repositories.mirror]\nformat = 'pypi'\nkind = 'proxy'\n"
ASKS = "upstreams = ['https://a.example/simple']\n"
GROUP = "[repositories.g]\nformat = 'pypi'\nkind = 'group'\n"
PREFIXED = "docker.upstreams = [{ url = 'https://a', prefix = 'team' }]\n"


def configured(directory: Path, text: str = "", **environ: str) -> Config:
    (directory / "config.toml").write_text(text)
    return load(environ, directory)


def specs(config: Config) -> dict[str, RepositorySpec]:
    return {one.name: one for one in repository_specs(config, FORMATS, PROXYING)}


def refusal(directory: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        specs(configured(directory, text, **environ))
    return str(caught.value)


# -- the default repositories --------------------------------------------------------------------------------


def test_a_format_that_can_be_a_proxy_asks_its_public_registry(tmp_path: Path) -> None:
    config = configured(tmp_path)
    found = specs(config)
    assert [*found] == [
        *("docker-hosted", "docker-proxy", "docker"),
        *("pypi-hosted", "pypi-proxy", "pypi"),
        *("toy-hosted", "toy"),
    ]
    assert found["pypi"] == RepositorySpec(
        "pypi", "pypi", "group", ("pypi-hosted", "pypi-proxy"), "pypi-hosted"
    )
    assert config.upstreams_of("docker-proxy") == (DOCKER_HUB,)
    assert config.upstreams_of("pypi-proxy") == (simple_index(),)
    assert simple_index().url.startswith("https://")
    assert simple_index().url.endswith("/simple")
    for name in ("docker", "docker-hosted", "toy-proxy", "proxy", "-proxy"):
        assert config.upstreams_of(name) == ()


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("docker.upstreams = []\npypi.proxies = []", {}),
        ("docker.proxies = []\npypi.proxy = ''", {}),
        ("docker.upstreams = 'off'\npypi.proxy = 'off'", {}),
        ("", {"NORA_DOCKER_UPSTREAMS": "off", "NORA_PYPI_PROXY": "off"}),
        ("", {"NORA_DOCKER_PROXIES": "off", "NORA_PYPI_PROXIES": "off"}),
    ],
)
def test_without_upstreams_there_is_no_proxy(tmp_path: Path, text: str, environ: dict[str, str]) -> None:
    config = configured(tmp_path, text, **environ)
    assert [*specs(config)] == ["docker-hosted", "docker", "pypi-hosted", "pypi", "toy-hosted", "toy"]
    (tmp_path / "config.toml").write_text(render_toml(config))
    assert load({}, tmp_path).pypi == config.pypi


def test_the_promised_variable_says_whom_docker_asks(tmp_path: Path) -> None:
    both = "https://a.example|me:pass:word|team,http://localhost:5000"
    expected = (
        Upstream("https://a.example", auth="me:pass:word", prefix="team"),
        Upstream("http://localhost:5000"),
    )
    for name in ("NORA_DOCKER_UPSTREAMS", "NORA_DOCKER_PROXIES"):
        config = configured(tmp_path, **{name: both})
        assert config.upstreams_of("docker-proxy") == expected
    assert "set twice" in refusal(
        tmp_path, "", NORA_DOCKER_UPSTREAMS="https://a.example", NORA_DOCKER_PROXIES="https://b.example"
    )


def test_pypi_asks_one_index_or_several(tmp_path: Path) -> None:
    one = {"NORA_PYPI_PROXY": "https://a.example/simple/", "NORA_PYPI_PROXY_AUTH": "me:secret"}
    assert configured(tmp_path, **one).upstreams_of("pypi-proxy") == (
        Upstream("https://a.example/simple", auth="me:secret"),
    )
    several = configured(tmp_path, **one, NORA_PYPI_PROXIES="https://b.example|you:pw,https://c.example")
    assert several.upstreams_of("pypi-proxy") == (
        Upstream("https://b.example", auth="you:pw"),
        Upstream("https://c.example"),
    )
    assert "pypi.proxy is ignored: pypi.proxies says whom to ask" in several.warnings
    assert "set pypi.proxy as well" in refusal(tmp_path, "", NORA_PYPI_PROXY_AUTH="me:secret")


# -- named proxies -------------------------------------------------------------------------------------------


def test_a_named_proxy_asks_in_order(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("me:secret\n")
    table = f"{{ url = 'https://b.example', auth_file = '{tmp_path}/credentials' }}"
    config = configured(
        tmp_path,
        f"{MIRROR}upstreams = ['https://a.example/simple/', {table}, {{ url = 'http://c', auth = 'u:p' }}]",
    )
    assert specs(config)["mirror"] == RepositorySpec("mirror", "pypi", "proxy")
    first, second, third = config.upstreams_of("mirror")
    assert (first.url, first.auth) == ("https://a.example/simple", None)
    assert (second.auth, third.auth) == ("me:secret", "u:p")
    text = render_toml(config)
    assert "me:secret" not in text + repr(config)
    assert f'auth_file = "{tmp_path}/credentials"' in text
    hidden = tomllib.loads(text)["repositories"]["mirror"]["upstreams"]
    assert hidden[2] == {"url": "http://c", "auth": "***"}
    shown = proxies(config, repository_specs(config, FORMATS, PROXYING))
    assert [*shown] == ["docker-proxy", "pypi-proxy", "mirror"]
    assert shown["mirror"] == {"mode": "online", "upstreams": hidden}
    assert "u:p" not in json.dumps(shown)


def test_offline_is_said_for_all_or_for_one(tmp_path: Path) -> None:
    config = configured(
        tmp_path, f"{MIRROR}{ASKS}mode = 'offline'\n[repositories.docker-proxy]\nmode = 'offline'"
    )
    assert [config.is_online(name) for name in ("mirror", "docker-proxy", "pypi-proxy")] == [0, 0, 1]
    assert [*specs(config)][:3] == ["docker-hosted", "docker-proxy", "docker"]
    config = configured(tmp_path, f"{MIRROR}{ASKS}mode = 'online'", NORA_PROXY_MODE="offline")
    assert [config.is_online(name) for name in ("mirror", "docker-proxy", "pypi-proxy")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (MIRROR, "repositories.mirror.upstreams: a proxy needs at least one, such as"),
        (MIRROR + "upstreams = []", "a proxy needs at least one"),
        (MIRROR + "upstreams = ['ftp://a']", 'expected a URL such as "https://registry.example.com"'),
        (
            MIRROR + "upstreams = [{ url = 'https://a', pass = 'x' }]",
            "pass: there is no such field; expected password?",
        ),
        (MIRROR + "upstreams = ['https://a', 'https://a/']", "expected each upstream and each prefix once"),
        (MIRROR + "upstreams = [{ url = 'https://a', auth = 'token' }]", "as user:password"),
        (MIRROR + "upstreams = [{ url = 'https://a', auth_file = '/absent' }]", "it cannot be read: No such"),
        (
            MIRROR + "upstreams = [{ url = 'https://a', auth_file = '/x', auth = 'a:b' }]",
            "expected one of: username with password",
        ),
        (MIRROR + ASKS + "mode = 'of'", "repositories.mirror.mode = 'of': expected online or offline"),
        (MIRROR + ASKS + "writes = 'mirror'", "members and writes belong to groups only"),
        (MIRROR + ASKS + "upstream = 'x'", "there is no such setting; did you mean upstreams?"),
        ("[repositories.a]\nformat = 'pypi'\n" + ASKS, "upstreams and mode belong to proxies only"),
        ("[repositories.a]\nformat = 'pypi'\nmode = 'offline'", "upstreams and mode belong to proxies only"),
        ("[repositories.docker]\nmode = 'offline'", "upstreams and mode belong to proxies only"),
        ("[repositories.docker-proxy]\nformat = 'docker'\nkind = 'proxy'\n" + ASKS, "there by default"),
        (
            "[repositories.a]\nformat = 'toy'\nkind = 'proxy'\n" + ASKS,
            'repositories.a.kind = "proxy": toy cannot be a proxy in this version',
        ),
        (
            MIRROR + ASKS + GROUP + "members = ['mirror']",
            "repositories.g.members: a group with a proxy needs a hosted member",
        ),
        (
            MIRROR + ASKS + GROUP + "writes = 'mirror'\nmembers = ['mirror', 'pypi-hosted']",
            'writes = "mirror": nothing is written to a proxy; expected a hosted member',
        ),
        (
            PREFIXED + "[repositories.team]\nformat = 'docker'",
            'repositories.docker-proxy: the prefix "team" is the name of a repository',
        ),
        ("docker.upstreams = [{ url = 'https://a', prefix = 'blobs' }]", "expected a prefix"),
        ("docker.upstreams = [{ url = 'https://a', prefix = 'a/b' }]", "expected a prefix"),
        ("docker.upstreams = ['https://a||x', 'https://b||x']", "each prefix once"),
    ],
)
def test_a_proxy_that_cannot_be_stops_the_start(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refusal(tmp_path, text)


def test_no_message_has_credentials(tmp_path: Path) -> None:
    wrong = "upstreams = [{ url = 'ftp://a', auth = 'me:hunter2' }, 'ftp://b|me:hunter2']\n"
    text = refusal(tmp_path, f"{MIRROR}{wrong}auth = 'me:hunter2'\n", NORA_PYPI_PROXY_AUTH="hunter2")
    assert "hunter2" not in text


# -- what holds for all --------------------------------------------------------------------------------------


def test_names_are_reserved_by_patterns(tmp_path: Path) -> None:
    config = configured(tmp_path, NORA_PROXY_RESERVED="corp-*, @corp/*,com.corp.**", NORA_PROXY_EXTEND="a*")
    assert config.proxy.reserved == ("corp-*", "@corp/*", "com.corp.**")
    assert config.warnings == ()
    everything = configured(tmp_path, "proxy.extend = ['**']")
    assert "whoever uploads there can add files" in everything.warnings[0]
    for wrong in ("corp-[a-z]*", "corp-?", "a b", "^corp", "{a}", "a,,b"):
        with pytest.raises(ConfigError, match=r"proxy\.reserved|NORA_PROXY_RESERVED"):
            configured(tmp_path, NORA_PROXY_RESERVED=wrong)


def test_how_long_upstreams_may_take(tmp_path: Path) -> None:
    config = configured(tmp_path, "docker.proxy_timeout = 7", NORA_PROXY_READ_TIMEOUT="9")
    assert config.timeouts_of("docker") == Timeouts(connect=10, idle=60, total=7)
    assert config.timeouts_of("pypi") == Timeouts(connect=10, idle=9, total=30)
    assert config.timeouts_of("toy") == Timeouts(connect=10, idle=9, total=60)


def test_breakers_are_on_and_can_be_set_for_one_upstream(tmp_path: Path) -> None:
    assert Config().circuit_breaker.of("docker", "https://a") == Breaker(True, 5, 30)
    environ = {"NORA_CB_ENABLED": "false", "NORA_CB_THRESHOLD": "2", "NORA_CB_RESET_TIMEOUT": "1m"}
    text = (
        '[circuit_breaker.overrides."docker:https://a.example/"]\nenabled = true\nreset_timeout = "5s"\n'
        '[circuit_breaker.overrides."pypi:https://a.example"]\nfailure_threshold = 9'
    )
    config = configured(tmp_path, text, **environ)
    assert config.circuit_breaker.of("docker", "https://a.example") == Breaker(True, 2, 5)
    assert config.circuit_breaker.of("pypi", "https://a.example") == Breaker(False, 9, 60)
    assert config.circuit_breaker.of("pypi", "https://b.example") == Breaker(False, 2, 60)
    overrides = '{"docker:https://b.example": {"enabled": false}}'
    assert not configured(tmp_path, NORA_CB_OVERRIDES=overrides).circuit_breaker.overrides[0][1]["enabled"]
    for wrong in ("5", "{", '{"docker": {}}', '{"docker:x": {}}', '{"docker:http://x": {"on": 1}}'):
        with pytest.raises(ConfigError, match="NORA_CB_OVERRIDES"):
            configured(tmp_path, NORA_CB_OVERRIDES=wrong)


def test_what_is_always_done_cannot_be_switched_off(tmp_path: Path) -> None:
    config = configured(
        tmp_path, "server.proxy_coalesce = false\n", NORA_PYPI_REVALIDATE="false", NORA_PROXY_MODE="Offline"
    )
    assert config.warnings == (
        "server.proxy_coalesce = false is ignored: it is always done",
        "pypi.revalidate = false is ignored: it is always done",
    )
    assert configured(tmp_path, "server.proxy_coalesce = true").warnings == ()


def test_denying_by_default_is_not_ignored(tmp_path: Path) -> None:
    assert "does not run without a policy" in refusal(tmp_path, "docker.default_action = 'deny'")
    assert configured(tmp_path, "docker.default_action = 'allow'").warnings
