"""What an administrator is told of the store and of what is done about it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nora.commands import open_catalog
from nora.config import repository_specs
from nora.formats import load_config
from nora.http.jobs import JobRecords
from tests.contracts.catalog import new_blob
from tests.support.in_process import application
from tests.ui.content import everything

pytestmark = pytest.mark.anyio


async def doom_something(folder: Path) -> None:
    """A blob that nothing needs, collected and not removed yet."""
    config = load_config({"NORA_STORAGE_PATH": str(folder / "storage")}, folder)
    async with open_catalog(config) as catalog:
        hosted = (await catalog.sync_repositories(repository_specs(config)))["docker-hosted"]
        blob = await catalog.add_blob(new_blob("loose"), hosted.id, "team/app", 0.0)
        now = time.time() + 60.0
        await catalog.doom_blobs([blob], created_before=now, now=now)


async def test_upkeep_tells_what_is_stored_and_what_was_done(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline", NORA_STORAGE_RESERVE="1MiB") as http:
        [locks] = tmp_path.rglob("locks")
        records = JobRecords(locks)
        records.note("sweep-uploads", 1000.0)
        records.note("backup", 2000.0, result="2 blobs, to backup.tar.gz")
        records.note("backup", 3000.0, "the disk is full")
        records.note("backup", 4000.0, "and still is")
        records.note("sweep-ended", 1000.0, "the disk is\n full " * 99)
        (locks / "evict-unused.run").write_bytes(b'{"began_at":')
        for sent in everything():
            assert (await http.request(sent.method, sent.path, **sent.said)).status_code < 300
        await doom_something(tmp_path)
        told = (await http.get("/api/v1/admin/upkeep")).json()
        page = await http.get("/ui/upkeep", headers={"accept-language": "ru"})
    formats = {one["format"]: one for one in told["formats"]}
    assert formats["docker"]["packages"] > 0
    assert formats["raw"]["files"] > 0
    assert told["bytes"] <= sum(one["bytes"] for one in formats.values())
    assert {one["kind"] for one in told["repositories"]} == {"hosted", "proxy"}
    sizes = [one["bytes"] for one in told["largest"]]
    assert sizes == sorted(sizes, reverse=True)
    assert {"docker", "npm"} <= {one["repository"] for one in told["largest"]}  # as clients name them
    used = [one["used_at"] for one in told["unused"]]
    assert used == sorted(used)
    assert {one["name"] for one in told["unused"]} >= {one["name"] for one in told["largest"]}
    assert 0 < told["free_bytes"] < told["disk_bytes"]
    assert (told["reserve_bytes"], told["uploads"]) == (2**20, 0)
    assert (told["doomed"], told["doomed_bytes"]) == (1, 5)
    jobs = {one["name"]: one for one in told["jobs"]}
    assert (jobs["sweep-uploads"]["problem"], jobs["sweep-uploads"]["began_at"]) == ("", 1000.0)
    assert len(jobs["sweep-ended"]["problem"]) == 300
    assert jobs["evict-unused"]["ended_at"] is None
    assert (told["backup"]["began_at"], told["backup"]["problem"]) == (4000.0, "and still is")
    assert told["backup"]["succeeded_at"] == 2000.0
    assert told["verification"] is None
    assert page.status_code == 200
    for text in (
        "Самые большие пакеты",
        "Дольше всего не использовались",
        "Закрыть заброшенные отправки",
        "the disk is",
        "team/app",
        "Обслуживание",
        "Резервная копия и проверка",
        "and still is",
        "Последний успешный раз",
        "скоро будет удалено",
    ):
        assert text in page.text


RULES = """
[[retention.rules]]
registry = "docker"
name_glob = "team/app"
keep_last = 1
[[retention.rules]]
registry = "raw"
keep_last = 0
"""


async def test_what_would_go_is_told_before_anything_goes(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(RULES)
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        for sent in everything():
            assert (await http.request(sent.method, sent.path, **sent.said)).status_code < 300
        told = (await http.get("/api/v1/admin/retention")).json()
        page = await http.get("/ui/upkeep", headers={"accept-language": "ru"})
        tags = (await http.get("/v2/team/app/tags/list")).json()["tags"]
    assert [one["keep_last"] for one in told["rules"]] == [1, 0]
    assert (told["complete"], told["enabled"]) == (True, False)
    by_rule = {number: [one for one in told["removals"] if one["rule"] == number] for number in (1, 2)}
    assert {one["package"] for one in by_rule[1]} == {"team/app"}
    assert {*(one["name"] for one in by_rule[1])} < {*tags}, "nothing has gone"
    assert "builds/7/app.tar.gz" in {one["name"] for one in by_rule[2]}
    assert told["totals"]["tags"] == len(by_rule[1]) == len(tags) - 1
    assert told["totals"]["bytes"] == sum(one["bytes"] for one in told["removals"])
    assert page.status_code == 200
    for text in ("Что уйдёт по правилам", "builds/7/app.tar.gz", "keep_last = 1"):
        assert text in page.text
