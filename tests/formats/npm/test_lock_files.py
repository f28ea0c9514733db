"""Lock files of npm, pnpm and yarn: what they name, and what is none of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from nora.formats.mirroring import LockFileInvalid, Missing
from nora.formats.npm.indented import DEEPEST
from nora.formats.npm.lock_files import Locked, Version, read_npm, read_pnpm, read_yarn
from nora.formats.npm.names import PackageName
from tests.support.tables import each

FOLDER = Path(__file__).parent / "lock_files"
SHA512 = (("sha512", hashlib.sha512(b"a").hexdigest()),)
SHA1 = (("sha1", hashlib.sha1(b"a").hexdigest()),)

Read = Callable[[str], list[Locked]]
FILES: dict[str, tuple[Read, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]] = {
    "package-lock-v1.json": (read_npm, SHA512, SHA1),
    "package-lock-v3.json": (read_npm, SHA512, SHA1),
    "pnpm-lock-v5.yaml": (read_pnpm, SHA512, SHA512),
    "pnpm-lock-v6.yaml": (read_pnpm, SHA512, SHA512),
    "pnpm-lock-v9.yaml": (read_pnpm, SHA512, SHA512),
    "yarn-v1.lock": (read_yarn, SHA1 + SHA512, SHA1),
    "yarn-v4.lock": (read_yarn, (), ()),
}


@each("name", FILES)
def test_a_lock_file_names_versions_and_their_hashes(name: str) -> None:
    read, hashes, of_inner = FILES[name]
    found = read((FOLDER / name).read_text("utf-8"))
    versions = {one for one in found if isinstance(one, Version)}
    assert versions == {
        Version(PackageName("@corp/lib"), "1.2.3", hashes),
        Version(PackageName("inner"), "1.0.0", of_inner),
        Version(PackageName("real"), "2.0.0", hashes),
    }
    missing = [one for one in found if isinstance(one, Missing)]
    assert [one.title for one in missing] == ["from-git"]
    assert "git.example.com" in missing[0].reason


@each("end", ["\n", "\r\n"])
def test_ends_of_lines_are_those_of_any_system(end: str) -> None:
    for name, (read, _, _) in FILES.items():
        text = (FOLDER / name).read_text("utf-8")
        assert read(text.replace("\n", end)) == read(text), name


PNPM = "lockfileVersion: '9.0'\npackages:\n"
WRONG: dict[str, tuple[Read, str, str]] = {
    "no JSON": (read_npm, "{\n\n  nothing", "line 3: no JSON"),
    "a list": (read_npm, "[]", "no object"),
    "no lock file": (read_npm, '{"name": "app"}', "no lockfileVersion 1, 2 or 3"),
    "a later version": (read_npm, '{"lockfileVersion": 4}', "no lockfileVersion 1, 2 or 3"),
    "nested without end": (read_npm, "[" * 100_000, "no JSON"),
    "an entry that is no object": (
        read_npm,
        '{"lockfileVersion": 3, "packages": {"node_modules/a": 1}}',
        "is no object",
    ),
    "a name that leads elsewhere": (
        read_npm,
        '{"lockfileVersion": 3, "packages": {"node_modules/../../x": {"version": "1.0.0"}}}',
        "is no name of a package",
    ),
    "a hash that is none": (
        read_npm,
        '{"lockfileVersion": 3, "packages": {"node_modules/a": {"version": "1.0.0", "integrity": "x"}}}',
        "the integrity of a cannot be read",
    ),
    "pnpm 3": (read_pnpm, "lockfileVersion: 5.1\n", "no lockfileVersion from 5.3 on"),
    "no version": (read_pnpm, "packages: {}\n", "no lockfileVersion from 5.3 on"),
    "a tab": (read_pnpm, f"{PNPM}\tx: 1\n", "line 3: a tab"),
    "no key": (read_pnpm, f"{PNPM}  nothing\n", "line 3: 'nothing' is no key"),
    "no braces": (read_pnpm, f"{PNPM}  a@1.0.0:\n    resolution: x\n", "line 4: 'x' is not in braces"),
    "half braces": (read_pnpm, f"{PNPM}  a@1.0.0:\n    resolution: {{a: {{b}}}}\n", "cannot be read"),
    "no version of npm": (
        read_pnpm,
        f"{PNPM}  a@latest:\n    resolution: {{integrity: sha1-hvfkN/qlp/zhXR3cuerq6jd2Z7g=}}\n",
        "line 3: 'latest' is no version",
    ),
    "too deep": (
        read_pnpm,
        PNPM + "".join(f"{' ' * depth}x:\n" for depth in range(1, DEEPEST + 5)),
        "nested too deeply",
    ),
    "no yarn.lock": (read_yarn, "{}", "no yarn.lock"),
    "no range": (read_yarn, '# yarn lockfile v1\n\nlib:\n  version "1.0.0"\n', "line 3: 'lib' is no package"),
    "no resolution": (read_yarn, '__metadata:\n  version: 8\n"a@npm:1":\n  x: 1\n', "line 3: "),
}


@each("case", WRONG)
def test_what_is_no_lock_file_is_refused_with_its_line(case: str) -> None:
    read, text, problem = WRONG[case]
    with pytest.raises(LockFileInvalid) as refused:
        read(text)
    assert problem in str(refused.value)


def test_a_hostile_line_takes_no_time() -> None:
    """Those are quadratic for readers who try every place anew."""
    for line in ('"' + '\\"' * 200_000, "'" + "''" * 200_000, "  a: {" + "x: y, " * 100_000, "a:" * 200_000):
        with pytest.raises(LockFileInvalid):
            read_pnpm(f"{PNPM}  a@1.0.0:\n    resolution: {{a: {' ' * 400_000}\n{line}")
