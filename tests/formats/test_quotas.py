"""A full repository, as the clients of each format are told of it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from nora.config import repository_specs
from nora.errors import ConfigError
from nora.formats import discover, load_config
from nora.model import Quota
from tests.support.in_process import application
from tests.support.oci import digest
from tests.support.tables import each
from tests.ui.content import everything


def write(folder: Path, said: str) -> None:
    names = [one.name for one in discover()]
    (folder / "config.toml").write_text("".join(f"[repositories.{name}-hosted]\n{said}\n" for name in names))


@pytest.mark.anyio
async def test_every_format_says_that_a_repository_is_full(tmp_path: Path) -> None:
    write(tmp_path, "quota_versions = 0")
    told: dict[str, list[str]] = {}
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        for sent in everything():
            answer = await http.request(sent.method, sent.path, **sent.said)
            if answer.status_code >= 300:
                mount = sent.path.strip("/").partition("/")[0]
                told.setdefault(mount, []).append(answer.text)
                assert answer.status_code == 403, (sent.path, answer.text)
        tags = await http.get("/v2/team/app/tags/list")
        raw = await http.get("/raw/readme.txt")
    assert (tags.json().get("tags") or [], raw.status_code) == ([], 404)
    assert len(told) >= 5, "formats that something was sent to"
    for mount, texts in told.items():
        assert all(
            "-hosted is full: it would hold 1 versions of 0 (quota_versions)" in text for text in texts
        ), mount
    [one] = orjson.loads(told["v2"][0])["errors"]
    assert one["code"] == "DENIED"
    assert "is full" in orjson.loads(told["npm"][0])["error"]


@pytest.mark.anyio
async def test_no_bytes_stay_of_what_was_refused(tmp_path: Path) -> None:
    write(tmp_path, 'quota_bytes = "1KiB"')
    blob = b"x" * 2000
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        opened = await http.post("/v2/team/app/blobs/uploads/")
        location = opened.headers["location"]
        sep = "&" if "?" in location else "?"
        closed = await http.put(f"{location}{sep}digest={digest(blob)}", content=blob)
        assert (closed.status_code, closed.json()["errors"][0]["code"]) == (403, "DENIED")
        assert (await http.put("/raw/a", content=blob)).status_code == 403
        assert (await http.put("/raw/a", content=b"y" * 1024)).status_code == 201
        assert (await http.put("/raw/b", content=b"z")).status_code == 403
        assert (await http.delete("/raw/a")).status_code == 204
        assert (await http.put("/raw/b", content=b"z")).status_code == 201
        store = (await http.get("/api/v1/admin/upkeep")).json()
    left = [one.stat().st_size for one in (tmp_path / "storage").rglob("*") if one.is_file()]
    assert 2000 not in left
    assert store["uploads"] <= 1


WRONG = {
    'format = "npm"\nquota_bytes = "much"': "quota_bytes = 'much': expected bytes, or a size",
    'format = "npm"\nquota_versions = -1': "quota_versions = -1: expected a whole number from 0",
    'format = "npm"\nkind = "group"\nmembers = ["npm-hosted"]\nquota_bytes = 1': "quota_bytes belongs to",
}


@each("said, problem", WRONG.items())
def test_a_quota_that_makes_no_sense_is_refused(tmp_path: Path, said: str, problem: str) -> None:
    (tmp_path / "config.toml").write_text(f"[repositories.ours]\n{said}\n")
    with pytest.raises(ConfigError) as error:
        load_config({}, tmp_path)
    assert problem in str(error.value)


def test_quotas_are_those_of_named_and_of_default_hosted_repositories(tmp_path: Path) -> None:
    ours = "[repositories.ours]\nformat = 'npm'\nquota_bytes = '1MiB'\n"
    (tmp_path / "config.toml").write_text(ours + "[repositories.npm-hosted]\nquota_versions = 5\n")
    specs = {one.name: one.quota for one in repository_specs(load_config({}, tmp_path))}
    assert {name: quota for name, quota in specs.items() if quota} == {
        "ours": Quota(bytes=2**20),
        "npm-hosted": Quota(versions=5),
    }
    (tmp_path / "config.toml").write_text("[repositories.npm]\nquota_versions = 5\n")
    with pytest.raises(ConfigError, match="a quota belongs to hosted repositories only"):
        repository_specs(load_config({}, tmp_path))
