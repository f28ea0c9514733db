"""`nora purge`, `block`, `unblock` and `blocks` on the data directory of a server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from nora.catalog.records import NewCached
from nora.cli import main
from nora.commands import open_catalog
from nora.config import repository_specs
from nora.formats import load_config
from tests.contracts.catalog import new_blob
from tests.support.tables import each

URL = "https://index.example.com/simple"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NORA_PYPI_PROXY", URL)


def nora(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def cache(*projects: str) -> None:
    async def work() -> None:
        config = load_config({"NORA_PYPI_PROXY": URL}, Path.cwd())
        async with open_catalog(config) as catalog:
            (source,) = (await catalog.sync_repositories(repository_specs(config)))["pypi-proxy"].sources
            for project in projects:
                entry = NewCached(
                    path=f"{project}/",
                    package=project,
                    media_type="text/html",
                    blob=new_blob(project),
                    upstream_url=URL,
                    fetched_at=0.0,
                    fresh_until=0.0,
                )
                await catalog.put_cached(source.id, entry, 60.0)

    asyncio.run(work())


def test_what_is_purged_is_told_and_recorded() -> None:
    cache("demo", "other")
    done = nora("purge", "pypi", "Demo", "--source", URL)
    assert (done.exit_code, done.stdout) == (0, "demo/\n"), done.output
    assert "purged 1 files and 0 other blobs" in done.stderr
    again = nora("purge", "pypi", "demo")
    assert (again.exit_code, again.stderr) == (1, "nothing of that is cached in pypi\n")
    by_path = nora("purge", "pypi", "--file", "other/")
    assert by_path.stdout == "other/\n"
    lines = map(orjson.loads, Path("data/storage/audit.jsonl").read_bytes().splitlines())
    assert [(one["object"].partition(" ")[2], one["outcome"]) for one in lines] == [
        (f"purge pypi Demo --source {URL}", "ok"),
        ("purge pypi demo", "failed"),
        ("purge pypi --file other/", "ok"),
    ]


@pytest.mark.parametrize("words", [["demo", ""], ["demo", "--file", ""], [""], ["--digest", ""]])
def test_an_empty_word_does_not_purge_more_than_was_meant(words: list[str]) -> None:
    cache("demo")
    refused = nora("purge", "pypi", *words)
    assert refused.exit_code == 2
    assert "leave it out" in refused.stderr
    assert nora("purge", "pypi", "demo").exit_code == 0


@pytest.mark.parametrize(
    "words", [["pypi"], ["none", "demo"], ["pypi-hosted", "demo"], ["pypi", "--digest", "x"]]
)
def test_what_cannot_be_purged_ends_with_1(words: list[str]) -> None:
    assert nora("purge", *words).exit_code == 1


def test_what_is_blocked_is_listed_lifted_and_recorded() -> None:
    cache()
    digest = f"sha256:{'1' * 64}"
    for words in (
        ("pypi", "De_mo", "v1.0", "--reason", "it bites"),
        ("pypi-hosted", "other", "--everywhere", "--reason", "not ours"),
        ("--digest", digest, "--reason", "malware"),
    ):
        done = nora("block", *words)
        assert done.exit_code == 0, done.output
    assert done.stdout == "3\n"
    assert "blocked sha256:111" in done.stderr
    listed = [line.split("\t") for line in nora("blocks").stdout.splitlines()]
    assert [(line[0], *line[3:]) for line in listed] == [
        ("1", "pypi", "de-mo 1.0", "it bites"),
        ("2", "all pypi", "other", "not ours"),
        ("3", "everywhere", digest, "malware"),
    ]
    assert nora("unblock", "2").stderr == "unblocked other\n"
    again = nora("unblock", "2")
    assert (again.exit_code, again.stderr) == (1, "there is no block 2\n")
    assert len(nora("blocks").stdout.splitlines()) == 2
    lines = map(orjson.loads, Path("data/storage/audit.jsonl").read_bytes().splitlines())
    assert [one["object"].partition(" ")[2] for one in lines] == [
        "block pypi De_mo v1.0 --reason it bites",
        "block pypi-hosted other --everywhere --reason not ours",
        f"block --digest {digest} --reason malware",
        "unblock 2",
        "unblock 2",
    ]


@each(
    "words",
    [
        [],
        ["pypi"],
        ["none", "demo"],
        ["none", "--digest", f"sha256:{'1' * 64}"],
        ["--digest", "sha256:1"],
        ["pypi", "demo", "--digest", f"sha256:{'1' * 64}"],
    ],
)
def test_what_cannot_be_blocked_ends_with_1(words: list[str]) -> None:
    assert nora("block", *words, "--reason", "x").exit_code == 1


@pytest.mark.parametrize("reason", ["", " ", "two\nlines", "x" * 201])
def test_a_block_has_a_reason_that_can_be_told(reason: str) -> None:
    assert nora("block", "pypi", "demo", "--reason", reason).exit_code == 1
