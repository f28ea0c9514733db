"""Rules and histories, and what survives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nora.catalog.histories import FileHistory, PackageHistory, VersionHistory
from nora.formats import discover
from nora.formats.base import natural_order
from nora.retention.directories import by_directory
from nora.retention.plan import Counting, plan_directory, plan_package
from nora.retention.rules import rules_for
from tests.retention.histories import NOW, file, package, rules, version
from tests.support.tables import each

Rule = Mapping[str, Any]
ORDERS = {one.name: one.version_order for one in discover()}
IMAGES = Counting(order=natural_order, by_tags=True)


def survivors(history: PackageHistory, counting: Counting, *tables: Rule) -> str:
    """The versions that stay, and the tags."""
    chosen = rules_for(rules(*tables), ("docker",), history.name, str)
    removals = plan_package(history, chosen, counting, NOW)
    gone = {name for one in removals for name in one.versions}
    tags = {name for one in removals for name in one.tags}
    left = {one.name for one in history.versions} - gone
    kept = [
        f"{one.name}={one.version}" for one in history.tags if one.version in left and one.name not in tags
    ]
    return " ".join([*(one.name for one in history.versions if one.name in left), *kept])


# -- versions, by the order of each format ------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """`versions`: age in days by name, `/` and the days since the last pull behind it."""

    format: str
    versions: str
    rules: Sequence[Rule]
    left: str
    tags: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> list[VersionHistory]:
    found = []
    for one in text.split():
        name, _, age = one.rpartition(":")
        days, _, pulled = age.partition("/")
        found.append(version(name, float(days), pulled=float(pulled) if pulled else None))
    return found


VERSIONS = {
    "the newest by version, not by time": Row(
        "npm", "1.9.0:1 1.10.0:50 2.0.0:40 1.9.1:0", [{"keep_last": 2}], "1.10.0 2.0.0"
    ),
    "a prerelease is older than its release": Row(
        "npm", "2.0.0-rc.1:1 2.0.0:1 1.0.0:1", [{"keep_last": 1}], "2.0.0"
    ),
    "both conditions must hold": Row(
        "npm",
        "1.0.0:90 2.0.0:5 3.0.0:2 4.0.0:1",
        [{"keep_last": 1, "older_than_days": 30}],
        "2.0.0 3.0.0 4.0.0",
    ),
    "the last stay however old": Row(
        "npm", "1.0.0:900 2.0.0:800 3.0.0:700", [{"keep_last": 2, "older_than_days": 30}], "2.0.0 3.0.0"
    ),
    "what is excluded does not count": Row(
        "npm",
        "1.0.0:9 2.0.0:8 3.0.0:7 4.0.0:6 5.0.0:5",
        [{"keep_last": 2, "exclude_tags": ["5.*", "lts"]}],
        "1.0.0 3.0.0 4.0.0 5.0.0 lts=1.0.0",
        {"lts": "1.0.0"},
    ),
    "a tag excludes its version": Row(
        "npm",
        "1.0.0:90 2.0.0:90",
        [{"older_than_days": 30, "exclude_tags": ["latest"]}],
        "2.0.0 latest=2.0.0",
        {"latest": "2.0.0"},
    ),
    "only what fits the patterns": Row(
        "npm", "1.0.0-pr.1:9 1.0.0-pr.2:8 1.0.0:7", [{"tags": ["*-pr.*"], "keep_last": 1}], "1.0.0-pr.2 1.0.0"
    ),
    "the first rule that fits decides": Row(
        "npm",
        "1.0.0-pr.1:9 1.0.0:99 2.0.0:98",
        [{"tags": ["*-pr.*"], "older_than_days": 30}, {"keep_last": 1}],
        "1.0.0-pr.1 2.0.0",
    ),
    "what is pulled stays": Row(
        "npm", "1.0.0:90/3 2.0.0:90/40 3.0.0:90 4.0.0:10", [{"not_pulled_days": 30}], "1.0.0 4.0.0"
    ),
    "exactly as old is not older": Row("npm", "1.0.0:30 2.0.0:30.1", [{"older_than_days": 30}], "1.0.0"),
    "untagged is only about tags that are counted": Row(
        "npm", "1.0.0:90", [{"untagged": True, "older_than_days": 30}], "1.0.0"
    ),
    "keep_last 0 keeps none": Row("npm", "1.0.0:0 2.0.0:0", [{"keep_last": 0}], ""),
    "PEP 440": Row("pypi", "1.0:9 1.0.post1:8 1.0rc1:1 1.0.dev3:0", [{"keep_last": 2}], "1.0 1.0.post1"),
    "epochs of PEP 440": Row("pypi", "1!0.1:9 2024.1:1", [{"keep_last": 1}], "1!0.1"),
    "cargo": Row("cargo", "0.9.0:1 0.10.0:9 0.10.0-alpha.1:0", [{"keep_last": 1}], "0.10.0"),
    "Maven": Row("maven", "1.0-SNAPSHOT:1 1.0:9 1.0-alpha-1:0 1.0-sp:3", [{"keep_last": 2}], "1.0 1.0-sp"),
    "snapshots of Maven": Row(
        "maven",
        "1.0-SNAPSHOT:90 1.1-SNAPSHOT:1 1.0:90",
        [{"tags": ["*-SNAPSHOT"], "older_than_days": 30}],
        "1.1-SNAPSHOT 1.0",
    ),
    "Go": Row("go", "v0.0.0-20200101000000-abcdefabcdef:0 v1.2.0:9 v1.10.0:8", [{"keep_last": 1}], "v1.10.0"),
    "names that are no versions": Row("npm", "zzz:1 1.0.0:2", [{"keep_last": 2}], "zzz 1.0.0"),
    "no rule": Row("npm", "1.0.0:900", [], "1.0.0"),
    "a rule about other names": Row("npm", "1.0.0:900", [{"keep_last": 0, "name_glob": "corp/**"}], "1.0.0"),
}


@each("what, row", VERSIONS.items())
def test_versions_go_by_rules(what: str, row: Row) -> None:
    history = package(parse(row.versions), row.tags)
    assert survivors(history, Counting(order=ORDERS[row.format]), *row.rules) == row.left


def test_every_format_orders_what_is_no_version() -> None:
    for order in ORDERS.values():
        assert sorted(["1.0", "", "\0", "ein Name", "v1.2.3-x", "sha256:ab"], key=order)


# -- images -------------------------------------------------------------------------------------------------

HEX = "ab" * 32
SUBJECT = f"sha256:{HEX}"


@dataclass(frozen=True)
class Images:
    versions: Sequence[VersionHistory]
    tags: Mapping[str, str]
    rules: Sequence[Rule]
    left: str


TREE = (
    version("amd", 40),
    version("arm", 40),
    version("idx", 40, "amd", "arm"),
    version("arm2", 20),
    version("idx2", 20, "amd", "arm2"),
    version("sbom", 39, about="amd"),
)
IMAGE_ROWS = {
    "tags are counted by time": Images(
        (version("a", 3), version("b", 2), version("c", 1)),
        {"1.10": "a", "1.9": "b", "1.8": "c"},
        [{"keep_last": 2}],
        "b c 1.9=b 1.8=c",
    ),
    "what was set in the same moment, by version": Images(
        (version("a", 1), version("b", 1)), {"1.9": "a", "1.10": "b"}, [{"keep_last": 1}], "b 1.10=b"
    ),
    "an image goes with the last of its tags": Images(
        (version("a", 9), version("b", 8)),
        {"1": "a", "1.0": "a@5", "2": "b"},
        [{"keep_last": 2}],
        "a b 1.0=a 2=b",
    ),
    "untagged images count as no tag": Images(
        (version("old", 9), version("a", 3), version("b", 2)),
        {"1": "a", "2": "b"},
        [{"keep_last": 2}],
        "old a b 1=a 2=b",
    ),
    "untagged images have rules of their own": Images(
        (version("old", 9), version("new", 5), version("a", 30)),
        {"1": "a"},
        [{"untagged": True, "older_than_days": 7}],
        "new a 1=a",
    ),
    "the beginning of a push stays": Images(
        (version("part", 0.5),), {}, [{"untagged": True, "keep_last": 0}], "part"
    ),
    "children stay with their index, and what is about them": Images(
        TREE,
        {"1": "idx", "2": "idx2"},
        [{"untagged": True, "keep_last": 0}, {"keep_last": 2}],
        "amd arm idx arm2 idx2 sbom 1=idx 2=idx2",
    ),
    "shared children stay for who is left": Images(
        TREE, {"1": "idx", "2": "idx2"}, [{"keep_last": 1}], "amd arm2 idx2 sbom 2=idx2"
    ),
    "all of it goes with the last": Images(TREE, {"1": "idx", "2": "idx2"}, [{"keep_last": 0}], ""),
    "a child with a tag of its own stays": Images(
        TREE,
        {"1": "idx", "2": "idx2", "1-arm": "arm"},
        [{"tags": ["1", "2"], "keep_last": 0}],
        "arm 1-arm=arm",
    ),
    "a signature goes with its image": Images(
        (version("a", 9), version("sig", 1, about="a"), version("b", 5)),
        {"1": "a", "2": "b"},
        [{"keep_last": 1}],
        "b 2=b",
    ),
    "a signature of what is not there is untagged": Images(
        (version("sig", 9, about="gone"),), {}, [{"untagged": True, "older_than_days": 7}], ""
    ),
    "signatures that are tags are none": Images(
        (version(SUBJECT, 9), version("b", 8), version("sig", 1)),
        {"1": SUBJECT, "2": "b", f"sha256-{HEX}.sig": "sig"},
        [{"keep_last": 2}],
        f"{SUBJECT} b sig 1={SUBJECT} 2=b sha256-{HEX}.sig=sig",
    ),
    "and go with their image": Images(
        (version(SUBJECT, 9), version("b", 8), version("sig", 1)),
        {"1": SUBJECT, "2": "b", f"sha256-{HEX}.sig": "sig"},
        [{"keep_last": 1}],
        "b 2=b",
    ),
    "a tag that moved is as new as that": Images(
        (version("a", 90), version("b", 60)),
        {"latest": "a@1", "1": "b"},
        [{"older_than_days": 30}],
        "a latest=a",
    ),
    "a part that was pulled counts for all": Images(
        (version("amd", 90, pulled=1), version("idx", 90, "amd"), version("b", 90)),
        {"1": "idx", "2": "b"},
        [{"not_pulled_days": 30}],
        "amd idx 1=idx",
    ),
    "excluded tags hold their image": Images(
        (version("a", 90), version("b", 80)),
        {"1": "a", "stable": "a", "2": "b"},
        [{"older_than_days": 30, "exclude_tags": ["stable"]}],
        "a stable=a",
    ),
    "versions that need each other end it": Images(
        (version("x", 9, "y"), version("y", 9, "x")), {"1": "x"}, [{"keep_last": 0}], ""
    ),
}


@each("what, row", IMAGE_ROWS.items())
def test_images_go_by_rules(what: str, row: Images) -> None:
    assert survivors(package(row.versions, row.tags), IMAGES, *row.rules) == row.left


def test_tags_that_are_kept_hold_all_that_they_need() -> None:
    counting = Counting(order=natural_order, by_tags=True, is_kept=lambda tag: tag == "1")
    history = package(TREE, {"1": "idx", "2": "idx2", "3": "idx2@1"})
    assert survivors(history, counting, {"keep_last": 1}) == "amd arm idx arm2 idx2 sbom 1=idx 3=idx2"


def test_cached_images_have_no_tags_and_each_rule_is_about_them() -> None:
    counting = Counting(order=natural_order, by_tags=True, is_cached=True)
    assert survivors(package(TREE), counting, {"keep_last": 1}) == "amd arm2 idx2 sbom"
    assert survivors(package(TREE), counting, {"untagged": True, "keep_last": 1}) == "amd arm2 idx2 sbom"


def test_what_goes_together_is_one_removal_and_the_last_one_frees_what_is_shared() -> None:
    versions = (
        version("a", 9, layers={"base": 100, "one": 5}),
        version("b", 8, layers={"base": 100, "two": 7}),
        version("c", 7, layers={"two": 7}),
    )
    history = package(versions, {"1": "a", "2": "b", "3": "c"})
    removals = plan_package(history, rules_for(rules({"keep_last": 1}), (), "team/app", str), IMAGES, NOW)
    assert [(one.name, one.versions, one.bytes) for one in removals] == [
        ("1", ("a",), 15),
        ("2", ("b",), 110),
    ]
    tree = plan_package(
        package(TREE, {"1": "idx", "2": "idx2"}),
        rules_for(rules({"keep_last": 0}), (), "team/app", str),
        IMAGES,
        NOW,
    )
    assert [(one.tags, sorted(one.versions)) for one in tree] == [
        (("1",), ["arm", "idx"]),
        (("2",), ["amd", "arm2", "idx2", "sbom"]),
    ]
    assert str(tree[0].rule) == "rule 1: registry = *, keep_last = 0"


# -- files --------------------------------------------------------------------------------------------------


def test_files_go_directory_by_directory() -> None:
    files = [
        file("a", 9),
        file("a.txt", 9),
        file("a/1", 9),
        file("a/2", 8, used=1),
        file("a/b/1", 90),
        file("a/b/2", 80),
        file("a/c", 7),
        file("b", 1),
    ]

    async def walk() -> list[tuple[str, list[str]]]:
        async def given() -> AsyncIterator[FileHistory]:
            for one in files:
                yield one

        return [(name, [one.path for one in found]) async for name, found in by_directory(given())]

    found = dict(asyncio.run(walk()))
    assert found == {"": ["a", "a.txt", "b"], "a": ["a/1", "a/2", "a/c"], "a/b": ["a/b/1", "a/b/2"]}
    by_path = {one.path: one for one in files}
    counting = Counting(order=natural_order)

    def gone(directory: str, rule: Rule) -> list[str]:
        chosen = rules_for(rules(rule), (), directory, str)
        return [
            one.name for one in plan_directory((by_path[p] for p in found[directory]), chosen, counting, NOW)
        ]

    assert gone("a", {"keep_last": 1}) == ["a/1", "a/2"]
    assert gone("a", {"keep_last": 0, "not_pulled_days": 5}) == ["a/1", "a/c"]
    assert gone("a", {"keep_last": 0, "exclude_tags": ["c"]}) == ["a/1", "a/2"]
    assert gone("a/b", {"name_glob": "a/*", "older_than_days": 85}) == ["a/b/1"]
    assert gone("", {"name_glob": "*", "keep_last": 2}) == ["a"]
    assert gone("", {"name_glob": "a/**", "keep_last": 0}) == []


def test_rules_are_found_by_format_repository_and_name() -> None:
    many = rules(
        {"registry": "npm", "name_glob": "@corp/*", "keep_last": 1}, {"registry": "ours", "keep_last": 1}
    )
    assert [one.number for one in rules_for(many, ("npm",), "@corp/ui", str)] == [1]
    assert [one.number for one in rules_for(many, ("npm", "ours"), "@corp/ui", str)] == [1, 2]
    assert rules_for(many, ("pypi",), "@corp/ui", str) == []
    assert [
        one.number
        for one in rules_for(
            rules({"name_glob": "Corp_*", "keep_last": 1}),
            (),
            "corp-x",
            lambda name: name.lower().replace("_", "-"),
        )
    ] == [1]
