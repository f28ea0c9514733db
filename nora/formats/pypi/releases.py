"""What is done to releases after their upload: PyPI's interface has nothing for this (nora.formats.releases).

POST   /pypi/<project>/<version>/yank          {"reason": …}: installers skip it, unless told exactly that
POST   /pypi/<project>/<version>/unyank        {}
PUT    /pypi/<project>/status                  {"status": …, "reason": …}, PEP 792
POST   /pypi/<project>/refresh                 {}
DELETE /pypi/<project>[/<version>[/<filename>]]
"""

from __future__ import annotations

from nora.formats.pypi.hosted import METADATA, STATUSES, YANKED, path_of
from nora.formats.pypi.names import ProjectName, normalize_version
from nora.formats.pypi.upstream import page_path
from nora.formats.releases import Mark, ReleaseRules

YANK = Mark(
    state=YANKED,
    verb="yank",
    undo="unyank",
    help="Have installers pass over VERSION of PROJECT, unless they are told exactly that one (PEP 592).",
    undo_help="Take back that VERSION of PROJECT is yanked.",
)
RULES = ReleaseRules(
    prefix="/pypi/{project}",
    marks=(YANK,),
    statuses=STATUSES,
    parse_package=ProjectName.of,
    parse_version=normalize_version,
    path_of=path_of,
    beside=(METADATA,),
    documents=lambda project: (page_path(ProjectName(project)),),
)
