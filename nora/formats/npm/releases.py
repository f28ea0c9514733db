"""What is done to releases after their publication, beside npm's own commands (nora.formats.releases)."""

from __future__ import annotations

from nora.formats.npm.hosted import DEPRECATED, README, SIGSTORE
from nora.formats.npm.names import PackageName, parse_version
from nora.formats.npm.upstream import document_path, tarball_path
from nora.formats.releases import Mark, ReleaseRules, Words

DEPRECATION = Mark(
    state=DEPRECATED,
    verb="deprecate",
    undo="undeprecate",
    help="Have npm warn of VERSION of PACKAGE.",
    undo_help="Take back that VERSION of PACKAGE is deprecated.",
    words=Words(
        title="Deprecate",
        effect="npm warns whoever installs this version, with the reason. Nothing is removed.",
        done="{what} is deprecated.",
    ),
    undo_words=Words(
        title="Take back the deprecation",
        effect="npm does not warn of this version any more.",
        done="{what} is not deprecated any more.",
    ),
)
RULES = ReleaseRules(
    prefix="/npm/-/releases/{@package}",
    marks=(DEPRECATION,),
    parse_package=PackageName.of,
    parse_version=parse_version,
    path_of=tarball_path,
    beside=(README, SIGSTORE),
    documents=lambda package: (document_path(package),),
)
