from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import certificates
from tests.support.server import Server, free_port, running


def health(server: Server) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nora", "health"]
    env = server.environment() | {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        command, env=env, cwd=server.data, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_running_server_is_healthy(nora: Server) -> None:
    done = health(nora)
    assert (done.returncode, done.stdout.strip()) == (0, "/health: 200")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
@pytest.mark.parametrize("host", ["::", "::1"])
def test_a_server_of_ipv6_is_healthy(tmp_path: Path, host: str) -> None:
    with running(tmp_path, host=host) as server:
        assert health(server).returncode == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_server_that_is_not_there_is_not(tmp_path: Path, host: str) -> None:
    done = health(Server(tmp_path, tmp_path / "log", port=free_port(), host=host))
    assert done.returncode == 1
    assert done.stderr.startswith("not healthy: ")


@pytest.mark.slow
def test_its_own_certificate_is_not_questioned(tmp_path: Path) -> None:
    made = certificates.make(tmp_path / "certificates")
    env = {"NORA_TLS_CERT": str(made.certificate), "NORA_TLS_KEY": str(made.key)}
    with running(tmp_path / "server", env=env) as server:
        assert health(server).returncode == 0
