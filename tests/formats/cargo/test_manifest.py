"""What `cargo publish` says of a version, and what the index says of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from nora.errors import BadRequest
from nora.formats.cargo.manifest import Manifest, parse_manifest
from tests.support.tables import each


def parsed(**said: Any) -> Manifest:
    return parse_manifest(
        orjson.dumps({"name": "My-Crate", "vers": "1.0.0", "deps": [], "features": {}, **said})
    )


DEPENDENCY = {
    "name": "Dep",
    "version_req": "^1.2",
    "features": ["f"],
    "optional": False,
    "default_features": True,
    "target": None,
    "kind": "normal",
}


def test_a_dependency_as_the_index_has_it() -> None:
    [found] = parsed(deps=[DEPENDENCY]).line["deps"]
    assert found == {
        "name": "Dep",
        "req": "^1.2",
        "features": ["f"],
        "optional": False,
        "default_features": True,
        "target": None,
        "kind": "normal",
        "registry": None,
    }


def test_a_renamed_dependency_has_both_names() -> None:
    [found] = parsed(deps=[{**DEPENDENCY, "explicit_name_in_toml": "ren", "registry": "r"}]).line["deps"]
    assert (found["name"], found["package"], found["registry"]) == ("ren", "Dep", "r")


def test_a_name_in_the_code_is_no_name_of_a_crate() -> None:
    for name in ("_private", "schön", "x-y"):
        [found] = parsed(deps=[{**DEPENDENCY, "explicit_name_in_toml": name}]).line["deps"]
        assert (found["name"], found["package"]) == (name, "Dep")


def test_features_of_a_newer_syntax_are_apart() -> None:
    line = parsed(features={"a": ["b"], "b": [], "c": ["dep:x"], "d": ["x?/y", "a"]}).line
    assert (line["features"], line["features2"], line["v"]) == (
        {"a": ["b"], "b": []},
        {"c": ["dep:x"], "d": ["x?/y", "a"]},
        2,
    )


def test_what_is_not_said_is_not_in_the_line() -> None:
    line = parsed().line
    assert line == {"name": "My-Crate", "vers": "1.0.0", "deps": [], "features": {}}
    assert (
        parsed(links="z", rust_version="1.60").line.items() >= {"links": "z", "rust_version": "1.60"}.items()
    )


def test_what_the_index_does_not_have_is_kept_beside() -> None:
    about = parsed(description="d", keywords=["k"], authors=[], license=None, readme="long").about
    assert about == {"description": "d", "keywords": ["k"]}


@each(
    "said",
    [
        {"name": ""},
        {"name": 1},
        {"name": "nul"},
        {"name": "../x"},
        {"name": "x" * 65},
        {"vers": "1.0"},
        {"vers": None},
        {"deps": {}},
        {"deps": [1]},
        {"deps": [{**DEPENDENCY, "version_req": "^1\n"}]},
        {"deps": [{**DEPENDENCY, "version_req": ""}]},
        {"deps": [{**DEPENDENCY, "name": "a b"}]},
        {"deps": [{**DEPENDENCY, "kind": "other"}]},
        {"deps": [{**DEPENDENCY, "optional": "yes"}]},
        {"deps": [{**DEPENDENCY, "explicit_name_in_toml": "a/b"}]},
        {"features": []},
        {"features": {"a": "b"}},
        {"features": {"a b": []}},
        {"features": {"a": ["b c"]}},
        {"links": 1},
        {"description": "x" * 5000},
        {"keywords": "k"},
    ],
)
def test_what_is_wrong_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        parsed(**said)


@each("raw", [b"", b"[]", b"null", b"{", b"\xff", b'{"name":"a"}'])
def test_what_is_no_metadata_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_manifest(raw)
