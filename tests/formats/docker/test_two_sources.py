"""Two registries behind one repository, of which the first lies: who is asked for an image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.formats.docker.mirrors import ONLINE, mirror
from tests.support.access import make_token
from tests.support.answers import Answer, absent, document
from tests.support.oci import Repository
from tests.support.oci_upstream import OCIUpstream
from tests.support.server import running
from tests.support.upstream import upstream

pytestmark = pytest.mark.slow

CONFIG = """
[docker]
upstreams = ["{first}", "{second}"]
[repositories.alone]
format = "docker"
kind = "proxy"
upstreams = ["{first}"]
"""
MEMORY = {"NORA_PROXY_ABSENT_TTL": "60"}


@dataclass(frozen=True, slots=True)
class Two:
    client: httpx.Client
    first: OCIUpstream
    second: OCIUpstream

    def image(self, name: str) -> Repository:
        return Repository(self.client, name)

    def asked(self, name: str) -> list[str]:
        """What the second one was asked for of an image."""
        return [path for path in self.second.up.log.paths() if f"/{name}/" in path]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    with ExitStack() as stack:
        ups = [stack.enter_context(upstream()) for _ in range(2)]
        first, second = OCIUpstream(), OCIUpstream()
        first.mount(ups[0])
        second.mount(ups[1])
        config = folder / "config.toml"
        config.write_text(CONFIG.format(first=ups[0].url, second=ups[1].url))
        server = stack.enter_context(running(folder, env=ONLINE | {"NORA_CONFIG_PATH": str(config)} | MEMORY))
        client = stack.enter_context(httpx.Client(base_url=server.url, timeout=30, trust_env=False))
        yield Two(client, first, second)


def test_referrers_that_the_source_of_an_image_does_not_have_are_asked_of_no_other(two: Two) -> None:
    image = two.first.image("referrers/app")
    other = two.second.image("referrers/app", seed="other")
    two.second.refer("referrers/app", other)
    for subject in (image.digest, other.digest):
        assert two.image("referrers/app").referrers(subject).json()["manifests"] == []
    assert two.asked("referrers/app") == []


def test_a_tag_whose_manifest_is_not_there_is_asked_of_no_other(two: Two) -> None:
    image = two.first.image("half/app")
    two.second.image("half/app", seed="other")
    two.first.up.serve(f"/v2/half/app/manifests/{image.digest}", absent())
    two.first.up.serve("/v2/half/app/tags/list", absent())
    assert two.image("half/app").get_manifest("latest").status_code == 404
    assert two.asked("half/app") == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=304),
        Answer(status=204),
        Answer(status=206, body=b"{}"),
        Answer(status=451),
        document(b"<html>log in</html>", "text/html"),
        document(b"{}", "application/json"),
    ],
    ids=["304", "204", "206", "451", "html", "json"],
)
def test_an_answer_that_is_none_is_a_failure_on_every_route(
    two: Two, answer: Answer, request: pytest.FixtureRequest
) -> None:
    name = f"liar/{request.node.callspec.id}"
    image = two.second.image(name)
    # Where only its manifests lie, the rest says truly that there is nothing
    for path in (f"/v2/{name}/", f"/v2/{name}/manifests/"):
        two.first.up.mount(path, lambda _: answer)
        here = two.image(name)
        answers = [
            here.head_manifest("latest"),
            here.get_manifest("latest"),
            here.head_manifest(image.digest),
            here.get_manifest(image.digest),
        ]
        if path.endswith(f"{name}/"):
            answers += [two.client.get(f"/v2/{name}/tags/list"), here.referrers(image.digest)]
        two.first.up.mount(path, lambda _: absent())
        assert [one.status_code for one in answers] == [502] * len(answers)
        assert two.asked(name) == []


def test_a_denial_that_one_group_takes_for_an_absence_is_none_for_another(two: Two) -> None:
    """Who is asked alone may hide what there is not; who is asked before somebody else is to say so."""
    two.first.tokens = two.first.hides = True
    try:
        image = two.second.image("denied/app")
        routes = ("tags/list", "manifests/latest", f"manifests/{image.digest}", f"referrers/{image.digest}")
        for _ in range(2):  # the token is had by now: the upstream is known to know who asks
            alone = [two.client.get(f"/v2/alone/denied/app/{route}").status_code for route in routes]
        both = [two.client.get(f"/v2/denied/app/{route}").status_code for route in routes]
    finally:
        two.first.tokens = two.first.hides = False
    assert (alone, both) == ([404, 404, 404, 200], [502] * 4)
    assert two.asked("denied/app") == []


def test_an_image_that_was_there_is_denied_not_absent(two: Two) -> None:
    two.first.tokens = two.first.hides = True
    try:
        two.first.image("revoked/app")
        here = two.image("alone/revoked/app")
        assert here.get_manifest("latest").status_code == 200
        del two.first.manifests["revoked/app"]
        assert [here.get_manifest(one).status_code for one in ("new", f"sha256:{'1' * 64}")] == [502, 502]
        assert here.get_manifest("latest").headers["x-nora-stale"] == "true"
    finally:
        two.first.tokens = two.first.hides = False


def test_a_layer_is_read_through_no_name_whose_upstream_does_not_have_it(tmp_path: Path) -> None:
    """Somebody lets an image at the upstream refer to a layer of another one, which they may not read."""
    with mirror(tmp_path, env={"NORA_AUTH_ENABLED": "true", "NORA_AUTH_ANONYMOUS_READ": "false"}) as hub:
        secret = hub.registry.image("corp/secret", "latest", b"a secret")
        hub.registry.image("open/app", "latest", b"a secret", seed="other")
        layer = secret.document["layers"][0]["digest"]
        hub.up.serve(f"/v2/open/app/blobs/{layer}", absent())
        hub.client.headers.update(make_token(hub.server, "--role", "read").bearer)
        for name in ("corp/secret", "open/app"):
            assert hub.image(name).get_manifest("latest").status_code == 200
            assert hub.image(name).get_blob(layer).content == b"a secret", "who may read both"
        scope = make_token(hub.server, "--role", "read", "--scope", "docker:open/*:read")
        hub.client.headers.update(scope.bearer)
        assert hub.image("open/app").get_manifest("latest").status_code == 200
        assert hub.image("open/app").head_blob(layer).status_code == 404
        assert hub.image("open/app").get_blob(layer).status_code == 404
