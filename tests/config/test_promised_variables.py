"""The promised variables do what they say, in a running server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.config.test_loading import PROMISED_FILE
from tests.conftest import StartServer
from tests.support.server import Server

TEXT_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (TRACE|DEBUG|INFO |WARN |ERROR) [\w.]+: .")


def lines_after_a_request(server: Server) -> list[str]:
    httpx.get(f"{server.url}/v2/", headers={"x-request-id": "marker"}, trust_env=False)
    server.stop()
    return server.log.read_text().splitlines()


@pytest.mark.parametrize(
    ("level", "start", "request_line"),
    [("trace", True, True), ("info", True, False), ("error", False, False)],
)
def test_log_level(nora_server: StartServer, level: str, start: bool, request_line: bool) -> None:
    lines = lines_after_a_request(nora_server(env={"NORA_LOG_LEVEL": level}))
    assert any('"NORA ' in line for line in lines) is start
    assert any("marker" in line for line in lines) is request_line


def test_log_format_json_is_one_object_in_each_line(nora_server: StartServer) -> None:
    lines = lines_after_a_request(nora_server(env={"NORA_LOG_LEVEL": "debug", "NORA_LOG_FORMAT": "json"}))
    entries = [json.loads(line) for line in lines]
    assert entries[0].keys() >= {"time", "level", "logger", "message"}
    assert "marker" in [entry.get("request_id") for entry in entries]


def test_log_format_text_is_for_people(nora_server: StartServer) -> None:
    lines = lines_after_a_request(nora_server(env={"NORA_LOG_LEVEL": "debug", "NORA_LOG_FORMAT": "text"}))
    assert [line for line in lines if not TEXT_LINE.match(line)] == []
    assert any(line.endswith("[marker]") for line in lines)


def test_public_url_is_the_base_of_links(nora_server: StartServer) -> None:
    server = nora_server(env={"NORA_PUBLIC_URL": "https://registry.example.com/sub/"})
    opened = httpx.post(f"{server.url}/v2/app/blobs/uploads/", trust_env=False)
    assert opened.headers["location"].startswith("https://registry.example.com/sub/v2/app/blobs/uploads/")


def test_the_promised_file_starts_a_server(nora_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(PROMISED_FILE)
    server = nora_server(env={"NORA_CONFIG_PATH": str(tmp_path / "config.toml")})
    assert "not available in this version" not in server.log.read_text()


def test_without_public_url_links_are_relative(nora: Server) -> None:
    opened = httpx.post(f"{nora.url}/v2/links/app/blobs/uploads/", trust_env=False)
    assert opened.headers["location"].startswith("/v2/links/app/blobs/uploads/")


def test_host_and_port_are_where_it_listens(nora: Server) -> None:
    assert httpx.get(f"http://{nora.host}:{nora.port}/health", trust_env=False).status_code == 200


def test_chosen_formats_are_served_and_lines_go_to_the_file(nora_server: StartServer, tmp_path: Path) -> None:
    file = tmp_path / "registry.log"
    server = nora_server(env={"NORA_REGISTRIES_ENABLE": "all,-docker", "NORA_LOG_FILE": str(file)})
    codes = {path: httpx.get(server.url + path, trust_env=False).status_code for path in ("/v2/", "/simple/")}
    server.stop()
    assert codes == {"/v2/": 404, "/simple/": 200}
    assert '"message":"stopped"' in file.read_text()
    assert server.log.read_text() == ""
