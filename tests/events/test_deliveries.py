"""Deliveries: what receivers get, and what becomes of those that fail."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from nora.catalog.records import NewFile
from nora.catalog.sqlite import SQLiteCatalog
from nora.catalog.webhooks import Delivery
from nora.config import Webhook
from nora.errors import Conflict, NotFound
from nora.events import deliverer as deliverer_module
from nora.events.administration import WebhookAdministration
from nora.events.deliverer import DELAYS, Deliverer
from nora.events.signing import sign
from nora.model import Repository, RepositorySpec
from nora.outbound import Outbound
from tests.contracts.catalog import LEASE, new_blob, release
from tests.support.answers import NEVER, Answer
from tests.support.catalogs import prepare_catalog
from tests.support.upstream import Upstream, upstream

pytestmark = pytest.mark.anyio

SECRET = "a secret of the two sides"
HOOK = "/hooks/path-that-is-a-secret"
OK = Answer(status=204)
RETRIES = 2
"""Where nobody waits for them."""
SPECS = [
    RepositorySpec("raw-hosted", "raw", "hosted"),
    RepositorySpec("other", "raw", "hosted"),
    RepositorySpec("raw", "raw", "group", ("raw-hosted",), "raw-hosted"),
]
DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def receiver() -> Iterator[Upstream]:
    with upstream() as up:
        up.serve(HOOK, OK)
        yield up


@dataclass(slots=True)
class Place:
    """A catalog with its repositories, and what delivers from it."""

    catalog: SQLiteCatalog
    outbound: Outbound
    repositories: dict[str, Repository]
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)

    def deliverer(self, *webhooks: Webhook, keep: int = 100) -> Deliverer:
        """A new one, as a process that was just started has it."""
        group, own = self.repositories["raw"], self.repositories["raw-hosted"].id

        def count(webhook: str, outcome: str) -> None:
            self.counted[webhook, outcome] += 1

        return Deliverer(
            self.catalog,
            self.outbound,
            webhooks,
            registry="https://nora.example.com",
            repositories_of=lambda row: [group.name] if row == own else [],
            count=count,
            keep=keep,
        )

    async def put(self, path: str, where: str = "raw-hosted") -> None:
        file = NewFile(path=path, media_type="text/plain", blob=new_blob(path))
        await self.catalog.put_file(self.repositories[where].id, file, replace=False)

    async def last(self, webhook: str = "hook") -> Delivery:
        return (await self.catalog.list_deliveries(webhook, 0, 1))[0]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    prepare_catalog(tmp_path / "catalog")
    catalog, outbound = SQLiteCatalog.open(tmp_path / "catalog"), Outbound(None)
    yield Place(catalog, outbound, await catalog.sync_repositories(SPECS))
    await outbound.close()
    await catalog.close()


def hook(to: Upstream, name: str = "hook", **said: Any) -> Webhook:
    return Webhook(name=name, url=f"{to.url}{HOOK}?token=also", secret=SECRET, **{"timeout": 60, **said})


async def until_idle(deliverer: Deliverer) -> None:
    """A turn, and all that it has begun."""
    await deliverer.turn()
    while deliverer._sending:
        await asyncio.gather(*deliverer._sending.values())
        await asyncio.sleep(0)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again without a wait."""
    monkeypatch.setattr(deliverer_module, "DELAYS", (0,) * RETRIES)


def documented_check() -> Callable[[str, dict[str, str], bytes], bool]:
    """The example of the page, run."""
    found = re.search(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)
    check: Callable[[str, dict[str, str], bytes], bool] = names["is_true"]
    return check


def test_the_signature_is_the_one_that_is_documented() -> None:
    assert sign("0123456789abcdef", "1700000000", b'{"a":1}') == (
        "sha256=" + "9eb18f493f8ec135d9eb2dad817c369bb4e9cbfa818657897a7437c1cd8c3a23"
    )


