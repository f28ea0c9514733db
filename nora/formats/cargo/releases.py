"""What is done to releases after their publication, beside cargo's own commands (nora.formats.releases)."""

from __future__ import annotations

from nora.formats.cargo.hosted import path_of_file
from nora.formats.cargo.index import YANKED
from nora.formats.cargo.names import CrateName, parse_version
from nora.formats.cargo.upstream import index_path
from nora.formats.releases import Mark, ReleaseRules

YANK = Mark(
    state=YANKED,
    verb="yank",
    undo="unyank",
    help="Have cargo pass over VERSION of CRATE, unless a lock file has it.",
    undo_help="Take back that VERSION of CRATE is yanked.",
)
RULES = ReleaseRules(
    prefix="/cargo/api/v1/crates/{crate}",
    marks=(YANK,),
    parse_package=CrateName.of,
    parse_version=parse_version,
    path_of=path_of_file,
    documents=lambda crate: (index_path(CrateName.of(crate)),),
)
