"""The settings of access: what is read, what is safe by default, what is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from nora.errors import ConfigError
from nora.formats import discover, load_config
from nora.serving import access_rules


def rules(directory: Path, text: str = "", **environ: str) -> dict[str, object]:
    (directory / "config.toml").write_text(text)
    off = {f"NORA_{one.name.upper()}_ENABLED": "false" for one in discover() if one.name != "docker"}
    found = access_rules(load_config({**off, **environ}, directory))
    return {
        "enabled": found.enabled,
        "administration": found.open_administration,
        "anonymous": sorted(found.anonymous_read),
    }


def test_by_default_nobody_is_asked_and_only_this_machine_administrates(tmp_path: Path) -> None:
    assert rules(tmp_path) == {"enabled": False, "administration": True, "anonymous": []}
    open_rules = rules(tmp_path, NORA_HOST="0.0.0.0")
    assert open_rules["administration"] is False
    allowed = rules(tmp_path, NORA_HOST="0.0.0.0", NORA_AUTH_ALLOW_ANONYMOUS_ADMIN="true")
    assert allowed["administration"] is True


def test_an_open_server_warns_loudly(tmp_path: Path) -> None:
    (warning,) = load_config({"NORA_HOST": "::"}, tmp_path).warnings
    assert warning.startswith(
        "AUTHENTICATION IS OFF and server.host = ::: whoever reaches this address may push;"
    )
    (warning,) = load_config({"NORA_HOST": "::", "NORA_AUTH_ALLOW_ANONYMOUS_ADMIN": "1"}, tmp_path).warnings
    assert "push, delete and administrate" in warning
    (warning,) = load_config({"NORA_HOST": "::", "NORA_AUTH_ENABLED": "true"}, tmp_path).warnings
    assert "AUTHENTICATION" not in warning


def test_anonymous_read_is_said_for_all_or_for_each(tmp_path: Path) -> None:
    named = "[repositories.public]\nformat = 'docker'\n"
    assert rules(tmp_path, named, NORA_AUTH_ANONYMOUS_READ="true")["anonymous"] == [
        "docker",
        "docker-hosted",
        "docker-proxy",
        "public",
    ]
    assert rules(tmp_path, named + "anonymous_read = true")["anonymous"] == ["public"]
    closed = "auth.anonymous_read = true\n" + named + "anonymous_read = false"
    assert rules(tmp_path, closed)["anonymous"] == ["docker", "docker-hosted", "docker-proxy"]
    default = "[repositories.docker]\nanonymous_read = true"
    assert rules(tmp_path, default)["anonymous"] == ["docker"]


def test_a_group_is_no_way_around_a_member(tmp_path: Path) -> None:
    text = (
        "[repositories.secret]\nformat = 'docker'\nanonymous_read = false\n"
        "[repositories.all]\nformat = 'docker'\nkind = 'group'\nmembers = ['secret', 'docker-hosted']\n"
    )
    environ = {"NORA_AUTH_ANONYMOUS_READ": "true"}
    assert rules(tmp_path, text, **environ)["anonymous"] == ["docker", "docker-hosted", "docker-proxy"]
    said = rules(tmp_path, text + "anonymous_read = true", **environ)
    assert said["anonymous"] == ["all", "docker", "docker-hosted", "docker-proxy"]
    hosted = "[repositories.docker-hosted]\nanonymous_read = false"
    assert rules(tmp_path, hosted, **environ)["anonymous"] == ["docker-proxy"]


def test_the_old_name_for_docker(tmp_path: Path) -> None:
    assert rules(tmp_path, NORA_AUTH_DOCKER_ANON_PULL="true")["anonymous"] == [
        "docker",
        "docker-hosted",
        "docker-proxy",
    ]
    environ = {"NORA_AUTH_DOCKER_ANON_PULL": "false", "NORA_AUTH_ANONYMOUS_READ": "true"}
    assert rules(tmp_path, **environ)["anonymous"] == []
    assert "deprecated" in load_config(environ, tmp_path).warnings[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[repositories.docker]\nformat = 'docker'\nanonymous_read = true", "there by default"),
        ("[repositories.x]\nanonymous_read = true", "x.format"),
        ("[repositories.x]\nformat = 'docker'\nanonymous_read = 1", "expected true or false"),
    ],
)
def test_what_cannot_be_said_of_a_repository(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        rules(tmp_path, text)


def test_roles_of_users(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        "[auth]\nadmin_users = ['root', 'both']\nroles = { bob = 'read', eve = 'admin', both = 'read' }"
    )
    config = load_config({}, tmp_path)
    roles = {name: config.auth.role_of(name) for name in ("alice", "bob", "eve", "root", "both", "Root")}
    expected = {"alice": "write", "bob": "read", "eve": "admin", "root": "admin", "both": "admin"}
    assert roles == {**expected, "Root": "write"}
    assert "both" in config.warnings[0]
    assert load_config({"NORA_AUTH_ROLES": "bob=read,eve=admin"}, tmp_path).auth.role_of("eve") == "admin"
    for wrong in ("bob", "bob=root", "=read", "bob=read,,"):
        with pytest.raises(ConfigError, match="the roles are read, write and admin"):
            load_config({"NORA_AUTH_ROLES": wrong}, tmp_path)


def test_proxies_that_are_trusted(tmp_path: Path) -> None:
    assert load_config({}, tmp_path).auth.trusted_proxies == ("127.0.0.1", "::1")
    config = load_config({"NORA_AUTH_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8,192.0.2.1"}, tmp_path)
    assert config.auth.trusted_proxies == ("10.0.0.0/8", "fd00::/8", "192.0.2.1")
    for wide in ("0.0.0.0/0", "::/0"):
        assert (
            "every client may say" in load_config({"NORA_AUTH_TRUSTED_PROXIES": wide}, tmp_path).warnings[0]
        )
    for wrong in ("10.0.0.0/33", "proxy.example.com", "10.0.0.0/8;fd00::/8"):
        with pytest.raises(ConfigError, match="addresses and networks"):
            load_config({"NORA_AUTH_TRUSTED_PROXIES": wrong}, tmp_path)
    (tmp_path / "config.toml").write_text("auth.trusted_proxies = []")
    assert load_config({}, tmp_path).auth.trusted_proxies == ()


def test_settings_of_tokens_in_files_are_ignored_with_a_warning(tmp_path: Path) -> None:
    environ = {"NORA_AUTH_TOKEN_STORAGE": "data/tokens", "NORA_AUTH_TOKEN_CACHE_TTL": "300"}
    warnings = load_config(environ, tmp_path).warnings
    assert [line.split(" is ignored: ")[0] for line in warnings] == [
        "auth.token_storage",
        "auth.token_cache_ttl",
    ]


# -- values in files -----------------------------------------------------------------------------------------


def test_a_value_may_be_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "upstreams"
    secret.write_text("https://a.example|me:s3cret\r\n")
    config = load_config({"NORA_DOCKER_UPSTREAMS_FILE": str(secret)}, tmp_path)
    assert config.default_upstreams("docker")[0].auth == "me:s3cret"
    assert config.origins == {"docker.upstreams": "NORA_DOCKER_UPSTREAMS_FILE"}
    assert "s3cret" not in repr(config)


def test_a_file_of_a_setting_is_not_the_value_of_another(tmp_path: Path) -> None:
    config = load_config({"NORA_AUTH_HTPASSWD_FILE": "elsewhere"}, tmp_path)
    assert config.auth.htpasswd_file == tmp_path / "elsewhere"


def test_a_value_is_given_once(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("5000\n")
    assert load_config({"NORA_PORT_FILE": str(tmp_path / "port")}, tmp_path).server.port == 5000
    with pytest.raises(ConfigError, match=r"server\.port is set twice"):
        load_config({"NORA_PORT_FILE": str(tmp_path / "port"), "NORA_PORT": "6000"}, tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "cannot be read: No such file"), (b"\xff\xfe", "is not UTF-8"), (b"x", "a whole number")],
)
def test_a_file_without_a_value_stops_the_start(tmp_path: Path, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / "port").write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        load_config({"NORA_PORT_FILE": str(tmp_path / "port")}, tmp_path)


def test_a_file_for_no_setting_is_refused_and_one_that_waits_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such setting"):
        load_config({"NORA_PROT_FILE": "x"}, tmp_path)
    (warning,) = load_config({"NORA_CURATION_BYPASS_TOKEN_FILE": "x"}, tmp_path).warnings
    assert "not available in this version" in warning


def test_passwords_over_plain_http_are_told(tmp_path: Path) -> None:
    open_to_all = {"NORA_HOST": "0.0.0.0", "NORA_AUTH_ENABLED": "true"}
    (found,) = (line for line in load_config(open_to_all, tmp_path).warnings if "TLS" in line)
    assert "NORA_TLS_CERT" in found
    assert "NORA_PUBLIC_URL" in found
    for other in ({"NORA_PUBLIC_URL": "https://nora.example"}, {"NORA_HOST": "127.0.0.1"}):
        assert not any("TLS" in line for line in load_config(open_to_all | other, tmp_path).warnings)
