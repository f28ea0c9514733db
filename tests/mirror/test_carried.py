"""What was mirrored outside is carried inside in one archive, and is served there beside what was there."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import orjson
import pytest

from tests.support.command import run
from tests.support.mirroring import mirror
from tests.support.npm_registry import Built, NpmRegistry
from tests.support.oci_upstream import OCIUpstream
from tests.support.server import Server, running
from tests.support.upstream import Upstream

pytestmark = pytest.mark.slow
NORA = (sys.executable, "-m", "nora")


def nora(server: Server, *words: str | Path) -> str:
    return run(*NORA, *words, env=server.environment(), cwd=server.data)


@pytest.fixture
def sources(upstream: Upstream) -> tuple[NpmRegistry, OCIUpstream, dict[str, str]]:
    """Upstreams of two formats, and the environment of a NORA that asks them."""
    registry, images = NpmRegistry(), OCIUpstream()
    registry.mount(upstream)
    images.mount(upstream)
    env = {
        "NORA_PROXY_MODE": "online",
        "NORA_NPM_PROXY": registry.url,
        "NORA_DOCKER_UPSTREAMS": upstream.url,
    }
    return registry, images, env


def test_one_archive_brings_what_was_mirrored_to_a_site_without_a_network(
    upstream: Upstream, sources: tuple[NpmRegistry, OCIUpstream, dict[str, str]], tmp_path: Path
) -> None:
    registry, images, online = sources
    built, inside_before = Built("@corp/carried"), Built("here-before")
    for one in (built, inside_before):
        registry.add(one)
    manifest = images.image("team/carried", "1")
    layer = manifest.document["layers"][0]["digest"]
    archive = tmp_path / "site.tar"
    with running(tmp_path / "outside", env=online) as outside:
        assert mirror(outside, "npm", "--packages", "@corp/carried").code == 0
        assert mirror(outside, "docker", "--images", "team/carried:1").code == 0
        nora(outside, "mirror", "export", "-o", archive)
        nora(outside, "backup", "--verify", archive)
    with running(tmp_path / "inside", env=online) as inside:
        assert mirror(inside, "npm", "--packages", "here-before").code == 0
        upstream.stop()
        inside.env = {**online, "NORA_PROXY_MODE": "offline"}
        inside.restart()
        first = orjson.loads(nora(inside, "mirror", "import", "-i", archive, "--json"))
        again = orjson.loads(nora(inside, "mirror", "import", "-i", archive, "--json"))
        assert (first["missing"], first["known"], again["imported"], again["written"]) == (0, 0, 0, 0)
        assert first["imported"] == again["known"] > 0
        with httpx.Client(base_url=inside.url, timeout=30, trust_env=False) as http:
            assert http.get(f"/npm/{built.path}").content == built.body
            assert http.get("/npm/@corp%2fcarried").json()["dist-tags"] == {"latest": "1.0.0"}
            assert http.get("/v2/team/carried/manifests/1").content == manifest.body
            assert http.get(f"/v2/team/carried/blobs/{layer}").content == images.blobs[layer]
            assert http.get(f"/npm/{inside_before.path}").content == inside_before.body
        verified = orjson.loads(nora(inside, "verify", "--json"))
        assert not verified["damages"]
        assert not verified["row_problems"]
