"""Images of upstreams that limit, refuse, redirect and ask for tokens, each through a server of its own."""

from __future__ import annotations

import concurrent.futures
import time
from pathlib import Path

import httpx
import pytest

from nora.formats.docker.upstream_auth import YOUNG_SECONDS
from tests.formats.docker.mirrors import Mirror, mirror
from tests.formats.docker.test_mirror import layer_of, pull
from tests.support.answers import NEVER, Answer, Asked
from tests.support.oci import Repository
from tests.support.oci_upstream import OCIUpstream
from tests.support.upstream import upstream

pytestmark = pytest.mark.slow


def tokens_asked(found: Mirror) -> int:
    return found.up.log.count("GET", "/token")


def test_pull_limits(tmp_path: Path) -> None:
    with mirror(tmp_path) as hub:
        hub.registry.image("team/seen")
        unseen = hub.registry.image("team/unseen")
        pull(hub.image("team/seen"))
        hub.registry.limit, hub.registry.retry_after = hub.registry.used, 17
        assert "x-nora-stale" not in pull(hub.image("team/seen")).headers, "a HEAD is free"
        for reference in ("latest", unseen.digest):
            answer = hub.image("team/unseen").get_manifest(reference)
            assert answer.status_code == 429
            assert answer.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
            assert 1 <= int(answer.headers["retry-after"]) <= 17
        hub.up.fault = Answer(status=429, headers={"retry-after": "9"})
        assert pull(hub.image("team/seen")).headers["x-nora-stale"] == "true"


def test_tokens(tmp_path: Path) -> None:
    with mirror(tmp_path, tokens=True) as hub:
        manifest = hub.registry.image("team/app")
        image = hub.image("team/app")
        assert pull(image).content == manifest.body
        assert tokens_asked(hub) == 1
        assert all("authorization" not in asked.headers for asked in hub.up.log.of("GET", "/token"))
        time.sleep(YOUNG_SECONDS)
        hub.registry.expire()
        assert "x-nora-stale" not in pull(image).headers
        hub.registry.image("team/other")
        pull(hub.image("team/other"))
        scopes = [asked.query["scope"] for asked in hub.up.log.of("GET", "/token")]
        assert scopes.count("repository:team/other:pull") == 1
        assert set(scopes) == {"repository:team/app:pull", "repository:team/other:pull"}


def test_many_images_at_once_ask_for_one_token(tmp_path: Path) -> None:
    with mirror(tmp_path, tokens=True) as hub:
        tags = [f"v{number}" for number in range(16)]
        for tag in tags:
            hub.registry.image("team/app", tag, seed=tag)

        def fetch(tag: str) -> int:
            with httpx.Client(base_url=hub.server.url, timeout=30, trust_env=False) as client:
                return Repository(client, "team/app").get_manifest(tag).status_code

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert set(pool.map(fetch, tags)) == {200}
        assert tokens_asked(hub) == 1


def test_credentials(tmp_path: Path) -> None:
    with upstream() as up:
        registry = OCIUpstream(tokens=True, users={"nora": "secret"})
        registry.mount(up)
        manifest = registry.image("team/app")
        with mirror(tmp_path, env={"NORA_DOCKER_UPSTREAMS": f"{up.url}|nora:secret"}) as hub:
            assert pull(hub.image("team/app")).content == manifest.body
            assert up.log.of("GET", "/token")[0].headers["authorization"].startswith("Basic ")
            assert "secret" not in hub.server.log.read_text()
        with mirror(tmp_path / "wrong", env={"NORA_DOCKER_UPSTREAMS": f"{up.url}|nora:mistaken"}) as hub:
            answer = hub.image("team/app").get_manifest("latest")
            assert answer.status_code == 502, "it is our mistake, and no absence"
            assert "mistaken" not in answer.text + hub.server.log.read_text()


class PrefixedScopes(OCIUpstream):
    """A registry whose scopes are not called as its images are."""

    def _refusal(self, asked: Asked, scope: str) -> Answer | None:
        return super()._refusal(asked, scope.replace("repository:", "repository:local/"))


def test_a_registry_that_calls_its_scopes_otherwise(tmp_path: Path) -> None:
    with upstream() as up:
        registry = PrefixedScopes(tokens=True)
        registry.mount(up)
        one, two = registry.image("team/one"), registry.image("team/two")
        env = {"NORA_DOCKER_UPSTREAMS": up.url, "NORA_PROXY_ABSENT_TTL": "60"}
        with mirror(tmp_path, env=env) as hub:
            assert pull(hub.image("team/one")).content == one.body
            assert pull(hub.image("team/two")).content == two.body


def test_basic(tmp_path: Path) -> None:
    with upstream() as up:
        registry = OCIUpstream(users={"nora": "secret"})
        registry.mount(up)
        manifest = registry.image("team/app")
        with mirror(tmp_path, env={"NORA_DOCKER_UPSTREAMS": f"{up.url}|nora:secret"}) as hub:
            assert pull(hub.image("team/app")).content == manifest.body
        with mirror(tmp_path / "wrong", env={"NORA_DOCKER_UPSTREAMS": f"{up.url}|nora:mistaken"}) as hub:
            assert hub.image("team/app").get_manifest("latest").status_code == 502


