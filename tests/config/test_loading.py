from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from nora.config import Config, load, repository_specs
from nora.config.capabilities import CAPABILITIES, INSTEAD, planned
from nora.errors import ConfigError
from nora.formats import known_formats, load_config
from nora.formats.docker.settings import DockerSettings
from tests.config.formats import FORMATS

PROMISED_FILE = """
[server]
host = "0.0.0.0"
port = 4000
[storage]
mode = "local"
path = "data/storage"
[auth]
enabled = false
htpasswd_file = "users.htpasswd"
[docker]
proxy_timeout = 60
[[docker.upstreams]]
url = "https://registry.example.com"
[go]
proxy = "https://goproxy.example.com"
"""


def configured(directory: Path, text: str, **environ: str) -> Config:
    (directory / "config.toml").write_text(text)
    return load_config(environ, directory)


def refusal(directory: Path, text: str = "", **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(directory, text, **environ)
    return str(caught.value)


def test_without_file_and_environment_all_is_default(tmp_path: Path) -> None:
    config = load_config({}, tmp_path)
    assert (config.server.host, config.server.port, config.server.worker_count) == ("127.0.0.1", 4000, 1)
    assert (config.storage.mode, config.storage.path) == ("local", tmp_path / "data/storage")
    assert config.server.public_url is None
    assert config.warnings == ()
    assert config.file is None


def test_the_promised_file_starts(tmp_path: Path) -> None:
    config = configured(tmp_path, PROMISED_FILE)
    assert config.server.host == "0.0.0.0"
    assert [one.url for one in config.default_upstreams("docker")] == ["https://registry.example.com"]
    assert config.timeouts_of("docker").total == 60
    [warning] = config.warnings
    assert warning.startswith("AUTHENTICATION IS OFF and server.host = 0.0.0.0: whoever reaches")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    config = configured(tmp_path, "server.port = 5000\nlog.level = 'debug'", NORA_PORT="6000")
    assert config.server.port == 6000
    assert config.log.level == "debug"
    assert config.origins == {"server.port": "NORA_PORT", "log.level": str(tmp_path / "config.toml")}


def test_the_file_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("server.port = 5000")
    assert load_config({"NORA_CONFIG_PATH": "other.toml"}, tmp_path).server.port == 5000
    assert load_config({"NORA_CONFIG_PATH": str(tmp_path / "other.toml")}, Path("/")).server.port == 5000


def test_a_named_file_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="named by NORA_CONFIG_PATH"):
        load_config({"NORA_CONFIG_PATH": "absent.toml"}, tmp_path)


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe"])
def test_a_file_that_is_not_toml_stops_the_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config({}, tmp_path)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = refusal(tmp_path, "[server]\nprot = 1\nport = 'abc'\n", NORA_LOG_LEVEL="inof", NORA_WORKER="2")
    assert text.startswith(f"4 settings are wrong in {tmp_path / 'config.toml'} or the environment:")
    assert "server.prot: there is no such setting; did you mean server.port?" in text
    assert 'server.port = "abc": expected a whole number from 1 to 65535' in text
    assert 'NORA_LOG_LEVEL=inof: expected trace, debug, info, warn or error; did you mean "info"?' in text
    assert "NORA_WORKER: there is no such setting; did you mean NORA_WORKERS?" in text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("port = 1", "port: there is no such setting; did you mean server.port?"),
        ("[sever]\nport = 1", "[sever]: there is no such section; did you mean server?"),
        ("[storage]\nport = 1", "did you mean server.port?"),
        ("[server.tls]\ncert = 'x'", "[server.tls]: there is no such section"),
        ("server = 1", "server: there is no such setting"),
        ("[go]\nproxi = 'x'", "did you mean go.prox"),
        (
            "[repository.a]\nformat = 'docker'",
            "[repository]: there is no such section; did you mean repositories?",
        ),
    ],
)
def test_an_unknown_key_stops_the_start_with_the_nearest_name(tmp_path: Path, text: str, hint: str) -> None:
    assert hint in refusal(tmp_path, text)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "4e3", "4000.0", "true"])
def test_a_bad_port_stops_the_start(tmp_path: Path, port: str) -> None:
    assert f"NORA_PORT={port}: expected" in refusal(tmp_path, NORA_PORT=port)


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    config = configured(tmp_path, "server.port = 5000", NORA_PORT="", NORA_PUBLIC_URL="", NORA_NO_SUCH="")
    assert config.server.port == 5000
    assert config.server.public_url is None
    assert configured(tmp_path, "server.public_url = ''").server.public_url is None


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"NORA_STORAGE_MODE": "gcs"}, 'Set mode = "s3", s3_url = "https://storage.googleapis.com"'),
        ({"NORA_STORAGE_S3_ACCESS_KEY": "k"}, "storage.s3_secret_key: set both, or neither"),
        ({"NORA_STORAGE_BUCKET": "Registry"}, "expected 3 to 63 lower-case letters"),
        ({"NORA_AUTH_OIDC_ENABLED": "1"}, "does not run open instead"),
        ({"NORA_CURATION_MODE": "enforce"}, "does not run without a policy"),
        ({"NORA_CURATION_NPM_QUARANTINE": "enforce"}, "does not run without a policy"),
    ],
)
def test_what_would_be_unsafe_to_ignore_stops_the_start(
    tmp_path: Path, environ: dict[str, str], reason: str
) -> None:
    assert reason in refusal(tmp_path, **environ)


