"""The versions that the commands of the Makefile install: one of each that pyproject.toml asks for."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def pinned() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def asked_for() -> Iterator[Requirement]:
    """What pyproject.toml names: to use NORA, to build it, and in all groups."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [entry for group in project["dependency-groups"].values() for entry in group]
    lists = (project["project"]["dependencies"], project["build-system"]["requires"], groups)
    for entry in (entry for entries in lists for entry in entries if isinstance(entry, str)):
        yield Requirement(entry)


def test_every_line_is_one_version_without_an_address() -> None:
    for line in pinned():
        (only,) = line.specifier
        assert (line.url, only.operator) == (None, "=="), line


def test_every_requirement_has_one_version_that_fits_on_every_python() -> None:
    lines = pinned()
    for python in PYTHONS:
        marks = {"python_version": python, "python_full_version": f"{python}.0"}
        for wanted in asked_for():
            found = [
                line
                for line in lines
                if canonicalize_name(line.name) == canonicalize_name(wanted.name)
                and (line.marker is None or line.marker.evaluate(marks))
            ]
            assert len(found) == 1, (python, wanted.name, found)
            (version,) = found[0].specifier
            assert wanted.specifier.contains(version.version, prereleases=True), (python, found[0])
