"""Pulls are counted for every format, on the way out that all of them share, and are there after a stop."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nora.catalog.pulls import FileKey
from nora.errors import StorageBusy
from nora.formats import discover
from nora.http.pulls import MOST_WAITING, PullCounter
from tests.support.in_process import application
from tests.support.npm_registry import Built, NpmRegistry
from tests.support.oci_upstream import OCIUpstream
from tests.support.upstream import Answer, Upstream

pytestmark = pytest.mark.anyio

ASK = """
SELECT repository.format, file.pulls, file.last_used_at > 0, version.pulls, version.last_pulled_at > 0,
package_use.pulls FROM file JOIN repository ON repository.id = file.repository_id
LEFT JOIN version ON version.id = file.version_id LEFT JOIN package_use USING (package_id)
WHERE file.last_used_at IS NOT NULL ORDER BY 1"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_pulls_of_every_format_are_counted(tmp_path: Path) -> None:
    expected = []
    async with application(tmp_path) as http:
        for served in discover():
            sample = __import__(f"nora.formats.{served.name}.samples", fromlist=["SAMPLE"]).SAMPLE
            for step in sample.publish:
                answer = await http.request(
                    step.method, step.path, headers=dict(step.headers), content=step.body
                )
                assert answer.status_code in {step.status, step.again}, (step, answer.text)
            path, headers = sample.fetch.path, dict(sample.fetch.headers)
            found = [await http.get(path, headers=headers) for _ in range(3)]
            assert [one.status_code for one in found] == [200] * 3, served.name
            await http.head(path, headers=headers)
            again = {**headers, "if-none-match": found[0].headers["etag"]}
            assert (await http.get(path, headers=again)).status_code == 304, served.name
            expected.append(served.name)
    with closing(sqlite3.connect(next(tmp_path.rglob("catalog*.sqlite3")))) as db:
        rows = db.execute(ASK).fetchall()
    assert [row[0] for row in rows] == sorted(expected)
    for name, pulls, is_used, *owners in rows:
        assert (pulls, is_used) == (3, 1), name
        assert owners in ([3, 1, 3], [None, None, None]), name


async def test_pulls_of_what_is_cached_are_counted(tmp_path: Path, upstream: Upstream) -> None:
    images, packages = OCIUpstream(library=False), NpmRegistry()
    images.mount(upstream)
    images.image("corp/tool", "7")
    packages.add(Built("pad-left", "1.2.3", {}))
    packages.mount(upstream)
    upstream.serve("/files/a.txt", Answer(body=b"text"))
    environ = {
        "NORA_DOCKER_UPSTREAMS": upstream.url,
        "NORA_NPM_PROXY": packages.url,
        "NORA_RAW_UPSTREAMS": f"{upstream.url}/files",
    }
    async with application(tmp_path, **environ) as http:
        for path in ("/v2/corp/tool/manifests/7", "/npm/pad-left/-/pad-left-1.2.3.tgz", "/raw/a.txt"):
            for _ in range(2):
                assert (await http.get(path)).status_code == 200, path
    with closing(sqlite3.connect(next(tmp_path.rglob("catalog*.sqlite3")))) as db:
        rows = db.execute(ASK).fetchall()
    assert [(row[0], row[1]) for row in rows if row[1]] == [("docker", 2), ("npm", 2), ("raw", 2)]


class Recorder:
    def __init__(self) -> None:
        self.noted: dict[FileKey, int] = {}
        self.is_busy = False

    async def note_pulls(self, counts: list[tuple[FileKey, int]], now: float) -> None:
        if self.is_busy:
            raise StorageBusy("later")
        for file, count in counts:
            self.noted[file] = self.noted.get(file, 0) + count


async def test_a_whole_answer_is_a_pull_and_a_part_is_a_use() -> None:
    counter, catalog = PullCounter(), Recorder()
    for status in (200, 307, 206, 304, 404, 200):
        counter.note((1, "a"), status)
    counter.note((1, "b"), 304)
    counter.note((1, "c"), 416)
    await counter.flush(catalog)
    assert catalog.noted == {(1, "a"): 3, (1, "b"): 0}


async def test_what_could_not_be_recorded_is_counted_on() -> None:
    counter, catalog = PullCounter(), Recorder()
    for number in range(MOST_WAITING + 5):
        counter.note((1, str(number)), 200)
    catalog.is_busy = True
    with pytest.raises(StorageBusy):
        await counter.flush(catalog)
    counter.note((1, "0"), 200)
    catalog.is_busy = False
    await counter.flush(catalog)
    assert catalog.noted[1, "0"] == 2
    assert len(catalog.noted) == MOST_WAITING
