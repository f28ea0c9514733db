"""Named repositories, seen from the wire."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.support.server import Server, ServerFailed, running

MANIFEST = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
NAMED = "[repositories.team]\nformat = 'docker'\n[repositories.all]\nformat = 'docker'\nkind = 'group'\n"
MEMBERS = "members = ['team', 'docker-hosted']\nwrites = 'team'\n"


def push(server: Server, image: str) -> int:
    headers = {"content-type": "application/vnd.oci.image.index.v1+json"}
    url = f"{server.url}/v2/{image}/manifests/1"
    return httpx.put(url, content=MANIFEST, headers=headers, trust_env=False).status_code


def pull(server: Server, image: str) -> int:
    return httpx.get(f"{server.url}/v2/{image}/manifests/1", trust_env=False).status_code


@pytest.mark.slow
def test_a_named_repository_is_the_first_segment_and_a_group_shows_its_members(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(NAMED + MEMBERS)
    with running(tmp_path, env={"NORA_CONFIG_PATH": str(tmp_path / "config.toml")}) as server:
        assert push(server, "team/app") == 201
        assert push(server, "other") == 201
        assert [pull(server, name) for name in ("team/app", "all/app", "all/other")] == [200, 200, 200]
        assert [pull(server, name) for name in ("app", "team/other")] == [404, 404]
        assert push(server, "all/new") == 201
        assert pull(server, "team/new") == 200


@pytest.mark.slow
@pytest.mark.parametrize("image", ["team/app", "team"])
def test_a_name_that_would_hide_an_image_stops_the_start(tmp_path: Path, image: str) -> None:
    server = Server(tmp_path / "data", tmp_path / "nora.log")
    try:
        server.start()
        assert push(server, image) == 201
        assert push(server, "teams/app") == 201
        server.stop()
        (tmp_path / "data/config.toml").write_text("[repositories.team]\nformat = 'docker'")
        with pytest.raises(ServerFailed, match=f"it would hide {image}"):
            server.start()
    finally:
        server.kill()
