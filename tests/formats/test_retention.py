"""Retention over the formats that there are: what goes, how, and what is not lost beside it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from nora.catalog.base import Catalog
from nora.catalog.records import NewCached, NewFile, Reference, Release, TagWrite
from nora.commands import open_catalog
from nora.config import Config, repository_specs
from nora.errors import Conflict
from nora.formats import load_config
from nora.formats.retention import Retention, Totals, note_of
from nora.formats.retention_job import RetentionJob
from nora.formats.retention_shown import removal_shown
from nora.http.tasks import spawn
from nora.model import Repository
from nora.observability.audit import Note
from nora.observability.metrics import Metrics
from nora.observability.shared import SharedMemory
from nora.retention.rules import DAY
from tests.contracts.catalog import LEASE, layer, new_blob, release, sha256
from tests.support.in_process import application
from tests.support.tables import each
from tests.ui.content import everything

pytestmark = pytest.mark.anyio

LATER = 40 * DAY
Work = Callable[[Config, Catalog, dict[str, Repository]], Awaitable[None]]


def with_catalog(folder: Path, work: Work, **environ: str) -> None:
    async def run() -> None:
        config = configured(folder, [{"registry": "*", "older_than_days": 30}], **environ)
        async with open_catalog(config) as catalog:
            await work(config, catalog, await catalog.sync_repositories(repository_specs(config)))

    asyncio.run(run())


def configured(folder: Path, rules: list[dict[str, Any]], **environ: str) -> Config:
    written = "".join(
        "[[retention.rules]]\n"
        + "".join(f"{name} = {orjson.dumps(value).decode()}\n" for name, value in one.items())
        for one in rules
    )
    (folder / "config.toml").write_text(written)
    env = {"NORA_STORAGE_PATH": str(folder / "storage"), "NORA_PROXY_MODE": "online", **environ}
    return load_config(env, folder)


async def apply(retention: Retention) -> tuple[list[str], Totals]:
    gone: list[str] = []
    totals = await retention.apply(lambda place, package, one: gone.append(f"{package} {one.name}"))
    return gone, totals


def later(config: Config, catalog: Catalog, repositories: dict[str, Repository]) -> Retention:
    return Retention(config, catalog, repositories, clock=lambda: time.time() + LATER)


# -- over the wire -------------------------------------------------------------------------------------------


async def test_what_goes_is_gone_for_the_clients_of_every_format(tmp_path: Path) -> None:
    rules = [
        {"registry": "docker", "name_glob": "team/app", "keep_last": 1, "older_than_days": 30},
        {"registry": "raw", "name_glob": "builds/7", "keep_last": 0},
        {"registry": "npm-hosted", "keep_last": 0, "older_than_days": 30},
        {"registry": "*", "name_glob": "org.acme:*", "older_than_days": 30},
    ]
    config = configured(tmp_path, rules)
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        for sent in everything():
            assert (await http.request(sent.method, sent.path, **sent.said)).status_code < 300
        before = (await http.get("/v2/team/app/tags/list")).json()["tags"]
        async with open_catalog(config) as catalog:
            repositories = await catalog.sync_repositories(repository_specs(config))
            retention = later(config, catalog, repositories)
            planned = [
                removal_shown(one.place, one.package, removal)
                async for one in retention.plan()
                for removal in one.removals
            ]
            gone, totals = await apply(retention)
            assert [f"{one['package']} {one['name']}" for one in planned] == gone
            assert totals.bytes == sum(one["bytes"] for one in planned) > 0
            assert totals.versions == sum(len(one["versions"]) for one in planned)
            assert (await apply(retention))[0] == []
        after = (await http.get("/v2/team/app/tags/list")).json()["tags"]
        assert len(after) == 1 < len(before)
        assert after[0] in ("1.1", "latest")
        index = (await http.get(f"/v2/team/app/manifests/{after[0]}")).json()
        for child in index["manifests"]:
            answer = await http.get(f"/v2/team/app/manifests/{child['digest']}")
            assert answer.status_code == 200, "what an image needs stays"
        assert {one["repository"] for one in planned} == {
            "docker-hosted", "raw-hosted", "npm-hosted", "maven-hosted"
        }  # fmt: skip
        assert (await http.get("/raw/builds/7/app.tar.gz")).status_code == 404
        assert (await http.get("/raw/builds/8/app.tar.gz")).status_code == 200
        pom = "/maven2/org/acme/team-lib/1.0/team-lib-1.0.pom"
        assert (await http.get(pom)).status_code == 404
        assert (await http.get("/maven2/org/acme/team-lib/maven-metadata.xml")).status_code == 404
        assert (await http.put(pom, content=b"<project/>")).status_code >= 400, (
            "a release is never another one"
        )
        npm = [one["package"] for one in planned if one["format"] == "npm"]
        for name in npm:
            answer = await http.get(f"/npm/{name.replace('/', '%2f')}")
            assert "nothing was published under it" in answer.text
        told = (await http.get("/api/v1/events")).json()["events"]
        assert {"deleted", "untagged"} <= {one["kind"] for one in told}


# -- names that are never used again -------------------------------------------------------------------------

AGAIN = {
    "npm": ("ui/-/ui-1.0.0.tgz", False),
    "pypi": ("ui/ui-1.0.0.tar.gz", False),
    "cargo": ("ui/ui-1.0.0.crate", False),
    "go": ("example.com/ui/@v/1.0.0.zip", False),
    "docker": ("ui/manifests/1.0.0", True),
    "maven": ("com/example/ui/1.0.0/ui-1.0.0.jar", False),
}


@each("format_name, path, may", [(name, *row) for name, row in AGAIN.items()])
def test_a_name_is_used_again_where_a_delete_leaves_it_free(
    format_name: str, path: str, may: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = NewFile(path=path, media_type="text/plain", blob=new_blob("one"))

    async def work(config: Config, catalog: Catalog, repositories: dict[str, Repository]) -> None:
        hosted = repositories[f"{format_name}-hosted"].id
        one = Release(
            repository_id=hosted, package="ui", version="1.0.0", files=(made,), tags=(TagWrite("1"),)
        )
        await catalog.publish(one, LEASE)
        gone, totals = await apply(later(config, catalog, repositories))
        assert (len(gone), totals.versions, totals.files) == (1, 1, 1)
        try:
            await catalog.publish(one, LEASE)
        except Conflict:
            assert not may
        else:
            assert may

    with_catalog(tmp_path_factory.mktemp(format_name), work)


def test_snapshots_and_files_that_may_be_replaced_are_put_again(tmp_path: Path) -> None:
    async def work(config: Config, catalog: Catalog, repositories: dict[str, Repository]) -> None:
        path = "com/example/ui/1-SNAPSHOT/maven-metadata-local.xml"
        snapshot = NewFile(path=path, media_type="text/xml", blob=new_blob("one"))
        one = Release(
            repository_id=repositories["maven-hosted"].id,
            package="com.example:ui",
            version="1-SNAPSHOT",
            files=(snapshot,),
        )
        await catalog.publish(one, LEASE)
        raw = repositories["raw-hosted"].id
        file = NewFile(path="a/b", media_type="text/plain", blob=new_blob("two"))
        await catalog.put_file(raw, file, replace=False)
        assert len((await apply(later(config, catalog, repositories)))[0]) == 2
        await catalog.put_file(raw, file, replace=False)

    with_catalog(tmp_path, work, NORA_RAW_OVERWRITE="always")


# -- beside others -------------------------------------------------------------------------------------------


class Meddling(Retention):
    """Somebody changes what was looked at, right after the look."""

    meddle: Callable[[], Awaitable[None]]

    async def plan(self) -> Any:  # type: ignore[override]
        async for planned in super().plan():
            await self.meddle()
            yield planned


def test_what_came_after_the_plan_is_not_lost(tmp_path: Path) -> None:
    async def work(config: Config, catalog: Catalog, repositories: dict[str, Repository]) -> None:
        hosted, raw = repositories["docker-hosted"].id, repositories["raw-hosted"].id
        for name in ("old", "older"):
            await catalog.publish(release(hosted, "app", name, name), LEASE)
        file = NewFile(path="a", media_type="text/plain", blob=new_blob("a"))
        await catalog.put_file(raw, file, replace=False)
        retention = Meddling(config, catalog, repositories, clock=lambda: moments[0])
        moments = [time.time() + LATER]

        async def meddle() -> None:
            await catalog.publish(release(hosted, "app", "new", "old", "new"), LEASE)
            other = NewFile(path="a", media_type="text/plain", blob=new_blob("other"))
            await catalog.put_file(raw, other, replace=True)
            moments[0] = time.time()  # what is decided anew is too young

        retention.meddle = meddle
        assert (await apply(retention))[0] == []
        assert await catalog.list_tags(hosted, "app", "", 9) == ["new", "old", "older"]
        assert await catalog.find_file(raw, "a") is not None

    with_catalog(tmp_path, work)


def test_pushes_beside_it_keep_all_that_they_made(tmp_path: Path) -> None:
    async def work(config: Config, catalog: Catalog, repositories: dict[str, Repository]) -> None:
        hosted = repositories["docker-hosted"].id
        for number in range(60):
            await catalog.publish(release(hosted, "app", f"old {number}", f"old-{number}"), LEASE)
        born = time.time()
        retention = Retention(config, catalog, repositories, clock=lambda: born + 30 * DAY)
        is_done = asyncio.Event()

        async def push(writer: int) -> list[str]:
            made = []
            while (not is_done.is_set() or len(made) < 3) and len(made) < 400:
                tag = f"new-{writer}-{len(made)}"
                await catalog.publish(release(hosted, "app", tag, tag), LEASE)
                made.append(tag)
                await asyncio.sleep(0)
            return made

        pushing = [spawn(push(writer), "push") for writer in range(4)]
        gone = (await apply(retention))[0]
        is_done.set()
        made = [tag for task in pushing for tag in await task]
        tags = await catalog.list_tags(hosted, "app", "", 10_000)
        assert {*made} <= {*tags}
        assert len(gone) == 60
        assert not [one for one in gone if " new-" in one]
        history = await catalog.read_package_history(hosted, "app")
        assert history is not None
        assert {one.version for one in history.tags} == {one.name for one in history.versions}

    with_catalog(tmp_path, work)


# -- what is cached ------------------------------------------------------------------------------------------


def test_what_is_cached_goes_only_where_a_rule_names_its_repository(tmp_path: Path) -> None:
    async def work(config: Config, catalog: Catalog, repositories: dict[str, Repository]) -> None:
        [source] = repositories["npm-proxy"].sources
        for version in ("1.0.0", "1.1.0"):
            entry = NewCached(
                path=f"ui/-/ui-{version}.tgz",
                package="ui",
                version=version,
                media_type="application/gzip",
                blob=new_blob(version),
                upstream_url="https://example.com",
                fetched_at=time.time(),
                fresh_until=float("inf"),
            )
            await catalog.put_cached(source.id, entry, LEASE)
        assert (await apply(later(config, catalog, repositories)))[0] == []
        named = configured(tmp_path, [{"registry": "npm-proxy", "keep_last": 1}])
        gone, totals = await apply(later(named, catalog, repositories))
        assert (gone, totals.files) == (["ui 1.0.0"], 1)
        assert [one.name for one in await catalog.list_versions(source.id, "ui")] == ["1.1.0"]
        again = NewFile(path="ui/-/ui-1.0.0.tgz", media_type="", blob=new_blob("1.0.0"))
        assert await catalog.find_file(source.id, again.path) is None

    with_catalog(tmp_path, work)


def test_the_audit_log_has_the_rule(tmp_path: Path) -> None:
    async def work(config: Config, catalog: Catalog, repositories: dict[str, Repository]) -> None:
        await catalog.publish(release(repositories["docker-hosted"].id, "app", "x", "1"), LEASE)
        notes = []
        await later(config, catalog, repositories).apply(
            lambda place, package, one: notes.append(note_of(place, package, one))
        )
        [note] = notes
        assert (note.action, note.repository) == ("delete", "docker-hosted")
        assert note.name == "app 1 (rule 1: registry = *, older_than_days = 30)"
        assert note.digest.startswith("sha256:")

    with_catalog(tmp_path, work)


def test_cached_images_go_with_what_only_they_need(tmp_path: Path) -> None:
    async def work(config: Config, catalog: Catalog, repositories: dict[str, Repository]) -> None:
        [source] = repositories["docker-proxy"].sources
        for name, needs in (("arm", ()), ("amd", ()), ("old", ("arm", "amd")), ("new", ("amd",))):
            references = tuple(Reference(sha256(one), "child", False) for one in needs)
            await catalog.publish(release(source.id, "library/app", name, needs=references), LEASE)
        named = configured(tmp_path, [{"registry": "docker-proxy", "keep_last": 1, "name_glob": "library/*"}])
        gone, totals = await apply(later(named, catalog, repositories))
        assert (gone, totals.versions) == ([f"library/app {sha256('old')}"], 2)
        left = {one.name for one in await catalog.list_versions(source.id, "library/app")}
        assert left == {sha256("amd"), sha256("new")}

    with_catalog(tmp_path, work)


# -- from time to time ---------------------------------------------------------------------------------------


class Told:
    """In the place of an audit log."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def observe_job(self, job: str, noted: Note, registry: str) -> None:
        self.lines.append((job, registry, noted.name))


