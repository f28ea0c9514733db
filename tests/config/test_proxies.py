"""Settings of proxies: whom they ask, in which mode, for which names, and what is said about it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from nora.config import (
    Config,
    FormatSection,
    KnownFormats,
    ProxiedSettings,
    Timeouts,
    Upstream,
    load,
    repository_specs,
)
from nora.config.describe import proxies, render_toml
from nora.config.proxy import Breaker
from nora.errors import ConfigError
from nora.model import RepositorySpec
from tests.config.formats import FORMATS, PUBLIC

MIRROR = "[repositories.mirror]\nformat = 'pypi'\nkind = 'proxy'\n"
ASKS = "upstreams = ['https://a.example/simple']\n"
GROUP = "[repositories.g]\nformat = 'pypi'\nkind = 'group'\n"
PREFIXED = "docker.upstreams = [{ url = 'https://a', prefix = 'team' }]\n"


def configured(directory: Path, text: str = "", **environ: str) -> Config:
    (directory / "config.toml").write_text(text)
    return load(environ, directory, FORMATS)


def specs(config: Config) -> dict[str, RepositorySpec]:
    return {one.name: one for one in repository_specs(config)}


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
    assert config.upstreams_of("docker-proxy") == config.upstreams_of("pypi-proxy") == PUBLIC
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
    assert load({}, tmp_path, FORMATS).formats == config.formats


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


@pytest.mark.parametrize("name", ["docker", "pypi"])
def test_every_format_names_its_sources_in_the_same_ways(tmp_path: Path, name: str) -> None:
    upper = name.upper()
    both = "https://a.example/x|me:pass:word,http://localhost:5000"
    expected = (Upstream("https://a.example/x", auth="me:pass:word"), Upstream("http://localhost:5000"))
    tables = "[{ url = 'https://a.example/x/', auth = 'me:pass:word' }, 'http://localhost:5000']"
    for text, environ in (
        ("", {f"NORA_{upper}_UPSTREAMS": both}),
        ("", {f"NORA_{upper}_PROXIES": both}),
        (f"{name}.upstreams = {tables}", {}),
        (f"{name}.proxies = {tables}", {}),
    ):
        assert configured(tmp_path, text, **environ).upstreams_of(f"{name}-proxy") == expected
    for text, environ in (
        (f"{name}.upstreams = []\n{name}.proxies = []", {}),
        ("", {f"NORA_{upper}_UPSTREAMS": both, f"NORA_{upper}_PROXIES": both}),
    ):
        assert "set twice" in refusal(tmp_path, text, **environ)
    one = {f"NORA_{upper}_PROXY": "https://a.example/simple/", f"NORA_{upper}_PROXY_AUTH": "me:secret"}
    config = configured(tmp_path, **one)
    assert config.upstreams_of(f"{name}-proxy") == (Upstream("https://a.example/simple", auth="me:secret"),)
    several = configured(tmp_path, **one, **{f"NORA_{upper}_PROXIES": both})
    assert several.upstreams_of(f"{name}-proxy") == expected
    assert f"{name}.proxy is ignored: upstreams says whom to ask" in several.warnings
    assert f"{name}.proxy_auth: set proxy as well" in refusal(tmp_path, "", **dict([[*one.items()][1]]))


def test_a_variable_says_more_than_the_file_whichever_way_the_sources_are_named(tmp_path: Path) -> None:
    upstreams, proxy = "pypi.upstreams = ['https://a.example']\n", "pypi.proxy = 'https://a.example'\n"
    for text, environ in (
        (upstreams, {"NORA_PYPI_PROXY": "https://b.example"}),
        (proxy + "pypi.proxy_auth = 'me:s'", {"NORA_PYPI_UPSTREAMS": "https://b.example"}),
    ):
        config = configured(tmp_path, text, **environ)
        assert config.upstreams_of("pypi-proxy") == (Upstream("https://b.example"),)
        assert config.warnings == ()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("pypi.upstream = 'x'", "pypi.upstream: there is no such setting; did you mean pypi.upstreams?"),
        ("pypi.proxie = 'x'", "did you mean pypi.prox"),
        ("pypi.remote_url = 'x'", "pypi.remote_url: there is no such setting; did you mean pypi.upstreams?"),
        ("docker.mirrors = []", "did you mean docker.upstreams?"),
        ("toy.proxies = []", "toy.proxies: there is no such setting"),
    ],
)
def test_other_words_for_sources_get_the_right_one(tmp_path: Path, text: str, hint: str) -> None:
    assert hint in refusal(tmp_path, text)


def test_the_url_of_a_source_has_no_credentials(tmp_path: Path) -> None:
    for text, environ in (
        ("pypi.upstreams = ['https://me:hunter2@a.example']", {}),
        ("pypi.proxy = 'https://me:hunter2@a.example'", {}),
        ("", {"NORA_DOCKER_UPSTREAMS": "https://me:hunter2@a.example"}),
        ("", {"NORA_PYPI_PROXY": "https://me:h u,nter2@a.example"}),
    ):
        found = refusal(tmp_path, text, **environ)
        assert "use username and password (or auth_file)" in found
        assert "nter2" not in found


# -- named proxies -------------------------------------------------------------------------------------------


def test_a_named_proxy_asks_in_order(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("me:secret\n")
    table = f"{{ url = 'https://b.example', auth_file = '{tmp_path}/credentials' }}"
    config = configured(
        tmp_path,
        f"{MIRROR}upstreams = ['https://a.example/simple/', {table}, {{ url = 'http://c', auth = 'u:p' }}]",
    )
    sources = ("https://a.example/simple", "https://b.example", "http://c")
    assert specs(config)["mirror"] == RepositorySpec("mirror", "pypi", "proxy", sources=sources)
    first, second, third = config.upstreams_of("mirror")
    assert (first.url, first.auth) == ("https://a.example/simple", None)
    assert (second.auth, third.auth) == ("me:secret", "u:p")
    text = render_toml(config)
    assert "me:secret" not in text + repr(config)
    assert f'auth_file = "{tmp_path}/credentials"' in text
    hidden = tomllib.loads(text)["repositories"]["mirror"]["upstreams"]
    assert hidden[2] == {"url": "http://c", "auth": "***"}
    shown = proxies(config, repository_specs(config))
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
        (
            MIRROR + ASKS + "proxy = 'x'",
            "mirror.proxy: there is no such setting; did you mean upstreams?",
        ),
        (MIRROR + ASKS + "remote_url = 'x'", "there is no such setting; did you mean upstreams?"),
        ("[repositories.a]\nformat = 'pypi'\n" + ASKS, "upstreams and mode belong to proxies only"),
        ("[repositories.a]\nformat = 'pypi'\nmode = 'offline'", "upstreams and mode belong to proxies only"),
        ("[repositories.docker]\nmode = 'offline'", "upstreams and mode belong to proxies only"),
        (
            "[repositories.docker-proxy]\nformat = 'docker'\nkind = 'proxy'\n" + ASKS,
            "repositories.docker-proxy: say whom it asks as docker.upstreams",
        ),
        (
            "[repositories.a]\nformat = 'toy'\nkind = 'proxy'\n" + ASKS,
            'repositories.a.kind = "proxy": toy cannot be a proxy in this version',
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
        (
            "pypi.upstreams = ['default', 'https://public.example']",
            'repositories.pypi-proxy: "default" is one of its other upstreams',
        ),
    ],
)
def test_a_proxy_that_cannot_be_stops_the_start(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refusal(tmp_path, text)


def test_default_among_the_sources_is_the_public_registry(tmp_path: Path) -> None:
    said = "[{ url = 'default', names = ['a-*'] }, 'https://b']\n"
    config = configured(
        tmp_path,
        f"pypi.upstreams = {said}{MIRROR}upstreams = {said}",
        NORA_DOCKER_UPSTREAMS="https://a|u:p,default|me:p,https://b",
    )
    for name in ("mirror", "pypi-proxy"):
        first, second = config.upstreams_of(name)
        assert (first.url, first.names, second.url) == (PUBLIC[0].url, ("a-*",), "https://b")
    assert [(one.url, one.auth) for one in config.upstreams_of("docker-proxy")] == [
        ("https://a", "u:p"),
        (PUBLIC[0].url, "me:p"),
        ("https://b", None),
    ]


def test_default_needs_a_public_registry(tmp_path: Path) -> None:
    known = KnownFormats((FormatSection(name="toy", title="Toy", settings=ProxiedSettings, can_proxy=True),))
    config = load({"NORA_TOY_UPSTREAMS": "https://a,default"}, tmp_path, known)
    with pytest.raises(ConfigError, match='"default": Toy has no public registry; expected a URL'):
        repository_specs(config)


def test_no_message_has_credentials(tmp_path: Path) -> None:
    wrong = "upstreams = [{ url = 'ftp://a', auth = 'me:hunter2' }, 'ftp://b|me:hunter2']\n"
    text = refusal(tmp_path, f"{MIRROR}{wrong}auth = 'me:hunter2'\n", NORA_PYPI_PROXY_AUTH="hunter2")
    assert "hunter2" not in text


def test_a_group_of_proxies_only_is_read_only(tmp_path: Path) -> None:
    config = configured(tmp_path, MIRROR + ASKS + GROUP + "members = ['mirror', 'pypi-proxy']")
    assert specs(config)["g"] == RepositorySpec("g", "pypi", "group", ("mirror", "pypi-proxy"), None)


INTERNAL = "[repositories.internal]\nformat = 'pypi'\n"
DEFAULT = "[repositories.pypi]\nmembers = "


@pytest.mark.parametrize(
    ("said", "members", "target"),
    [
        ("['pypi-hosted', 'internal', 'pypi-proxy']", 3, "pypi-hosted"),
        ("['internal', 'pypi-hosted', 'pypi-proxy']\nwrites = 'internal'", 3, "internal"),
        ("['internal']", 1, None),
    ],
)
def test_a_default_group_is_extended_by_named_members(
    tmp_path: Path, said: str, members: int, target: str | None
) -> None:
    found = specs(configured(tmp_path, f"{INTERNAL}{DEFAULT}{said}"))["pypi"]
    assert (found.kind, len(found.members), found.target) == ("group", members, target)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DEFAULT + "[]", "repositories.pypi.members: a group needs at least one"),
        (DEFAULT + "['absent']", 'repositories.pypi.members: there is no repository "absent"'),
        (DEFAULT + "['docker-hosted']", '"docker-hosted" is of format docker, not pypi'),
        (DEFAULT + "['pypi-hosted']\nwrites = 'pypi-proxy'", "expected one of its members"),
        (DEFAULT + "['pypi-proxy']\nwrites = 'pypi-proxy'", "nothing is written to a proxy"),
        ("[repositories.pypi]\nwrites = 'pypi-hosted'", "repositories.pypi.writes: say its members as well"),
        ("[repositories.pypi-proxy]\nmembers = ['pypi']", "members and writes belong to groups only"),
    ],
)
def test_a_default_group_that_cannot_be_stops_the_start(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refusal(tmp_path, text)
    assert "hunter2" not in refusal(tmp_path, "", NORA_PYPI_PROXY_AUTH_FILE="me:hunter2")
    for odd in ("me:h,unter2", "me:h unter2", "me:h'unter2", 'me:h"unter2', "me:h@unter2", "me:h|unter2"):
        for upstreams in (f"ftp://a.example|{odd}", f"https://a.example|{odd}|A", f"https://{odd}@a.example"):
            found = refusal(tmp_path, "", NORA_DOCKER_UPSTREAMS=upstreams)
            assert "NORA_DOCKER_UPSTREAMS: " in found
            assert "unter2" not in found


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
    assert config.timeouts_of("docker") == Timeouts(connect=5, idle=60, total=7, answer=12)
    assert config.timeouts_of("pypi") == Timeouts(connect=5, idle=9, total=30, answer=12)
    assert config.timeouts_of("toy") == Timeouts(connect=5, idle=9, total=60, answer=12)


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
