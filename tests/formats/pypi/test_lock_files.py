"""requirements.txt, uv.lock and poetry.lock: what they name, and what is none of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from nora.formats.mirroring import LockFileInvalid, Missing
from nora.formats.pypi.lock_files import Locked, Release, read_poetry, read_requirements, read_uv
from nora.formats.pypi.names import ProjectName
from tests.support.tables import each

FOLDER = Path(__file__).parent / "lock_files"
A, B = (f"sha256:{hashlib.sha256(one).hexdigest()}" for one in (b"a", b"b"))
FLASK, ZOPE = ProjectName("flask"), ProjectName("zope-interface")
WHEEL, SDIST = ("flask-3.1.0-py3-none-any.whl", A), ("flask-3.1.0.tar.gz", B)

Read = Callable[[str], list[Locked]]
FILES: dict[str, tuple[Read, list[Release], list[str]]] = {
    "requirements.txt": (
        read_requirements,
        [Release(FLASK, "3.1.0"), Release(ZOPE, "7.2")],
        ["tool @ git+https://git.example.com/a/tool.git@0123abc"],
    ),
    "requirements-hashes.txt": (
        read_requirements,
        [
            Release(FLASK, "3.1.0", hashes=frozenset({A, B})),
            Release(ZOPE, "7.2", hashes=frozenset({A})),
        ],
        [],
    ),
    "uv.lock": (
        read_uv,
        [
            Release(FLASK, "3.1.0", (SDIST, WHEEL)),
            Release(ZOPE, "7.2", (("zope_interface-7.2+cpu-py3-none-any.whl", A),)),
        ],
        ["tool 1.0"],
    ),
    "poetry.lock": (
        read_poetry,
        [
            Release(FLASK, "3.1.0", (WHEEL, SDIST)),
            Release(ZOPE, "7.2", (("zope_interface-7.2-py3-none-any.whl", A),)),
        ],
        ["tool 1.0"],
    ),
    "poetry-v1.lock": (read_poetry, [Release(FLASK, "3.1.0", (WHEEL,))], []),
}


@each("name", FILES)
def test_a_lock_file_names_releases_files_and_hashes(name: str) -> None:
    read, releases, missing = FILES[name]
    found = read((FOLDER / name).read_text("utf-8"))
    assert [one for one in found if isinstance(one, Release)] == releases
    assert [one.title for one in found if isinstance(one, Missing)] == missing


UV = 'version = 1\n[[package]]\nname = "a"\nversion = "1"\nsource = {registry = "x"}\n'
WRONG: dict[str, tuple[Read, str, str]] = {
    "no version": (read_requirements, "a==1\n\nflask>=2\n", "line 3: 'flask>=2' names no exact version"),
    "any version": (read_requirements, "flask\n", "line 1: 'flask' names no exact version"),
    "a pattern": (read_requirements, "flask==3.*\n", "line 1: "),
    "a version that is none": (read_requirements, "flask===x_y\n", "line 1: a version follows PEP 440"),
    "another file": (read_requirements, "-r base.txt\n", "line 1: other files are not followed"),
    "constraints": (read_requirements, "a==1\n--constraint=c.txt\n", "line 2: other files are not followed"),
    "a hash that is none": (
        read_requirements,
        "a==1 \\\n  --hash=sha256:12\n",
        "line 1: 'sha256:12' is no hash",
    ),
    "an unknown hash": (read_requirements, f"a==1 --hash=crc32:{'0' * 64}\n", "is no hash"),
    "no TOML": (read_uv, "version = 1\n[[package]\n", "line 2: no TOML"),
    "nested without end": (read_uv, "a = " + "[" * 100_000, "no TOML that is taken"),
    "a later version": (read_uv, "version = 2\n", "no uv.lock of version 1"),
    "no list": (read_uv, "version = 1\npackage = 1\n", "no uv.lock of version 1"),
    "no name": (read_uv, "version = 1\n[[package]]\n", "a [[package]] without a name"),
    "a name that leads elsewhere": (
        read_uv,
        f'{UV}wheels = [{{path = ".."}}]',
        "'..' is the name of no file",
    ),
    "no URL": (read_uv, f'{UV}wheels = [{{url = "http://[x"}}]', "'' is the name of no file"),
    "no project": (read_uv, UV.replace('"a"', '"../a"'), "../a 1: a project name"),
    "no poetry.lock": (read_poetry, "", "no poetry.lock"),
    "an old one": (read_poetry, "[metadata.hashes]\n", "a poetry.lock of 2019"),
}


@each("case", WRONG)
def test_what_is_no_lock_file_is_refused_with_its_line(case: str) -> None:
    read, text, problem = WRONG[case]
    with pytest.raises(LockFileInvalid) as refused:
        read(text)
    assert problem in str(refused.value)
