"""What is done to hosted artifacts from the command line (nora.formats.release_commands)."""

from __future__ import annotations

from nora.formats.maven.names import PackageName
from nora.formats.releases import ReleaseRules


def path_of(package: str, filename: str) -> str:
    """Where a file is: its name begins with the directory of its version, `1.0/lib-1.0.jar`."""
    return f"{PackageName.of(package).directory}/{filename}"


RULES = ReleaseRules(
    prefix="/maven2/{artifact}", parse_package=PackageName.of, parse_version=str, path_of=path_of
)
