from __future__ import annotations

import tomllib
from pathlib import Path

from nora.config.describe import effective, render_toml, toml_value
from nora.config.secrets import hide, is_secret
from nora.formats import load_config


def test_the_effective_configuration_is_a_file_that_means_the_same(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        "[docker]\nimmutable_tags = ['v*']\n[repositories.\"a.b\"]\nformat = 'docker'\n[repositories.c]\n"
        "format = 'docker'\nkind = 'group'\nmembers = ['a.b']\n"
        "[repositories.docker]\nmembers = ['docker-hosted', 'a.b']\nwrites = 'a.b'\n"
    )
    config = load_config({"NORA_PUBLIC_URL": "https://r.example.com", "NORA_WORKERS": "auto"}, tmp_path)
    (tmp_path / "config.toml").write_text(render_toml(config))
    again = load_config({}, tmp_path)
    for section in ("server", "storage", "cache", "log", "auth", "formats", "repositories"):
        assert getattr(again, section) == getattr(config, section)


def test_each_value_has_its_origin(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("server.port = 5000")
    shown = effective(load_config({"NORA_HOST": "::1"}, tmp_path))
    assert shown["server.host"] == {"value": "::1", "origin": "NORA_HOST"}
    assert shown["server.port"] == {"value": 5000, "origin": str(tmp_path / "config.toml")}
    assert shown["docker.upload_ttl"] == {"value": "1h", "origin": "default"}


def test_credentials_of_upstreams_are_hidden(tmp_path: Path) -> None:
    text = render_toml(load_config({"NORA_DOCKER_UPSTREAMS": "https://a.example|me:hunter2|a"}, tmp_path))
    assert 'upstreams = [{ url = "https://a.example", auth = "***", prefix = "a" }]' in text
    assert "hunter2" not in text


def test_no_representation_has_credentials(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        "[repositories.a]\nformat = 'pypi'\nkind = 'proxy'\n"
        "upstreams = [{ url = 'https://b.example', auth = 'me:hunter2' }]\n"
    )
    env = {
        "NORA_DOCKER_UPSTREAMS": "https://a.example|me:hunter2",
        "NORA_PYPI_PROXY": "https://b.example/simple",
        "NORA_PYPI_PROXY_AUTH": "me:hunter2",
    }
    config = load_config(env, tmp_path)
    assert config.upstreams_of("pypi-proxy")[0].auth == "me:hunter2"
    assert "hunter2" not in repr(config)


def test_hiding_keeps_what_is_no_secret() -> None:
    assert hide("x", "https://me:pw@h/p") == "https://***@h/p"
    assert hide("x", "https://me:p@w/d@h/p") == "https://***@h/p"
    assert hide("x", "https://h|me:pw,https://i") == "https://h|***"
    assert hide("x", ["https://me:pw@h", 1, True]) == ["https://***@h", 1, True]
    assert hide("x", {"auth": "me:pw", "url": "u"}) == {"auth": "***", "url": "u"}
    assert hide("storage.s3_secret_key", "abc") == "***"
    assert hide("NORA_GO_PROXY_AUTH", "abc") == "***"
    assert not is_secret("auth.htpasswd_file")
    assert not is_secret("server.tls_key")
    assert not is_secret("auth.token_storage")


def test_a_text_with_special_characters_is_valid_toml() -> None:
    text = 'quote " backslash \\ newline \n delete \x7f snowman ☃'
    assert tomllib.loads(f"x = {toml_value(text)}") == {"x": text}
