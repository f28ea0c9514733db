"""A server whose images come from a registry on the loopback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.oci import Repository
from tests.support.oci_upstream import OCIUpstream
from tests.support.server import Server, running
from tests.support.upstream import Upstream, upstream

ONLINE = {
    "NORA_PROXY_MODE": "online",
    "NORA_PROXY_RETRIES": "0",
    "NORA_PROXY_ABSENT_TTL": "0",
    "NORA_CB_ENABLED": "false",
    "NORA_DOCKER_METADATA_TTL": "0",
}
"""Everything is asked for each time, and once."""

CONFIG = """
[docker]
upstreams = [{{ url = "{near}" }}, {{ url = "{far}", prefix = "far", namespace = "far.example.com" }}]
[repositories.alone]
format = "docker"
kind = "proxy"
upstreams = ["{near}"]
[repositories.mine]
format = "docker"
[repositories.both]
format = "docker"
kind = "group"
members = ["alone", "mine"]
writes = "mine"
"""


@dataclass(frozen=True, slots=True)
class Mirror:
    """The server, a client of it, and the registry that it asks for names without prefix."""

    server: Server
    client: httpx.Client
    registry: OCIUpstream
    far: OCIUpstream

    @property
    def up(self) -> Upstream:
        return self.registry.up

    def image(self, name: str) -> Repository:
        return Repository(self.client, name)

    def asked(self, method: str, path: str) -> int:
        """How often the registry was asked for `path` below `/v2/`."""
        return self.up.log.count(method, f"/v2/{path}")

    def blobs_asked(self) -> list[str]:
        """The blobs that it was asked for, by any method."""
        return [path for path in self.up.log.paths() if "/blobs/" in path]


@contextlib.contextmanager
def mirror(
    folder: Path, *, workers: int = 1, env: Mapping[str, str] | None = None, **registry: Any
) -> Iterator[Mirror]:
    """`registry` are fields of the OCIUpstream that is asked for names without prefix."""
    with contextlib.ExitStack() as stack:
        near, far = (stack.enter_context(upstream()) for _ in range(2))
        hub, other = OCIUpstream(**registry), OCIUpstream()
        hub.mount(near)
        other.mount(far)
        folder.mkdir(exist_ok=True)
        config = folder / "config.toml"
        config.write_text(CONFIG.format(near=near.url, far=far.url))
        settings = ONLINE | {"NORA_CONFIG_PATH": str(config)} | (env or {})
        server = stack.enter_context(running(folder, workers=workers, env=settings))
        client = stack.enter_context(httpx.Client(base_url=server.url, timeout=30, trust_env=False))
        yield Mirror(server, client, hub, other)
