"""docs/reverse-proxy.md: pip and docker through each proxy's block, below a path and with TLS."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import ssl
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clients.guides.conftest import NewTerminal
from tests.support import certificates, containers
from tests.support.certificates import Certificates
from tests.support.command import daemon
from tests.support.guides import Guide, replaced, typed
from tests.support.mirror import publish
from tests.support.python_clients import installed
from tests.support.server import HOST, free_port, running
from tests.support.wheels import Release

GUIDE = Guide("reverse-proxy")
Proxy = Callable[[Path, int, int, Certificates], AbstractContextManager[object]]
"""A running proxy: a folder, its port, the port of NORA, and its certificates."""


def listens(port: int) -> bool:
    with (
        contextlib.suppress(OSError),
        contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=60)) as one,
    ):
        one.connect()
        return True
    return False


def nginx(folder: Path, port: int, nora: int, made: Certificates) -> AbstractContextManager[object]:
    block = replaced(
        GUIDE.block("nginx", "nginx"),
        {
            "listen 443 ssl": f"listen {HOST}:{port} ssl",
            "registry.example.com": "localhost",
            "/etc/ssl/registry.pem": str(made.certificate),
            "/etc/ssl/registry.key": str(made.key),
            "127.0.0.1:4000": f"{HOST}:{nora}",
        },
    )
    temporary = "".join(
        f"{one}_temp_path {folder}/{one};\n" for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"pid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{block}}}\n"
    )
    words = ("nginx", "-p", folder, "-c", config, "-g", "daemon off;")
    return daemon(*words, log=folder / "log", ready=lambda: listens(port))


def caddy(folder: Path, port: int, nora: int, made: Certificates) -> AbstractContextManager[object]:
    block = replaced(
        GUIDE.block("caddy", "Caddy"),
        {
            "registry.example.com {": f"localhost:{port} {{",
            "/etc/ssl/registry.pem": str(made.certificate),
            "/etc/ssl/registry.key": str(made.key),
            "127.0.0.1:4000": f"{HOST}:{nora}",
        },
    )
    (folder / "Caddyfile").write_text(f"{{\n admin off\n auto_https disable_redirects\n}}\n{block}")
    env = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    words = ("caddy", "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile")
    return daemon(*words, log=folder / "log", env=env, ready=lambda: listens(port))


@contextlib.contextmanager
def traefik(folder: Path, port: int, nora: int, made: Certificates) -> Iterator[None]:
    """What Traefik does with the block: it cannot be had here by package name, so that it is played."""
    said = tomllib.loads(GUIDE.blocks("toml", "Traefik")[0])["http"]
    (server,) = said["services"]["nora"]["loadBalancer"]["servers"]
    assert server["url"] == "http://127.0.0.1:4000"

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            answer, body = forwarded(said, self, nora)
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("content-length") if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward

        def log_request(self, *args: object) -> None:
            """Nobody reads it."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with http.server.ThreadingHTTPServer((HOST, port), Handler) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield
        listening.shutdown()
        thread.join(60)


def forwarded(
    said: dict[str, Any], request: http.server.BaseHTTPRequestHandler, nora: int
) -> tuple[http.client.HTTPResponse, bytes]:
    """The router whose path prefix fits, its middlewares, then the service."""
    prefix = f"PathPrefix(`/{request.path.split('/')[1]}/`)"
    (router,) = (one for one in said["routers"].values() if prefix in one["rule"])
    path = request.path
    for name in router.get("middlewares", ()):
        for prefix in said["middlewares"][name]["stripPrefix"]["prefixes"]:
            path = path.removeprefix(prefix)
    connection = http.client.HTTPConnection(HOST, nora, timeout=60)
    headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
    headers |= {"X-Forwarded-Proto": "https", "X-Forwarded-For": HOST, "Connection": "close"}
    if headers.pop("Transfer-Encoding", ""):
        body = b"".join(iter(lambda: chunk(request), b""))
    else:
        body = request.rfile.read(int(headers.pop("Content-Length", "0")))
    connection.request(request.command, path, body or None, headers)
    answer = connection.getresponse()
    return answer, answer.read()


def chunk(request: http.server.BaseHTTPRequestHandler) -> bytes:
    """The next one of a chunked body; nothing after the last."""
    data = request.rfile.read(int(request.rfile.readline(), 16))
    request.rfile.readline()
    return data


PROXIES = [
    pytest.param(nginx, marks=pytest.mark.client("nginx", "docker", "dockerd", "containerd")),
    pytest.param(caddy, marks=pytest.mark.client("caddy", "docker", "dockerd", "containerd")),
    pytest.param(traefik, marks=pytest.mark.client("docker", "dockerd", "containerd")),
]


@pytest.mark.parametrize("proxy", PROXIES)
def test_pip_and_docker_go_through_it(proxy: Proxy, terminal: NewTerminal, tmp_path: Path) -> None:
    made = certificates.make(tmp_path / "tls")
    port = free_port()
    said = {"registry.example.com": f"localhost:{port}"}
    (tmp_path / "config.toml").write_text(replaced(GUIDE.block("toml"), said))
    shell = terminal()
    shell.env["PIP_CERT"] = str(made.authority)
    install, pull = typed(replaced(GUIDE.block("console"), said))
    with ExitStack() as stack:
        nora = stack.enter_context(running(tmp_path, env={"NORA_CONFIG_PATH": str(tmp_path / "config.toml")}))
        (tmp_path / "proxy").mkdir()
        stack.enter_context(proxy(tmp_path / "proxy", port, nora.port, made))
        publish(nora.url, Release(project="requests").wheel())
        shell.type(install)
        assert installed(Path(shell.env["VIRTUAL_ENV"]))["requests"] == "1.0"

        image = f"localhost:{port}/team/app:1"
        docker = stack.enter_context(containers.docker())
        (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY config.toml /file\n")
        docker("build", "--tag", image, tmp_path)
        docker("push", image)
        docker("image", "rm", image)
        shell.env["DOCKER_HOST"] = docker.host
        shell.type(pull)


def test_the_entry_point_of_traefik_waits_for_long_bodies() -> None:
    static = tomllib.loads(GUIDE.blocks("toml", "Traefik")[1])
    (name,) = static["entryPoints"]
    routers = tomllib.loads(GUIDE.blocks("toml", "Traefik")[0])["http"]["routers"]
    assert {tuple(one["entryPoints"]) for one in routers.values()} == {(name,)}
    assert static["entryPoints"][name]["transport"]["respondingTimeouts"]["readTimeout"] == "1h"
