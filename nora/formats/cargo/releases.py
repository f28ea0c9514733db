"""What is done to releases after their publication, beside cargo's own commands (nora.formats.releases)."""

from __future__ import annotations

from nora.formats.cargo.hosted import README, path_of_file
from nora.formats.cargo.index import YANKED
from nora.formats.cargo.names import CrateName, parse_version
from nora.formats.cargo.upstream import index_path
from nora.formats.releases import Mark, ReleaseRules, Words

YANK = Mark(
    state=YANKED,
    verb="yank",
    undo="unyank",
    help="Have cargo pass over VERSION of CRATE, unless a lock file has it.",
    undo_help="Take back that VERSION of CRATE is yanked.",
    words=Words(
        title="Yank",
        effect="cargo passes over this version from now on, unless a lock file has it. Nothing is removed.",
        done="{what} is yanked.",
    ),
    undo_words=Words(
        title="Take back the yank",
        effect="cargo takes this version again.",
        done="{what} is not yanked any more.",
    ),
)
RULES = ReleaseRules(
    prefix="/cargo/api/v1/crates/{crate}",
    marks=(YANK,),
    parse_package=CrateName.of,
    parse_version=parse_version,
    path_of=path_of_file,
    beside=(README,),
    documents=lambda crate: (index_path(CrateName.of(crate)),),
)
