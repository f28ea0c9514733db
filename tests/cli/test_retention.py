"""`nora retention plan` and `apply`, as both are also called, on the data directory of a server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from nora.cli import main
from nora.commands import open_catalog
from nora.config import repository_specs
from nora.formats import load_config
from nora.observability.audit import audit_path
from tests.contracts.catalog import release
from tests.support.tables import each

RULES = """
[[retention.rules]]
registry = "docker"
keep_last = 1
exclude_tags = ["stable"]
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(RULES)


def nora(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def push(*tags: str) -> None:
    async def work() -> None:
        config = load_config({}, Path.cwd())
        async with open_catalog(config) as catalog:
            hosted = (await catalog.sync_repositories(repository_specs(config)))["docker-hosted"].id
            for tag in tags:
                await catalog.publish(release(hosted, "team/app", f"image {tag}", tag), 60)

    asyncio.run(work())


def tags() -> list[str]:
    async def work() -> list[str]:
        config = load_config({}, Path.cwd())
        async with open_catalog(config) as catalog:
            hosted = (await catalog.sync_repositories(repository_specs(config)))["docker-hosted"].id
            return await catalog.list_tags(hosted, "team/app", "", 99)

    return asyncio.run(work())


def audit() -> list[dict[str, str]]:
    lines = audit_path(load_config({}, Path.cwd())).read_bytes().splitlines()
    return [orjson.loads(line) for line in lines]


def test_it_is_told_before_it_is_done() -> None:
    push("stable", "1", "2", "3")
    plan = nora("retention", "plan", "--json")
    told = orjson.loads(plan.stdout)
    assert [one["name"] for one in told["removals"]] == ["1", "2"]
    assert (told["applied"], told["totals"]["tags"], told["totals"]["versions"]) == (False, 2, 2)
    assert told["rules"] == [{"registry": "docker", "keep_last": 1, "exclude_tags": ["stable"]}]
    for words in (("retention-plan",), ("retention", "apply"), ("retention-apply",)):
        done = nora(*words)
        assert done.exit_code == 0, done.output
        assert done.stdout == (
            "docker-hosted team/app 1: 7 bytes, rule 1\ndocker-hosted team/app 2: 7 bytes, rule 1\n"
        )
        assert "would go: 2 versions, 2 tags and 2 files of 1 packages, 14 bytes" in done.stderr
    assert tags() == ["1", "2", "3", "stable"]
    done = nora("retention-apply", "--yes", "--json")
    after = orjson.loads(done.stdout)
    assert (after["applied"], after["removals"]) == (True, told["removals"])
    assert tags() == ["3", "stable"]
    again = nora("retention", "apply", "--yes")
    assert again.stdout == ""
    assert "removed: 0 versions" in again.stderr
    deletions = [one for one in audit() if one["action"] == "delete"]
    assert [one["object"] for one in deletions] == [
        f"team/app {tag} (rule 1: registry = docker, exclude_tags = [stable], keep_last = 1)" for tag in "12"
    ]
    assert {one["method"] for one in deletions} == {"command"}
    assert any(one["object"].startswith("main retention-apply --yes --json: 2 versions") for one in audit())


def test_without_rules_there_is_nothing_to_plan() -> None:
    push("1")
    Path("config.toml").write_text("")
    done = nora("retention", "plan")
    assert (done.exit_code, done.stderr) == (
        1,
        "there are no rules: [[retention.rules]] in the configuration says what goes\n",
    )


WRONG = {
    'keep_last = 1': "rule 1.registry is missing",
    'registry = "docker"': "rule 1: expected a condition, one or more of keep_last, older_than_days",
    'registry = "dokcer"\nkeep_last = 1': "rule 1.registry = dokcer: expected a format, a repository",
    'registry = "docker"\nkeep_last = -1': "rule 1.keep_last: expected a whole number from 0",
    'registry = "docker"\nkeep = 1': "rule 1.keep: there is no such field; did you mean keep_last?",
    'registry = "docker"\nkeep_last = 1\nname_glob = "a b"': "rule 1.name_glob: expected patterns",
    'registry = "docker"\nkeep_last = 1\nuntagged = true\ntags = ["a"]': "expected tags, or untagged = true",
    'registry = "docker"\nkeep_last = 1\nuntagged = "yes"': "rule 1.untagged: expected true or false",
}  # fmt: skip


@each("rule, problem", WRONG.items())
def test_a_rule_that_makes_no_sense_is_refused(rule: str, problem: str) -> None:
    Path("config.toml").write_text(f"[[retention.rules]]\n{rule}\n")
    done = nora("check-config")
    assert done.exit_code == 1
    assert problem in done.output


def test_what_is_probably_not_meant_is_said() -> None:
    Path("config.toml").write_text("[retention]\nenabled = true\n")
    assert "retention.enabled = true: there are no rules" in nora("check-config").output
    Path("config.toml").write_text(f"[retention]\nenabled = true\ndry_run = true\n{RULES}")
    assert "retention.dry_run = true: nothing is removed" in nora("check-config").output
