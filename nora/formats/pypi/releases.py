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
from nora.formats.releases import Mark, ReleaseRules, Words

YANK = Mark(
    state=YANKED,
    verb="yank",
    undo="unyank",
    help="Have installers pass over VERSION of PROJECT, unless they are told exactly that one (PEP 592).",
    undo_help="Take back that VERSION of PROJECT is yanked.",
    words=Words(
        title="Yank",
        effect="Installers pass over this version from now on, unless they are told exactly it. Nothing is "
        "removed.",
        done="{what} is yanked.",
    ),
    undo_words=Words(
        title="Take back the yank",
        effect="Installers take this version again.",
        done="{what} is not yanked any more.",
    ),
)
STATUS_WORDS = {
    "active": Words(
        title="Make active again",
        effect="The project takes files again, and nothing is said against it.",
        done="{what} is active again.",
    ),
    "archived": Words(
        title="Archive",
        effect="The project takes no files any more. What is there is served as before, and installers may "
        "say that it is archived.",
        done="{what} is archived.",
    ),
    "quarantined": Words(
        title="Quarantine",
        effect="The project offers nothing and takes no files until an administrator ends that. Nothing is "
        "removed.",
        done="{what} is quarantined.",
    ),
    "unquarantined": Words(
        title="End the quarantine",
        effect="What the project has is offered again.",
        done="The quarantine of {what} is over.",
    ),
    "deprecated": Words(
        title="Deprecate",
        effect="Installers may say that the project is deprecated. Nothing is removed.",
        done="{what} is deprecated.",
    ),
}
RULES = ReleaseRules(
    prefix="/pypi/{project}",
    marks=(YANK,),
    statuses=STATUSES,
    status_words=STATUS_WORDS,
    has_files=True,
    parse_package=ProjectName.of,
    parse_version=normalize_version,
    path_of=path_of,
    beside=(METADATA,),
    documents=lambda project: (page_path(ProjectName(project)),),
)