def test_what_a_registry_hides_is_absent(tmp_path: Path) -> None:
    with mirror(tmp_path, tokens=True, hides=True) as hub:
        hub.registry.image("team/app")
        image = hub.image("team/app")
        pull(image)
        assert pull(hub.image("both/team/app")).content == pull(image).content
        none = hub.image("team/none")
        for answer in (
            none.get_manifest("latest"),
            none.head_manifest("latest"),
            none.get_manifest(f"sha256:{'0' * 64}"),
            none.head_manifest(f"sha256:{'0' * 64}"),
            hub.image("alone/team/none").get_blob(f"sha256:{'0' * 64}"),
            hub.image("alone/team/none").get_manifest("latest"),
            hub.image("both/team/none").get_manifest("latest"),
            none.client.get("/v2/team/none/tags/list"),
        ):
            assert answer.status_code == 404, answer.request.url
        assert none.referrers(f"sha256:{'0' * 64}").json()["manifests"] == []
        del hub.registry.manifests["team/app"]
        answer = image.get_manifest("latest")
        assert answer.headers["x-nora-stale"] == "true", "what we had before is not said to be gone"


def test_blobs_elsewhere(tmp_path: Path) -> None:
    with upstream() as cdn:
        env = {"NORA_PROXY_ALLOW_PRIVATE": "true"}
        with mirror(tmp_path, env=env, tokens=True, blobs_at=cdn) as hub:
            manifest = hub.registry.image("team/app")
            pull(hub.image("team/app"))
            assert len(cdn.log.requests) == 2
            assert all("authorization" not in asked.headers for asked in cdn.log.requests)
            assert hub.image("team/app").get_blob(layer_of(manifest)).status_code == 200
        with mirror(tmp_path / "guarded", blobs_at=cdn) as hub:
            manifest = hub.registry.image("team/app")
            hub.image("team/app").get_manifest("latest")
            cdn.log.clear()
            assert hub.image("team/app").get_blob(layer_of(manifest)).status_code == 502
            assert cdn.log.requests == [], "a private network is not where upstreams may lead to"


def test_a_token_service_elsewhere_without_tls(tmp_path: Path) -> None:
    with upstream() as realm, mirror(tmp_path, tokens=True, realm=realm) as hub:
        hub.registry.image("team/app")
        assert hub.image("team/app").get_manifest("latest").status_code == 502
        assert realm.log.requests == []


@pytest.mark.parametrize("workers", [1, 2])
def test_offline(tmp_path: Path, workers: int) -> None:
    with mirror(tmp_path, workers=workers) as hub:
        hub.registry.image("team/app", "1")
        hub.registry.image("team/app", "2", seed="2")
        far = hub.far.image("team/far")
        image = hub.image("team/app")
        pull(image, "1")
        pull(hub.image("far/team/far"))
        image.head_manifest("2")
        subject = pull(image, "1").headers["docker-content-digest"]
        image.referrers(subject)
        hub.server.stop()
        hub.server.env = {**hub.server.env, "NORA_PROXY_MODE": "offline"}
        hub.server.start()
        hub.up.log.clear()
        hub.far.up.log.clear()
        with httpx.Client(base_url=hub.server.url, timeout=30, trust_env=False) as client:
            image = Repository(client, "team/app")
            assert "x-nora-stale" not in pull(image, "1").headers
            assert image.head_manifest("2").status_code == image.get_manifest("2").status_code == 404
            assert image.tags() == ["1"], "what can be pulled"
            assert image.referrers(subject).status_code == 200
            assert Repository(client, "team/none").get_manifest("1").status_code == 404
            assert client.get("/v2/team/none/tags/list").status_code == 404
            assert pull(Repository(client, "far/team/far")).content == far.body
            answer = client.get("/v2/team/far/manifests/latest", params={"ns": "far.example.com"})
            assert answer.content == far.body
        assert hub.up.log.requests == hub.far.up.log.requests == []


def test_a_fresh_tag_costs_nothing(tmp_path: Path) -> None:
    with mirror(tmp_path, workers=2, env={"NORA_DOCKER_METADATA_TTL": "60"}) as hub:
        hub.registry.image("team/app")
        for _ in range(4):
            pull(hub.image("team/app"))
            hub.image("team/app").head_manifest("latest")
        assert hub.asked("HEAD", "team/app/manifests/latest") == 1


def test_an_upstream_that_says_nothing(tmp_path: Path) -> None:
    env = {"NORA_DOCKER_READ_TIMEOUT": "1", "NORA_DOCKER_PROXY_TIMEOUT": "2"}
    with mirror(tmp_path, env=env) as hub:
        hub.registry.image("team/app")
        pull(hub.image("team/app"))
        hub.up.fault = Answer(delay=NEVER)
        assert pull(hub.image("team/app")).headers["x-nora-stale"] == "true"
        answer = hub.image("team/none").get_manifest("latest")
        assert answer.status_code == 504
        assert answer.json()["errors"][0]["code"] == "UNAVAILABLE"


def test_reserved_names(tmp_path: Path) -> None:
    with mirror(tmp_path, env={"NORA_PROXY_RESERVED": "corp/**,library/secret"}) as hub:
        hub.registry.image("corp/app")
        assert hub.image("corp/app").get_manifest("latest").status_code == 404
        assert hub.image("far/corp/app").get_manifest("latest").status_code == 404
        assert hub.client.get("/v2/corp/app/tags/list").status_code == 404
        answer = hub.client.get("/v2/corp/app/manifests/1", params={"ns": "far.example.com"})
        assert answer.status_code == 404
        assert hub.up.log.requests == hub.far.up.log.requests == []
