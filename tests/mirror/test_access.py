"""Where authentication is on, `nora mirror` asks as who its token is, for every format."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.crate_index import CrateIndex
from tests.support.in_process import add_token
from tests.support.mirroring import mirror
from tests.support.npm_registry import Built, NpmRegistry
from tests.support.oci_upstream import OCIUpstream
from tests.support.server import running
from tests.support.upstream import Upstream

pytestmark = pytest.mark.slow


def test_a_token_lets_it_in(upstream: Upstream, tmp_path: Path) -> None:
    packages, images, crates = NpmRegistry(), OCIUpstream(), CrateIndex("/index")
    packages.add(Built("lib"))
    images.image("team/app", "1")
    crates.add("krate", "1.0.0")
    for one in (packages, images, crates):
        one.mount(upstream)
    env = {
        "NORA_PROXY_MODE": "online",
        "NORA_AUTH_ENABLED": "true",
        "NORA_NPM_PROXY": packages.url,
        "NORA_DOCKER_UPSTREAMS": upstream.url,
        "NORA_CARGO_PROXY": f"{upstream.url}/index/",
    }
    wanted = {"npm": "--packages lib", "docker": "--images team/app:1", "cargo": "--packages krate"}
    with running(tmp_path, env=env) as server:
        token = asyncio.run(add_token(server.data, "read"))
        for tool, words in wanted.items():
            refused = mirror(server, tool, *words.split(), "--json")
            assert refused.code == 1, tool
            assert [reason[:4] for reason in refused.missing.values()] == ["401:"], tool
            done = mirror(server, tool, *words.split(), "--token", token, "--json")
            assert done.code == 0, (tool, done.stdout)
