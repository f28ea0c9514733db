"""What a collection and retention would remove is looked at before it goes, on the pages and by the API."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from nora.commands import open_catalog
from nora.config import repository_specs
from nora.formats import load_config
from tests.contracts.catalog import new_blob
from tests.support.access import PASSWORD, write_users
from tests.support.in_process import add_token, application

pytestmark = pytest.mark.anyio
RULES = """
[[retention.rules]]
registry = "raw"
name_glob = "builds"
keep_last = 1
"""


async def ended(http: httpx.AsyncClient, job: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """A job when it has ended."""
    async with asyncio.timeout(60):
        while True:
            told: dict[str, Any] = (await http.get(f"/api/v1/admin/jobs/{job}", headers=headers)).json()
            if told["state"] in ("done", "failed"):
                return told
            await asyncio.sleep(0.02)


async def leave_garbage(folder: Path) -> None:
    """A blob that came long ago, and nothing needs."""
    config = load_config({"NORA_STORAGE_PATH": str(folder / "storage")}, folder)
    async with open_catalog(config) as catalog:
        hosted = (await catalog.sync_repositories(repository_specs(config)))["docker-hosted"]
        await catalog.add_blob(new_blob("loose"), hosted.id, "team/app", 0.0)


async def test_garbage_is_told_by_kind_and_then_collected(tmp_path: Path) -> None:
    said = {"NORA_GC_GRACE": "0", "NORA_GC_UNLINK_DELAY": "1h", "NORA_GC_ENABLED": "false"}
    async with application(tmp_path, NORA_PROXY_MODE="offline", **said) as http:
        names = [one["name"] for one in (await http.get("/api/v1/admin/jobs")).json()["jobs"]]
        assert names == ["plan-collection", "collect"], "without rules there is nothing to remove by them"
        assert (await http.get("/ui/upkeep/retention")).status_code == 404
        before = (await http.get("/api/v1/admin/jobs/plan-collection")).json()
        assert (before["state"], before["asked_at"], before["parts"]) == ("", None, [])
        assert "Nobody has looked yet." in (await http.get("/ui/upkeep/collection")).text
        await leave_garbage(tmp_path)
        asked = await http.post("/api/v1/admin/jobs", json={"job": "plan-collection"})
        assert (asked.status_code, asked.json()["state"]) == (202, "waiting")
        plan = await ended(http, "plan-collection")
        parts = {one["kind"]: (one["count"], one["bytes"]) for one in plan["parts"]}
        assert parts == {"unused": (0, 0), "unneeded": (1, 5), "strays": (0, 0), "doomed": (0, 0)}
        [example] = plan["examples"]
        assert (example["kind"], example["bytes"]) == ("unneeded", 5)
        page = (await http.get("/ui/upkeep/collection", headers={"accept-language": "ru"})).text
        assert "Блобы, которые больше не нужны" in page
        assert example["name"] in page
        assert 'value="apply"' not in page, "it is asked for once"
        page = (await http.get("/ui/upkeep/collection?do=apply")).text
        assert "This cannot be undone." in page
        done = await http.post("/ui/upkeep/collection", data={"key": "", "do": "apply"})
        assert (done.status_code, done.headers["location"]) == (303, "../upkeep/collection")
        collected = await ended(http, "collect")
        counts = {one["kind"]: one["count"] for one in collected["parts"]}
        assert counts == {"unused": 0, "unneeded": 1, "removed": 0, "kept": 0, "doomed": 1}
        assert (await http.post("/ui/upkeep/collection", data={"key": "", "do": "paint"})).status_code == 400


async def test_rules_are_applied_as_the_plan_says_and_the_audit_log_tells_each(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(RULES)
    users, log = write_users(tmp_path / "users", admin=PASSWORD), tmp_path / "storage" / "audit.jsonl"
    said = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(users),
        "NORA_AUTH_ADMIN_USERS": "admin",
    }
    async with application(tmp_path, NORA_PROXY_MODE="offline", **said) as http:
        token = {"authorization": f"Bearer {await add_token(tmp_path, 'admin')}"}
        for name in ("a", "b", "c"):
            put = await http.put(f"/raw/builds/{name}.bin", content=name.encode() * 9, headers=token)
            assert put.status_code == 201
        asked = await http.post("/api/v1/admin/jobs", json={"job": "plan-retention"}, headers=token)
        assert asked.status_code == 202
        plan = await ended(http, "plan-retention", token)
        assert plan["parts"] == [{"kind": "rule 1", "count": 2, "bytes": 18}]
        going = [(one["package"], one["name"], one["bytes"]) for one in plan["examples"]]
        assert going == [("builds", "builds/a.bin", 9), ("builds", "builds/b.bin", 9)]
        login = await http.post("/ui/login", data={"username": "admin", "password": PASSWORD})
        admin = {"cookie": login.headers["set-cookie"].partition(";")[0]}
        http.cookies.clear()
        page = (await http.get("/ui/upkeep/retention?do=apply", headers=admin)).text
        assert "builds/a.bin" in page
        assert "keep_last = 1" in page
        foreign = await http.post("/ui/upkeep/retention", data={"key": "other", "do": "apply"}, headers=admin)
        assert foreign.status_code == 403
        [key] = {*re.findall(r'name="key" value="([^"]+)"', page)}
        done = await http.post("/ui/upkeep/retention", data={"key": key, "do": "apply"}, headers=admin)
        assert done.status_code == 303
        applied = await ended(http, "apply-retention", token)
        assert (applied["by"], applied["parts"]) == ("admin", plan["parts"])
        assert [one["name"] for one in applied["examples"]] == [one["name"] for one in plan["examples"]]
        left = [(await http.get(f"/raw/builds/{name}.bin", headers=token)).status_code for name in "abc"]
        assert left == [404, 404, 200]
        page = (await http.get("/ui/upkeep/retention", headers=admin)).text
        assert "asked for by admin" in page
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline:
            written = log.read_bytes() if log.exists() else b""
            if written.count(b"rule 1") == 2 and b"apply-retention" in written:
                break
            await asyncio.sleep(0.02)
    lines = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    by_rule = [one for one in lines if "rule 1" in str(one)]
    assert ["a.bin" in str(one) for one in by_rule] == [True, False]
    assert "apply-retention" in str(lines), "who has asked is told"
