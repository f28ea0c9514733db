"""What an endpoint gets: a request that may be answered, with its path taken apart."""

from __future__ import annotations

from blacksheep import Request

from nora.formats.pypi.names import ProjectName
from nora.http.context import PathContext
from nora.http.paths import Target
from nora.model import Action, Repository

_NO_PROJECT = ProjectName("")


class Resource(PathContext):
    """A request for the thing that its path names."""

    __slots__ = ("project",)

    def __init__(
        self,
        request: Request,
        action: Action | None,
        repository: Repository,
        project: ProjectName | None,
        target: Target,
    ) -> None:
        super().__init__(request, action, repository, project, target)
        self.project = _NO_PROJECT if project is None else project
        """Normalized; empty where the path names none."""

    @property
    def version(self) -> str:
        """As in the path; empty where that has none."""
        return self.target.get("version")

    @property
    def mark(self) -> str:
        """Of the file, where its address has one (see `marks`); empty where it has none."""
        return self.target.get("mark")

    @property
    def filename(self) -> str:
        """As in the path; empty where that has none."""
        return self.target.get("filename")