async def test_an_event_arrives_as_the_page_says(place: Place, receiver: Upstream) -> None:
    deliverer = place.deliverer(hook(receiver))
    await place.put("before")
    await until_idle(deliverer)
    assert receiver.log.count() == 0, "what was before is not told to who is new"
    await place.put("team/a.bin")
    await until_idle(deliverer)
    await until_idle(deliverer)
    [asked] = receiver.log.of("POST", f"{HOOK}?token=also")
    body = orjson.loads(asked.body)
    assert (body["schema"], body["webhook"], body["registry"]) == (1, "hook", "https://nora.example.com")
    shown = re.search(r"```json\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert shown is not None
    assert body["event"].keys() == orjson.loads(shown[1])["event"].keys()
    event = body["event"]
    assert (event["kind"], event["path"], event["repository"]) == ("published", "team/a.bin", "raw-hosted")
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["x-nora-event"] == "published"
    is_true = documented_check()
    assert is_true(SECRET, dict(asked.headers), asked.body)
    assert not is_true(SECRET, dict(asked.headers), asked.body + b" ")
    assert not is_true("another", dict(asked.headers), asked.body)
    assert not is_true(SECRET, {**asked.headers, "x-nora-timestamp": "1700000000"}, asked.body)
    last = await place.last()
    assert (last.state, last.tries, last.status, last.error) == ("delivered", 1, 204, "")
    assert last.uid == asked.headers["x-nora-delivery"]
    assert place.counted == {("hook", "delivered"): 1}


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("first", "status", "error"),
    [
        (Answer(status=500), 500, "answers 500"),
        (Answer(status=404), 404, "answers 404"),
        (Answer(status=302, headers={"location": "/elsewhere"}), 302, "redirects are not followed"),
        (Answer(raw=b"no HTTP\r\n\r\n"), None, "does not speak HTTP"),
        (Answer(raw=b"", reset=True), None, "ends in the middle"),
        (Answer(delay=NEVER), None, "no answer within"),
    ],
    ids=["500", "404", "redirect", "nonsense", "reset", "silence"],
)
async def test_what_fails_is_tried_again(
    place: Place, receiver: Upstream, first: Answer, status: int | None, error: str
) -> None:
    deliverer = place.deliverer(hook(receiver, timeout=0.3))
    await until_idle(deliverer)
    receiver.fault = first
    await place.put("a")
    await until_idle(deliverer)
    last = await place.last()
    assert (last.state, last.tries, last.status) == ("failed", RETRIES + 1, status)
    assert error in last.error
    assert receiver.log.paths("POST") == [HOOK] * (RETRIES + 1)
    assert {one.headers["x-nora-delivery"] for one in receiver.log.requests} == {last.uid}
    assert place.counted == {("hook", "retried"): RETRIES, ("hook", "failed"): 1}

    receiver.fault = None
    assert (await place.catalog.retry_delivery(last.uid, 0.0)) is not None
    await until_idle(deliverer)
    last = await place.last()
    assert (last.state, last.tries, last.error) == ("delivered", 1, "")


async def test_between_two_tries_time_passes(place: Place, receiver: Upstream) -> None:
    deliverer = place.deliverer(hook(receiver))
    await until_idle(deliverer)
    for answer, after in ((Answer(status=500), 10), (Answer(status=503, headers={"retry-after": "99"}), 99)):
        receiver.fault = answer
        await place.put(f"{after}")
        await until_idle(deliverer)
        last = await place.last()
        assert last.state == "waiting"
        assert last.tried_at is not None
        assert last.next_at == pytest.approx(last.tried_at + after, abs=2)
    receiver.fault = Answer(status=410)
    await place.put("gone")
    await until_idle(deliverer)
    assert (await place.last()).state == "failed", "who wants no more gets no more"
    assert receiver.log.count() == 3
    assert len(DELAYS) == 7
    assert sum(DELAYS) < 24 * 3600


async def test_nobody_waits_for_the_body_of_an_answer(place: Place, receiver: Upstream) -> None:
    deliverer = place.deliverer(hook(receiver, timeout=0.3))
    await until_idle(deliverer)
    receiver.fault = Answer(body=b"x" * 100, body_delay=30.0)
    await place.put("a")
    await until_idle(deliverer)
    assert (await place.last()).state == "delivered"


async def test_a_receiver_that_is_dead_keeps_no_other_waiting(place: Place, receiver: Upstream) -> None:
    with upstream() as dead:
        dead.fault = Answer(delay=NEVER)
        deliverer = place.deliverer(hook(dead, "dead", timeout=30), hook(receiver, "alive"))
        await until_idle(deliverer)
        for number in range(6):
            await place.put(f"{number}")
        await deliverer.turn()
        await asyncio.to_thread(receiver.log.wait, "POST", None, 6)
        assert dead.log.count() <= deliverer_module.AT_ONCE
        await deliverer.close()
    waiting = await place.catalog.count_deliveries()
    assert (waiting["dead"].waiting, waiting["alive"].failures) == (6, 0)