@each("dry", [True, False])
def test_the_job_applies_the_rules_or_tells_what_would_go(
    dry: bool, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    folder, audit = tmp_path_factory.mktemp("job"), Told()
    metrics = Metrics(SharedMemory(1), 0, version="1", compiled=False)
    caplog.set_level("INFO")

    async def work(config: Config, catalog: Catalog, repositories: dict[str, Repository]) -> None:
        hosted = repositories["docker-hosted"].id
        for name in ("a", "b"):
            await catalog.publish(release(hosted, "app", name, name), LEASE)
        rules = replace(configured(folder, [{"registry": "docker", "keep_last": 1}]).retention, dry_run=dry)
        services = SimpleNamespace(
            config=replace(config, retention=rules),
            catalog=catalog,
            cache=SimpleNamespace(forget_absences=lambda _: None),
        )
        await RetentionJob(services, repositories, audit, metrics).run()  # type: ignore[arg-type]
        assert await catalog.list_tags(hosted, "app", "", 9) == (["a", "b"] if dry else ["b"])

    with_catalog(folder, work)
    values = metrics.values("nora_retention_versions_deleted", "nora_retention_last_run_timestamp")
    [(_, deleted)] = values["nora_retention_versions_deleted"]
    [(_, ran_at)] = values["nora_retention_last_run_timestamp"]
    assert deleted == (0 if dry else 1)
    assert ran_at > 0
    what = "app a (rule 1: registry = docker, keep_last = 1)"
    assert audit.lines == ([] if dry else [("retention", "docker", what)])
    assert ("docker-hosted app a would go: rule 1" in caplog.text) is dry
    caplog.clear()


# -- killed --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_whole_images_and_is_done_again(tmp_path: Path) -> None:
    count = 2000

    async def fill(config: Config, catalog: Catalog, repositories: dict[str, Repository]) -> None:
        hosted = repositories["docker-hosted"].id
        for start in range(0, count, 100):
            for kind in ("part", "image"):
                made = [
                    release(hosted, "app", f"part {n}")
                    if kind == "part"
                    else release(hosted, "app", f"image {n}", f"t{n}", needs=(layer(f"part {n}"),))
                    for n in range(start, start + 100)
                ]
                await asyncio.gather(*(catalog.publish(one, LEASE) for one in made))

    async def look(config: Config, catalog: Catalog, repositories: dict[str, Repository]) -> None:
        history = await catalog.read_package_history(repositories["docker-hosted"].id, "app")
        assert history is not None
        versions = {one.name for one in history.versions}
        assert {one.version for one in history.tags} <= versions
        assert {one.digest for each in history.versions for one in each.references} <= versions
        assert len(versions) == 2 * len(history.tags)
        left.append(len(history.tags))

    left: list[int] = []
    with_catalog(tmp_path, fill)
    configured(tmp_path, [{"registry": "docker", "keep_last": 1}])
    env = {**os.environ, "NORA_STORAGE_PATH": str(tmp_path / "storage"), "NORA_PROXY_MODE": "online"}
    command = [sys.executable, "-m", "nora", "retention", "apply", "--yes"]
    running = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE)
    assert running.stdout is not None
    running.stdout.readline()
    running.kill()
    running.communicate()
    with_catalog(tmp_path, look)
    configured(tmp_path, [{"registry": "docker", "keep_last": 1}])
    done = subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True)
    assert b"removed: " in done.stderr
    with_catalog(tmp_path, look)
    assert left[-1] == 1
