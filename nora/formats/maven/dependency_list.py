"""What `mvn dependency:list` and `dependency:resolve-plugins` print: artifacts that a build has resolved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from nora.errors import InvalidName, quoted
from nora.formats.maven.names import PackageName, is_version
from nora.formats.mirroring import LockFileInvalid

_HEAD: Final = "have been resolved:"
_INDENTED: Final = "  "
_colour = re.compile(r"\x1b\[[0-9;]*m")
_word = re.compile(r"[A-Za-z0-9_.-]+").fullmatch
_SCOPES: Final = frozenset({"compile", "provided", "runtime", "test", "system", "import"})
_TYPES: Final = {
    "maven-plugin": ("jar", ""),
    "bundle": ("jar", ""),
    "eclipse-plugin": ("jar", ""),
    "ejb": ("jar", ""),
    "ejb-client": ("jar", "client"),
    "test-jar": ("jar", "tests"),
    "java-source": ("jar", "sources"),
    "javadoc": ("jar", "javadoc"),
}
"""Extension and classifier of types whose files are called otherwise."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a version."""

    package: PackageName
    version: str
    """`1.0-20261124.061329-1` for a build of a snapshot, or `1.0-SNAPSHOT` for whichever is its newest."""
    extension: str = "jar"
    classifier: str = ""

    def __str__(self) -> str:
        return f"{self.package}:{self.version}" + (f":{self.classifier}" if self.classifier else "")


def read_dependency_list(text: str) -> list[Artifact]:
    """The artifacts, each once: of all modules, when there are several. Raises LockFileInvalid."""
    if _HEAD not in text:
        raise LockFileInvalid(
            f"no output of `mvn dependency:list`: it has no line that says that files {_HEAD[:-1]}"
        )
    found: dict[Artifact, None] = {}
    is_list = False
    for number, whole in enumerate(text.splitlines(), 1):
        printed = _colour.sub("", whole).rstrip().removeprefix("[INFO] ")
        line = printed.strip()
        if line.endswith(_HEAD):
            is_list = True
        elif not printed.startswith(_INDENTED):
            is_list = False
        elif is_list and line != "none" and (one := _artifact(line, number)) is not None:
            found[one] = None
    return [*found]


def parse_artifact(text: str) -> Artifact:
    """`group:artifact:version`, as it is typed. Raises InvalidName."""
    group, _, rest = text.partition(":")
    artifact, _, version = rest.partition(":")
    return Artifact(PackageName.of(f"{group}:{artifact}"), _version(version))


def _artifact(line: str, number: int) -> Artifact | None:
    """`group:artifact:type(:classifier):version(:scope)`, and what modules of Java and options there are."""
    coordinates = line.partition(" ")[0]
    words = coordinates.split(":")
    if words[-1] in _SCOPES:
        scope = words.pop()
        if scope == "system":  # a file of the machine
            return None
    if len(words) not in (4, 5) or not all(map(_word, words[2:-1])):
        raise LockFileInvalid(f"{quoted(line)!r} is no artifact: group:artifact:type:version:scope", number)
    group, artifact, kind, *classifier, version = words
    extension, implied = _TYPES.get(kind, (kind, ""))
    try:
        package = PackageName.of(f"{group}:{artifact}")
        return Artifact(package, _version(version), extension, *(classifier or [implied]))
    except InvalidName as error:
        raise LockFileInvalid(str(error), number) from None


def _version(text: str) -> str:
    if not text or not is_version(text):
        raise InvalidName(f"{quoted(text)!r} is no version")
    return text