def test_an_unknown_storage_mode_stops_the_start(tmp_path: Path) -> None:
    assert 'expected local or s3; did you mean "local"?' in refusal(tmp_path, NORA_STORAGE_MODE="locl")


def test_known_settings_without_capability_warn_by_name(tmp_path: Path) -> None:
    env = {"NORA_SECRETS_CLEAR_ENV": "true", "NORA_NUGET_PROXY": "x"}
    config = configured(tmp_path, "[curation]\nmode = 'off'", **env)
    assert config.warnings == (
        "[curation] mode: not available in this version, ignored",
        "NORA_NUGET_PROXY: not available in this version, ignored",
        "NORA_SECRETS_CLEAR_ENV: not available in this version, ignored",
    )


def test_sizes_in_megabytes_keep_their_old_names(tmp_path: Path) -> None:
    config = configured(tmp_path, "server.body_limit_mb = 10", NORA_MAX_UPLOAD_SESSION_SIZE_MB="2048")
    assert config.server.body_limit == 10 * 2**20
    assert config.of_format(DockerSettings).max_upload_size == 2**31
    assert "expected a number of MiB" in refusal(tmp_path, NORA_BODY_LIMIT_MB="1GiB")


def test_a_setting_under_two_names_stops_the_start(tmp_path: Path) -> None:
    assert "set twice" in refusal(tmp_path, "[server]\nbody_limit = 1\nbody_limit_mb = 1")
    assert "set twice" in refusal(tmp_path, NORA_BODY_LIMIT="1", NORA_BODY_LIMIT_MB="1")
    assert configured(tmp_path, "server.body_limit_mb = 1", NORA_BODY_LIMIT="1").server.body_limit == 1


def test_variables_of_kubernetes_services_are_no_settings(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        "",
        NORA_PORT="tcp://10.0.0.1:4000",
        NORA_SERVICE_HOST="10.0.0.1",
        NORA_SERVICE_PORT_HTTP="4000",
        NORA_PORT_4000_TCP_ADDR="10.0.0.1",
        NORA_CACHE_PORT="tcp://10.0.0.2:80",
    )
    assert config.server.port == 4000
    assert config.warnings == ("NORA_PORT=tcp://10.0.0.1:4000: describes a Kubernetes Service, ignored",)


def test_secrets_do_not_appear_in_messages(tmp_path: Path) -> None:
    text = refusal(
        tmp_path,
        "[storage]\ns3_secret_kee = 'hunter2'\n[server]\npublic_url = 'https://me:hunter2@h'\n",
        NORA_DOCKER_UPSTREAMS="ftp://a|me:hunter2",
        NORA_AUTH_PASSWORD="hunter2",
    )
    assert text.startswith("4 settings")
    assert "hunter2" not in text


def test_tls_needs_both_files(tmp_path: Path) -> None:
    assert "set both, or neither" in refusal(tmp_path, NORA_TLS_CERT=__file__)
    text = refusal(tmp_path, NORA_TLS_CERT=__file__, NORA_TLS_KEY="absent.pem")
    assert f'server.tls_key = "{tmp_path / "absent.pem"}": there is no such file' in text
    assert load_config(
        {"NORA_TLS_CERT": __file__, "NORA_TLS_KEY": __file__}, tmp_path
    ).server.tls_cert == Path(__file__)


def test_other_systems_run_one_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    config = load_config({"NORA_WORKERS": "4"}, tmp_path)
    assert config.server.worker_count == 1
    assert config.warnings == ("server.workers = 4: this system runs 1",)


def test_the_configuration_travels_to_other_processes(tmp_path: Path) -> None:
    config = configured(tmp_path, PROMISED_FILE + "[repositories.team]\nformat = 'docker'")
    assert pickle.loads(pickle.dumps(config)) == config


def test_every_name_is_declared_once(tmp_path: Path) -> None:
    names = [name for one in load_config({}, tmp_path).settings for name in one.names]
    names += planned(known_formats())
    assert sorted(names) == sorted(set(names))


def test_what_waits_waits_for_a_known_capability(tmp_path: Path) -> None:
    waits = planned(known_formats()).values()
    settings = load_config({}, tmp_path).settings
    assert {one.needs for one in waits} <= {name for name, there in CAPABILITIES.items() if not there}
    assert {one.declaration.needs for one in settings} - {None} <= set(CAPABILITIES)
    stopping = {one.needs for one in waits if one.stops is not None}
    stopping |= {one.declaration.needs for one in settings if one.declaration.stops is not None}
    assert stopping <= set(INSTEAD)


