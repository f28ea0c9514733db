"""What `cargo publish` says of a version, checked, and as the index has it (cargo reference: Registry Web
API, Index Format)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from nora.errors import BadRequest, quoted
from nora.formats.cargo.names import CrateName, parse_version

MOST_DEPENDENCIES: Final = 2000
MOST_FEATURES: Final = 5000
LONGEST_TEXT: Final = 4096
_KINDS: Final = frozenset({"normal", "dev", "build"})
_requirement = re.compile(r"[0-9A-Za-z.*+<>=^~, -]{1,200}").fullmatch
_renamed = re.compile(r"[^\W\d][\w-]{0,63}").fullmatch
_feature = re.compile(r"[^\W][\w+.-]{0,255}").fullmatch
_enabled = re.compile(r"(?:dep:)?[\w+.-]+(?:\??/[\w+.-]+)?").fullmatch
_ABOUT: Final = (
    "description",
    "homepage",
    "documentation",
    "repository",
    "license",
    "license_file",
    "readme_file",
)
_LISTS: Final = ("authors", "keywords", "categories")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A version that is to be published."""

    name: CrateName
    version: str
    line: Mapping[str, Any]
    """Of the index, without `cksum`, `yanked` and `pubtime`."""
    about: Mapping[str, Any]
    """What is not in the index: description, license, links."""

    def document(self, checksum: str) -> bytes:
        """What is remembered of the version."""
        return orjson.dumps({"line": {**self.line, "cksum": checksum}, "about": self.about})


def parse_manifest(raw: bytes) -> Manifest:
    """Raises BadRequest and InvalidName, saying which field is wrong."""
    try:
        said = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the metadata of the crate is not valid JSON: {quoted(error)}") from None
    if not isinstance(said, dict):
        raise BadRequest("the metadata of the crate is not a JSON object")
    name, version = CrateName.of(_text(said, "name")), parse_version(_text(said, "vers"))
    features, features2 = _features(said.get("features"))
    line: dict[str, Any] = {
        "name": name.spelled,
        "vers": version,
        "deps": _dependencies(said.get("deps")),
        "features": features,
    }
    for field in ("links", "rust_version"):
        if (value := _optional(said, field)) is not None:
            line[field] = value
    if features2:
        line |= {"features2": features2, "v": 2}
    about: dict[str, Any] = {field: said[field] for field in _ABOUT if _optional(said, field) is not None}
    about |= {field: said[field] for field in _LISTS if _texts(said.get(field), field)}
    return Manifest(name, version, line, about)


def _dependencies(said: Any) -> list[dict[str, Any]]:
    found = [] if said is None else said
    if not isinstance(found, list) or len(found) > MOST_DEPENDENCIES:
        raise BadRequest(f"deps is a list of at most {MOST_DEPENDENCIES} dependencies")
    return [_dependency(one) for one in found]


def _dependency(said: Any) -> dict[str, Any]:
    """A dependency under the name that it has in the code, as the index has it."""
    if not isinstance(said, dict):
        raise BadRequest("a dependency in deps is not a JSON object")
    name = CrateName.of(_text(said, "name"))
    requirement = _text(said, "version_req")
    if not _requirement(requirement):
        raise BadRequest(f"{quoted(requirement)!r} is no requirement of a version (of {name.spelled})")
    kind = said.get("kind") or "normal"
    if not isinstance(kind, str) or kind not in _KINDS:
        raise BadRequest(f"the kind of {name.spelled} is none of {', '.join(sorted(_KINDS))}")
    renamed = _optional(said, "explicit_name_in_toml")
    if renamed and not _renamed(renamed):
        raise BadRequest(f"{quoted(renamed)!r} is no name that code can call {name.spelled}")
    found = {
        "name": renamed or name.spelled,
        "req": requirement,
        "features": _texts(said.get("features"), "features"),
        "optional": _flag(said, "optional", otherwise=False),
        "default_features": _flag(said, "default_features", otherwise=True),
        "target": _optional(said, "target"),
        "kind": kind,
        "registry": _optional(said, "registry"),
    }
    return {**found, "package": name.spelled} if renamed else found


def _features(said: Any) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Those that every cargo reads, and those with a syntax that came later (1.60): `dep:x`, `x?/y`."""
    given = {} if said is None else said
    if not isinstance(given, dict) or len(given) > MOST_FEATURES:
        raise BadRequest(f"features is an object of at most {MOST_FEATURES} lists")
    old: dict[str, list[str]] = {}
    new: dict[str, list[str]] = {}
    for name, values in given.items():
        enabled = _texts(values, f"the feature {quoted(name)}")
        if not _feature(name) or not all(map(_enabled, enabled)):
            raise BadRequest(
                f"the feature {quoted(name)!r} has a name, or enables something, that cargo does not take"
            )
        is_new = any(one.startswith("dep:") or "?/" in one for one in enabled)
        (new if is_new else old)[name] = enabled
    return old, new


def _text(said: Mapping[str, Any], field: str) -> str:
    value = said.get(field)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"the metadata has no {field}")
    return value


def _optional(said: Mapping[str, Any], field: str) -> str | None:
    value = said.get(field)
    if value is not None and (not isinstance(value, str) or len(value) > LONGEST_TEXT):
        raise BadRequest(f"{field} is a text of at most {LONGEST_TEXT} characters")
    return value


def _texts(value: Any, what: str) -> list[str]:
    found: Sequence[Any] = [] if value is None else value
    if not isinstance(found, list) or not all(
        isinstance(one, str) and len(one) <= LONGEST_TEXT for one in found
    ):
        raise BadRequest(f"{what} is a list of texts")
    return list(found)


def _flag(said: Mapping[str, Any], field: str, *, otherwise: bool) -> bool:
    value = said.get(field, otherwise)
    if not isinstance(value, bool):
        raise BadRequest(f"{field} is true or false")
    return value
