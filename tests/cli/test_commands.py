from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import nora.cli.serve
from nora import __version__
from nora.cli import main
from nora.config import Config
from nora.errors import StartError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("arguments", [[], ["serve"]])
def test_nora_alone_and_nora_serve_run_the_server(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    served: list[Config] = []
    monkeypatch.setattr(nora.cli.serve, "serve", served.append)
    result = CliRunner().invoke(main, arguments, env={"NORA_PORT": "5000"})
    assert result.exit_code == 0, result.output
    assert [config.server.port for config in served] == [5000]


def test_a_server_that_cannot_start_says_why_and_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(config: Config) -> None:
        raise StartError("port 4000 is in use")

    monkeypatch.setattr(nora.cli.serve, "serve", serve)
    result = CliRunner().invoke(main, ["serve"])
    assert (result.exit_code, result.stderr) == (1, "nora cannot start: port 4000 is in use\n")


def test_the_version_says_compiled_or_pure() -> None:
    output = CliRunner().invoke(main, ["--version"]).output
    assert output in {f"nora {__version__} (compiled)\n", f"nora {__version__} (pure Python)\n"}


def test_healthcheck_is_another_name_of_health() -> None:
    other = CliRunner().invoke(main, ["healthcheck", "--help"])
    assert other.exit_code == 0
    assert "GET /health" in other.output


def test_an_unknown_command_is_refused() -> None:
    assert CliRunner().invoke(main, ["serv"]).exit_code == 2


def test_every_command_explains_itself() -> None:
    for name in main.list_commands(None):  # type: ignore[arg-type, attr-defined]
        assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


def test_commands_for_a_server_that_is_elsewhere_say_so_and_make_nothing(tmp_path: Path) -> None:
    for words in (
        ["maven", "delete", "com.acme:lib", "1.0"],
        ["go", "delete", "corp.example/lib", "v1.0.0"],
        ["token", "list"],
    ):
        done = CliRunner().invoke(main, words)
        assert (done.exit_code, "in the directory" in done.stderr) == (1, True), (words, done.output)
    assert list(tmp_path.iterdir()) == []
