"""What an endpoint gets: a request that may be answered, with its path taken apart."""

from __future__ import annotations

from blacksheep import Request

from nora.formats.pypi.names import ProjectName
from nora.http.context import PackageContext
from nora.http.paths import Target
from nora.model import Action, Repository


class Resource(PackageContext):
    """A request for the thing that its path names."""

    __slots__ = ("project", "target")

    def __init__(
        self,
        request: Request,
        action: Action | None,
        repository: Repository,
        project: ProjectName,
        target: Target,
    ) -> None:
        PackageContext.__init__(self, request, action, repository, project or None)
        self.project = project
        """Normalized; empty where the path names none."""
        self.target = target

    @property
    def version(self) -> str:
        """As in the path; empty where that has none."""
        return self.target.get("version")

    @property
    def filename(self) -> str:
        """As in the path; empty where that has none."""
        return self.target.get("filename")
