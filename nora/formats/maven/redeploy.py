"""Which files may get other bytes under their names."""

from __future__ import annotations

from nora.config import overwrite_rules
from nora.formats.base import Services
from nora.formats.maven.names import ArtifactFile
from nora.formats.maven.settings import MavenSettings
from nora.http.conditions import Conditions
from nora.model import Repository


class Redeploy:
    """The rules of hosted repositories. A build of a snapshot is never replaced; what is no build may be."""

    def __init__(self, services: Services) -> None:
        self._rules = overwrite_rules(services.config, "maven", services.settings(MavenSettings).of_releases)

    def may_change(self, hosted: Repository, file: ArtifactFile) -> bool:
        """Whether there may be other bytes one day."""
        return file.is_mutable or not (file.is_snapshot or self._rules[hosted.name] == "never")

    def replaces(self, hosted: Repository, file: ArtifactFile, conditions: Conditions) -> bool:
        """Whether an upload with these conditions, which hold, takes the place of what is there."""
        if file.is_snapshot:
            return file.is_mutable
        rule = self._rules[hosted.name]
        return rule == "always" or (rule == "if-match" and conditions.get(b"if-match") is not None)