async def test_a_webhook_gets_what_it_asked_for(place: Place, receiver: Upstream) -> None:
    rows: dict[str, dict[str, Any]] = {
        "all": {},
        "kinds": {"kinds": ("deleted",)},
        "group": {"repositories": ("raw",)},
        "row": {"repositories": ("raw-h*",)},
        "names": {"names": ("team/**", "x*")},
        "off": {"enabled": False},
    }
    deliverer = place.deliverer(*(hook(receiver, name, **said) for name, said in rows.items()))
    await until_idle(deliverer)
    await place.put("team/a/b")
    await place.put("c", "other")
    await place.catalog.delete_files(place.repositories["other"].id, ["c"], for_good=False)
    await until_idle(deliverer)
    got: dict[str, list[str]] = {name: [] for name in rows}
    for asked in receiver.log.requests:
        body = orjson.loads(asked.body)
        got[body["webhook"]].append(f"{body['event']['kind']} {body['event']['path']}")
    assert {name: sorted(found) for name, found in got.items()} == {
        "all": ["deleted c", "published c", "published team/a/b"],
        "kinds": ["deleted c"],
        "group": ["published team/a/b"],
        "row": ["published team/a/b"],
        "names": ["published team/a/b"],
        "off": [],
    }


async def test_what_was_not_sent_before_a_restart_is_sent_after_it(place: Place, receiver: Upstream) -> None:
    receiver.stop()
    first = place.deliverer(hook(receiver))
    await until_idle(first)
    await place.put("looked-at")
    await first.turn()
    await first.close()
    await place.put("not-looked-at")
    receiver.start()
    assert (await place.last()).state == "waiting"
    await place.catalog.note_try((await place.last()).id, deliverer_module.Tried(0.0, None, "", 0.0))  # due
    await until_idle(place.deliverer(hook(receiver)))
    paths = [orjson.loads(asked.body)["event"]["path"] for asked in receiver.log.requests]
    assert sorted(paths) == ["looked-at", "not-looked-at"]


async def test_a_webhook_that_is_gone_leaves_nothing(place: Place, receiver: Upstream) -> None:
    deliverer = place.deliverer(hook(receiver), keep=3)
    await until_idle(deliverer)
    for number in range(5):
        await place.put(f"{number}")
    await until_idle(deliverer)
    assert len(await place.catalog.list_deliveries("hook", 0, 100)) == 3, "the last ones are kept"
    await until_idle(place.deliverer())
    assert await place.catalog.list_deliveries("hook", 0, 100) == []
    assert await place.catalog.count_deliveries() == {}


async def test_more_than_there_is_room_for_is_counted(
    place: Place, receiver: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nora.catalog.sqlite.webhooks.MOST_WAITING", 2)
    receiver.fault = Answer(status=500)
    deliverer = place.deliverer(hook(receiver))
    await until_idle(deliverer)
    for number in range(5):
        await place.put(f"{number}")
    await until_idle(deliverer)
    assert place.counted["hook", "lost"] == 3
    assert len(await place.catalog.list_deliveries("hook", 0, 100)) == 2


@pytest.mark.usefixtures("at_once")
async def test_no_log_has_what_is_secret(
    place: Place, receiver: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    webhook = hook(receiver)
    deliverer = place.deliverer(webhook)
    await until_idle(deliverer)
    receiver.stop()
    await place.put("a")
    await until_idle(deliverer)
    last = await place.last()
    assert last.state == "failed"
    assert "is given up" in caplog.text
    for text in (caplog.text, last.error, repr(webhook), last.body.decode()):
        assert SECRET not in text
        assert "path-that-is" not in text
        assert "also" not in text


async def test_administrators_send_tests_and_try_again(place: Place, receiver: Upstream) -> None:
    webhooks = (hook(receiver), replace(hook(receiver), name="off", enabled=False))
    deliverer = place.deliverer(*webhooks)
    await until_idle(deliverer)
    administration = WebhookAdministration(place.catalog, webhooks, None)
    uid = await administration.test("hook", "root")
    with pytest.raises(NotFound):
        await administration.retry(uid)
    await until_idle(deliverer)
    [asked] = receiver.log.requests
    event = orjson.loads(asked.body)["event"]
    assert (event["kind"], event["user"], event["id"]) == ("test", "root", 0)
    assert (await administration.retry(uid)).uid == uid
    await until_idle(deliverer)
    assert [one.headers["x-nora-delivery"] for one in receiver.log.requests] == [uid, uid]
    with pytest.raises(Conflict):
        await administration.test("off", "root")
    with pytest.raises(NotFound):
        await administration.test("absent", "root")
    first, _ = await administration.all()
    assert (first.counts.waiting, first.counts.failures) == (0, 0)
    assert first.counts.delivered_at is not None
    await place.catalog.publish(release(place.repositories["other"].id, "x", "y"), LEASE)
