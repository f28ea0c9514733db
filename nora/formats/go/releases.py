"""What is done to releases after their publication (nora.formats.releases). That one should not be used is
said by the module itself: `retract` in the go.mod of a later version."""

from __future__ import annotations

from nora.formats.go.names import ModulePath, parse_version
from nora.formats.releases import ReleaseRules


def latest_path(module: str) -> str:
    """Where the `@latest` of a module is among the files of a source."""
    return f"{module}/@latest"


def version_file(module: str, name: str) -> str:
    """Where a file of a module is among the files of its repository: `list`, `v1.2.3.zip`."""
    return f"{module}/@v/{name}"


def list_path(module: str) -> str:
    """Where the list of its versions is."""
    return version_file(module, "list")


RULES = ReleaseRules(
    prefix="/go/{module...}/@v",
    parse_package=ModulePath.of,
    parse_version=parse_version,
    path_of=version_file,
    beside=(".info", ".mod", ".ziphash"),
    documents=lambda module: (list_path(module), latest_path(module)),
)