def test_without_the_formats_only_what_is_known_is_read(tmp_path: Path) -> None:
    """`nora health` asks for the port, and must not wait until every format is imported."""
    (tmp_path / "config.toml").write_text(
        "[docker]\nupstreams = []\n[server]\nport = 5000\nprot = 1\n[registries]\nenable = ['toy']"
    )
    assert load({"NORA_PYPI_PROXY": "x", "NORA_X": "y"}, tmp_path, None).server.port == 5000
    with pytest.raises(ConfigError, match="NORA_PORT"):
        load({"NORA_PORT": "x"}, tmp_path, None)


# -- registries.enable ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "environ", "served"),
    [
        ("", {}, ["docker", "pypi", "toy"]),
        ("registries.enable = ['docker', 'toy']", {}, ["docker", "toy"]),
        ("registries.enable = 'pypi'", {}, ["pypi"]),
        ("registries.enable = 'all'", {}, ["docker", "pypi", "toy"]),
        ("registries.enable = ['all', '-docker']", {}, ["pypi", "toy"]),
        ("registries.enable = ['docker']", {"NORA_REGISTRIES_ENABLE": "all,-toy"}, ["docker", "pypi"]),
        ("registries.enable = 'toy'\ntoy.enabled = false", {"NORA_DOCKER_ENABLED": "1"}, ["toy"]),
        ("", {"NORA_DOCKER_ENABLED": "false"}, ["pypi", "toy"]),
    ],
)
def test_the_formats_to_serve_are_chosen(
    tmp_path: Path, text: str, environ: dict[str, str], served: list[str]
) -> None:
    (tmp_path / "config.toml").write_text(text)
    config = load(environ, tmp_path, FORMATS)
    assert [name for name, one in config.formats.items() if one.enabled] == served
    assert list(dict.fromkeys(spec.format for spec in repository_specs(config))) == served


def test_a_choice_that_says_otherwise_than_a_format_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("registries.enable = ['toy', 'npm']\ntoy.enabled = false")
    assert load({"NORA_PYPI_ENABLED": "true"}, tmp_path, FORMATS).warnings == (
        "registries.enable has npm: not available in this version, ignored",
        "pypi.enabled is ignored: registries.enable says which formats are served",
        "toy.enabled is ignored: registries.enable says which formats are served",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("['dokcer']", "registries.enable has dokcer: there is no such format; did you mean docker?"),
        ("['-toy']", "registries.enable has -toy: expected that only beside all"),
        ("['all', 'toy']", "registries.enable has toy: all has it already"),
        ("['-all']", "there is no such format"),
        ("[]", "registries.enable: expected at least one format"),
    ],
)
def test_a_choice_that_cannot_be_stops_the_start(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "config.toml").write_text(f"registries.enable = {text}")
    with pytest.raises(ConfigError) as caught:
        load({}, tmp_path, FORMATS)
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["NORA_BIN", "NORA_HOME", "NORA_VERSION", "NORA_IMAGE_TAG"])
def test_a_variable_that_resembles_no_setting_is_ignored_with_a_warning(name: str, tmp_path: Path) -> None:
    """Scripts have variables of their own."""
    config = load({name: "/usr/bin/nora"}, tmp_path, known_formats())
    assert [line for line in config.warnings if name in line] == [
        f"{name}: there is no such setting, ignored"
    ]


@pytest.mark.parametrize(
    "name",
    [
        "NORA_PROT",
        "NORA_HOTS",
        "NORA_WORKER",
        "NORA_AUTH",
        "NORA_AUTH_REQUIRED",
        "NORA_AUTHENABLED",
        "NORA_SERVER_PORT",
        "NORA_DOCKER_MIRROR",
        "NORA_NPM_MIRROR",
        "NORA_STORAGE",
        "NORA_PUBLICURL",
    ],
)
def test_a_variable_that_resembles_a_setting_stops(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{name}: there is no such setting"):
        load({name: "1"}, tmp_path, known_formats())


def test_collection_has_its_promised_names(tmp_path: Path) -> None:
    file = "[gc]\nenabled = true\ninterval = 3600\ndry_run = true\ngrace_secs = 60\nproxy_cache_max_bytes = 5"
    config = configured(tmp_path, file)
    assert (config.gc.enabled, config.gc.interval, config.gc.dry_run, config.gc.grace) == (
        True,
        3600,
        True,
        60,
    )
    assert config.cache.max_size == 5
    assert len(config.warnings) == 1, "of the name that is another section's by now"
    config = configured(tmp_path, "", NORA_GC_GRACE="2h", NORA_GC_PROXY_CACHE_MAX_BYTES="1MiB")
    assert (config.gc.grace, config.cache.max_size, config.warnings) == (7200, 2**20, ())
