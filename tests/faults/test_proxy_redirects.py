"""Upstreams that lead elsewhere: nobody else gets our credentials, and nothing tells them."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.downloads import Download, download
from tests.faults.things import KINDS, Thing, asking
from tests.faults.wire import Answer as Received
from tests.faults.wire import Wire
from tests.support.answers import Answer, Asked, redirect
from tests.support.oci_upstream import OCIUpstream
from tests.support.server import Server, running
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream

pytestmark = pytest.mark.slow
SIZE = 200_000
USER, PASSWORD = "robot", "kitten-4711"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SIGNATURE = "sig-0815"


@pytest.fixture
def elsewhere() -> Iterator[Upstream]:
    """Another origin, to which files are redirected."""
    with running_upstream() as found:
        yield found


def guarded(asked: Asked) -> Answer | None:
    """Lets in who has the credentials."""
    if asked.headers.get("authorization") == f"Basic {BASIC}":
        return None
    return Answer(status=401, headers={"www-authenticate": 'Basic realm="upstream"'})


def asking_as_user(url: str, **env: str) -> dict[str, str]:
    return asking(
        url,
        NORA_DOCKER_UPSTREAMS=f"{url}|{USER}:{PASSWORD}",
        NORA_PYPI_PROXY_AUTH=f"{USER}:{PASSWORD}",
        NORA_LOG_LEVEL="trace",
        NORA_DOCKER_METADATA_TTL="0",
        NORA_PYPI_METADATA_TTL="0",
        NORA_PROXY_ABSENT_TTL="0",
        **env,
    )


def lead(thing: Thing, upstream: Upstream, elsewhere: Upstream) -> None:
    """The file is at a signed address of another origin."""
    thing.publish(upstream)
    upstream.guard = guarded
    upstream.serve(thing.source, redirect(f"{elsewhere.url}/signed?x-signature={SIGNATURE}", 307))
    elsewhere.serve("/signed", thing.answer())


def tells(text: str) -> list[str]:
    """The secrets in a text."""
    return [secret for secret in (PASSWORD, BASIC, SIGNATURE) if secret in text]


def shown(answer: Received | Download) -> str:
    body = answer.error if isinstance(answer, Download) else answer.body
    return f"{dict(answer.headers)} {body!r}"


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_credentials_stay_where_they_belong(
    tmp_path: Path, upstream: Upstream, elsewhere: Upstream, kind: str, workers: int
) -> None:
    """Not to another origin, not into the most talkative log, not into an answer: also when all fails."""
    thing = KINDS[kind]("secret", SIZE)
    lead(thing, upstream, elsewhere)
    env = asking_as_user(upstream.url, NORA_PROXY_ALLOW_PRIVATE="true")
    answers: list[Received | Download] = []

    async def run(wire: Wire) -> None:
        answers.append(await thing.ask_page(wire))
        elsewhere.once("/signed", Answer(status=403, body=f"no {SIGNATURE}".encode()))
        answers.append(await Download(wire, thing).run())
        elsewhere.once("/signed", *[thing.answer(cut=SIZE // 2, reset=True)] * 2)
        answers.append(await Download(wire, thing).run())
        answers.append(await download(wire, thing))
        for fault in (Answer(status=401), Answer(status=500), Answer(raw=b"no http")):
            upstream.fault = fault
            answers.extend([await thing.ask_page(wire), await wire.call("GET", f"{thing.page}-other")])
        upstream.stop()
        answers.extend([await thing.ask_page(wire), await wire.call("GET", f"{thing.page}-more")])
        for path in ("/metrics", "/health", "/ready"):
            answers.append(await wire.call("GET", path))

    with running(tmp_path, workers=workers, env=env) as server:
        asyncio.run(run(_wire(server)))
    assert upstream.log.count("GET", thing.source) >= 1
    carried = {one.headers.get("authorization") for one in upstream.log.of("GET", thing.source)}
    assert f"Basic {BASIC}" in carried
    assert carried <= {f"Basic {BASIC}", None}, "a worker has to hear first what the registry wants"
    assert elsewhere.log.count("GET") >= 3
    for one in elsewhere.log.requests:
        assert "authorization" not in one.headers
        assert "cookie" not in one.headers
        assert PASSWORD not in one.target
    assert [tells(shown(answer)) for answer in answers if tells(shown(answer))] == []
    assert [line for line in server.log.read_text().splitlines() if tells(line)] == []


def test_tokens_stay_where_they_belong(tmp_path: Path, upstream: Upstream, elsewhere: Upstream) -> None:
    """A Bearer token is for the registry: not for where its blobs are, and for no log."""
    registry = OCIUpstream(tokens=True, users={USER: PASSWORD}, blobs_at=elsewhere)
    registry.mount(upstream)
    manifest = registry.image("team/app")
    layer = manifest.document["layers"][0]["digest"]
    env = asking_as_user(upstream.url, NORA_PROXY_ALLOW_PRIVATE="true")

    async def run(wire: Wire) -> None:
        page = await wire.call("GET", "/v2/team/app/manifests/latest")
        assert page.status == 200, page
        got = await wire.call("GET", f"/v2/team/app/blobs/{layer}")
        assert got.status == 200, got
        assert not any(token in shown(page) + shown(got) for token in registry.given)

    with running(tmp_path, workers=2, env=env) as server:
        asyncio.run(run(_wire(server)))
    assert registry.given
    log = server.log.read_text()
    assert not any(token in log for token in registry.given)
    assert tells(log) == []
    assert "until=" not in log, "the query of a signed address is a credential"
    assert all("authorization" not in one.headers for one in elsewhere.log.requests)


@pytest.mark.parametrize("kind", KINDS)
def test_private_networks_are_not_where_upstreams_may_lead(
    tmp_path: Path, upstream: Upstream, elsewhere: Upstream, kind: str
) -> None:
    """Neither by address nor by name; 502 and no connection. Where it is allowed, it is followed."""
    thing = KINDS[kind]("private", SIZE)
    lead(thing, upstream, elsewhere)
    named = elsewhere.url.replace("127.0.0.1", "localhost")

    async def refused(wire: Wire) -> None:
        await thing.announce(wire)
        for url in (elsewhere.url, named, elsewhere.url.replace("127.0.0.1", "127.1")):
            upstream.serve(thing.source, redirect(f"{url}/signed", 302))
            found = await Download(wire, thing).run()
            assert found.status == 502, found
        for url in ("http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "http://[::1]:1/"):
            upstream.serve(thing.source, redirect(url, 302))
            found = await Download(wire, thing).run()
            assert found.status == 502, found

    with running(tmp_path / "guarded", env=asking_as_user(upstream.url)) as server:
        asyncio.run(refused(_wire(server)))
    assert elsewhere.connections == 0

    async def followed(wire: Wire) -> None:
        await thing.announce(wire)
        upstream.serve(thing.source, redirect(f"{named}/signed", 302))
        await download(wire, thing)

    env = asking_as_user(upstream.url, NORA_PROXY_ALLOW_PRIVATE="true")
    with running(tmp_path / "allowed", env=env) as server:
        asyncio.run(followed(_wire(server)))
    assert elsewhere.connections > 0


def test_signed_addresses_that_expire(tmp_path: Path, upstream: Upstream, elsewhere: Upstream) -> None:
    """What is resumed asks for a new address: the first one is not good any more by then."""
    thing = KINDS["blob"]("expires", 4 << 20)
    thing.publish(upstream)
    good: set[str] = set()

    def sign(asked: Asked) -> Answer:
        good.clear()
        good.add(f"/signed/{time.monotonic_ns()}")
        return redirect(f"{elsewhere.url}{next(iter(good))}", 307)

    def signed(asked: Asked) -> Answer:
        if asked.path not in good:
            return Answer(status=403)
        good.clear()  # for one request
        return thing.answer(cut=1 << 20)

    upstream.serve(thing.source, sign)
    elsewhere.mount("/signed/", signed)

    async def run(wire: Wire) -> None:
        await thing.announce(wire)
        await download(wire, thing)
        asked = [one.headers.get("range", "") for one in elsewhere.log.of("GET")]
        assert [bool(re.fullmatch(r"bytes=\d+-", one)) for one in asked] == [False, True, True, True]

    env = asking(upstream.url, NORA_PROXY_ALLOW_PRIVATE="true")
    with running(tmp_path, env=env) as server:
        asyncio.run(run(_wire(server)))


def _wire(server: Server) -> Wire:
    return Wire(server.host, server.port)
