"""Which files may get other bytes under their names."""

from __future__ import annotations

from collections.abc import Callable

from nora.config import Config
from nora.errors import InvalidName
from nora.formats.maven.names import ArtifactFile, parse_path
from nora.formats.maven.settings import MavenSettings
from nora.formats.replacing import ReplaceRules
from nora.http.conditions import Conditions
from nora.model import Repository


class Redeploy:
    """The rules of hosted repositories. A build of a snapshot is never replaced; what is no build may be."""

    def __init__(self, config: Config) -> None:
        self._rules = ReplaceRules(config, "maven", config.of_format(MavenSettings).of_releases)

    def may_change(self, hosted: Repository, file: ArtifactFile) -> bool:
        """Whether there may be other bytes one day."""
        return file.is_mutable or not (file.is_snapshot or self._rules.never(hosted))

    def replaces(self, hosted: Repository, file: ArtifactFile, conditions: Conditions) -> bool:
        """Whether an upload with these conditions, which hold, takes the place of what is there."""
        return file.is_mutable if file.is_snapshot else self._rules.replaces(hosted, conditions)


def is_for_good(config: Config, hosted: Repository) -> Callable[[str], bool]:
    """See nora.formats.base.Aging."""
    rules = Redeploy(config)

    def never_again(path: str) -> bool:
        try:
            file = parse_path(path.split("/"))
        except InvalidName:  # of a catalog that was taken over: nothing can be put there
            return False
        return isinstance(file, ArtifactFile) and not rules.may_change(hosted, file)

    return never_again
