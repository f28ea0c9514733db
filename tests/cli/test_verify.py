"""`nora verify` on the store of a server."""

from __future__ import annotations

import asyncio
import os
from math import inf
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from nora.blobs.base import Expect
from nora.catalog.records import Cached, NewCached
from nora.cli import main
from nora.commands import open_services
from nora.config import repository_specs
from nora.formats import load_config
from nora.http.jobs import VERIFICATION, JobRecords, Run
from tests.support.stores import LARGE, flip, get, object_of, put

URL = "https://index.example.com/simple"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("NORA_STORAGE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NORA_STORAGE_PATH", str(tmp_path / "storage"))
    monkeypatch.setenv("NORA_PYPI_PROXY", URL)


def nora(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def last(folder: Path) -> Run:
    found = JobRecords(folder / "storage/locks").last(VERIFICATION)
    assert found is not None
    return found


def test_nothing_is_wrong_with_a_store_as_it_was_written(tmp_path: Path) -> None:
    put(tmp_path, "/raw/large", LARGE)
    put(tmp_path, "/raw/empty", b"")
    done = nora("verify", "--json")
    assert done.exit_code == 0, done.output
    found = orjson.loads(done.stdout)
    assert (found["blobs"], found["bytes"], found["damages"], found["row_problems"]) == (
        2,
        len(LARGE),
        [],
        [],
    )
    assert last(tmp_path).problem == ""
    assert "verify" not in (tmp_path / "storage/audit.jsonl").read_text(), "it has only looked"


@pytest.mark.parametrize("data", [LARGE, b"small"])
def test_a_flipped_bit_is_named_and_mended_by_who_puts_it_again(tmp_path: Path, data: bytes) -> None:
    put(tmp_path, "/raw/dir/file", data)
    put(tmp_path, "/raw/whole", b"whole")
    path = object_of(tmp_path, data)
    flip(path, len(data) // 2)
    done = nora("verify")
    assert done.exit_code == 1
    assert f"damaged: sha256:{path.name[:64]} ({len(data)} bytes)" in done.stdout
    assert "raw-hosted: dir/file" in done.stdout
    assert "1 are wrong" in last(tmp_path).problem
    assert path.exists(), "nothing was changed"
    mended = nora("verify", "--repair")
    assert mended.exit_code == 1
    assert "to be put again" in mended.stdout
    assert not path.exists()
    assert (tmp_path / "storage/damaged" / path.name).exists()
    assert get(tmp_path, "/raw/dir/file").status_code == 500
    assert put(tmp_path, "/raw/dir/file", data).is_success
    assert get(tmp_path, "/raw/dir/file").content == data
    assert nora("verify").exit_code == 0
    assert get(tmp_path, "/raw/whole").content == b"whole"


def test_a_missing_object_is_named(tmp_path: Path) -> None:
    put(tmp_path, "/raw/file", LARGE)
    object_of(tmp_path, LARGE).unlink()
    done = nora("verify", "--json")
    assert done.exit_code == 1
    (damage,) = orjson.loads(done.stdout)["damages"]
    assert (damage["problem"], damage["uses"], damage["outcome"]) == ("missing", ["raw-hosted: file"], "")


def test_what_came_from_an_upstream_is_forgotten_and_fetched_anew(tmp_path: Path) -> None:
    async def cache() -> None:
        async with open_services(load_config(os.environ, tmp_path)) as services:
            specs = repository_specs(load_config(os.environ, tmp_path))
            (source,) = (await services.catalog.sync_repositories(specs))["pypi-proxy"].sources
            for package, path in (("demo", "demo/demo-1.whl"), (None, "alone")):
                async with services.blobs.ingest(LARGE, Expect()) as new:
                    entry = NewCached(
                        path=path,
                        package=package,
                        media_type="application/zip",
                        blob=new.blob,
                        upstream_url=URL,
                        fetched_at=0.0,
                        fresh_until=inf,
                    )
                    new.settle(await services.catalog.put_cached(source.id, entry, 60.0))

    async def cached() -> list[Cached | None]:
        async with open_services(load_config(os.environ, tmp_path)) as services:
            specs = repository_specs(load_config(os.environ, tmp_path))
            (source,) = (await services.catalog.sync_repositories(specs))["pypi-proxy"].sources
            paths = ("demo/demo-1.whl", "alone")
            return [await services.catalog.find_cached(source.id, path) for path in paths]

    put(tmp_path, "/raw/same", LARGE)
    asyncio.run(cache())
    assert None not in asyncio.run(cached())
    flip(object_of(tmp_path, LARGE), 1)
    done = nora("verify", "--repair")
    assert "fetched anew" in done.stdout
    assert "demo/demo-1.whl" in done.stdout
    assert asyncio.run(cached()) == [None, None]
    asyncio.run(cache())  # somebody has asked for it: that mends what was published as well
    assert get(tmp_path, "/raw/same").content == LARGE
    assert nora("verify").exit_code == 0


def test_what_was_compared_lately_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "/raw/file", LARGE)
    assert "1 blobs" in nora("verify").stderr
    assert "0 blobs" in nora("verify", "--skip-recent", "1h").stderr
    assert "1 blobs" in nora("verify").stderr


@pytest.mark.parametrize("words", [("--rate", "fast"), ("--skip-recent", "late")])
def test_what_is_no_number_is_refused(words: tuple[str, str]) -> None:
    assert nora("verify", *words).exit_code == 2


def test_without_a_store_there_is_nothing_to_look_at() -> None:
    assert "there is no store" in nora("verify").stderr
