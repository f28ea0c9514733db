from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nora.cli.check_config import command
from nora.formats import discover


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    def run(*args: str, **environ: str) -> Result:
        cleared = {name: None for name in __import__("os").environ if name.startswith("NORA_")}
        return CliRunner().invoke(command, args, env={**cleared, **environ})

    return run


def test_it_prints_toml_and_warns_on_standard_error(check) -> None:  # type: ignore[no-untyped-def]
    result = check(NORA_GEMS_PROXY="https://me:hunter2@gems.example.com", NORA_PORT="5000")
    assert result.exit_code == 0
    assert tomllib.loads(result.stdout)["server"]["port"] == 5000
    assert result.stderr == "warning: NORA_GEMS_PROXY: not available in this version, ignored\n"
    assert "hunter2" not in result.output


def test_it_prints_json(check, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "config.toml").write_text("[repositories.team]\nformat = 'docker'")
    shown = json.loads(check("--json", NORA_PORT="5000").stdout)
    assert shown["settings"]["server.port"] == {"value": 5000, "origin": "NORA_PORT"}
    assert shown["file"] == str(tmp_path / "config.toml")
    formats = [one.name for one in discover()]
    proxied = [one.name for one in discover() if one.can_proxy and one.default_upstreams()]
    defaults = [
        f"{name}{kind}"
        for name in formats
        for kind in ("-hosted", "-proxy", "")
        if kind != "-proxy" or name in proxied
    ]
    assert shown["repositories"] == [*defaults, "team"]
    assert [*shown["proxies"]] == [f"{name}-proxy" for name in proxied]


def test_it_shows_whom_proxies_ask_without_credentials(check, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "secret").write_text("me:hunter2")
    (tmp_path / "config.toml").write_text(
        "[repositories.mirror]\nformat = 'docker'\nkind = 'proxy'\nupstreams = [\n"
        "{ url = 'https://a.example', auth = 'me:hunter2' },\n"
        "{ url = 'https://b.example', auth_file = 'secret', prefix = 'b' }]\n"
    )
    environ = {"NORA_PROXY_MODE": "offline", "NORA_PYPI_PROXY": "https://c.example/simple"}
    environ["NORA_PYPI_PROXY_AUTH"] = "me:hunter2"
    text, document = check(**environ).output, check("--json", **environ).output
    assert "hunter2" not in text + document
    assert (
        '# mirror is offline and asks [{ url = "https://a.example", auth = "***" }, '
        '{ url = "https://b.example", auth_file = "secret", prefix = "b" }]\n'
    ) in text
    shown = json.loads(document)
    assert shown["proxies"]["mirror"]["mode"] == "offline"
    assert shown["declared_repositories"]["mirror"]["upstreams"][0]["auth"] == "***"
    assert shown["settings"]["pypi.proxy_auth"]["value"] == "***"


@pytest.mark.parametrize("text", ["server.prot = 1", "[repositories.team]\nformat = 'dokcer'"])
def test_it_ends_with_1_when_the_server_would_not_start(check, tmp_path: Path, text: str) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "config.toml").write_text(text)
    result = check()
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "did you mean" in result.stderr


def test_it_warns_of_the_files_that_access_rests_on(check, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    result = check(NORA_AUTH_ENABLED="true")
    assert result.exit_code == 0
    assert f"warning: {tmp_path}/users.htpasswd: there is no such file" in result.stderr
    (warning,) = json.loads(check("--json", NORA_AUTH_ENABLED="true").stdout)["warnings"]
    assert "there is no such file" in warning
