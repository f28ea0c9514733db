"""The page of a project as a value: what an upstream lists, what is stored of it, and how listings merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from nora.formats.pypi.names import ProjectName

Status = Literal["active", "archived", "quarantined", "deprecated"]
"""PEP 792. Quarantined: no file is offered. Archived, quarantined: nothing is taken in."""


class IndexUnreadable(ValueError):
    """What an upstream sent is no page of a project; the message says why, without quoting it at length."""


class ListedFile(NamedTuple):
    """A file as the page of its project lists it. A tuple: a page has ten thousand of them."""

    filename: str
    """Safe, see `names.is_filename`."""
    url: str = ""
    """Where an upstream has it: absolute, http or https, without a fragment. Empty: it is in a hosted repository."""
    hashes: Mapping[str, str] = {}
    """Lower-case hexadecimal by algorithm (`sha256`); may be empty."""
    requires_python: str | None = None
    core_metadata: Mapping[str, str] | bool = False
    """Whether `<filename>.metadata` is offered (PEP 658): its hashes, or True where they are not known."""
    yanked: str | bool = False
    """PEP 592: True, or the reason (never empty)."""
    size: int | None = None
    """Bytes."""
    upload_time: str | None = None
    """`2026-01-02T03:04:05.678901Z`: at most microseconds, always UTC (PEP 700)."""
    provenance: str | None = None
    """Absolute URL of its attestations (PEP 740)."""
    gpg_sig: bool | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """The page of a project."""

    name: ProjectName
    files: Sequence[ListedFile] = ()
    """No file name twice."""
    versions: Sequence[str] = ()
    """Without duplicates; there may be some without files."""
    status: Status = "active"
    status_reason: str | None = None

    def find(self, filename: str) -> ListedFile | None:
        """The file with this name."""
        return next((file for file in self.files if file.filename == filename), None)


def parse_json(body: bytes, url: str, name: ProjectName) -> Project:
    """A page as `application/vnd.pypi.simple.v1+json` (PEP 691); `url` is where it was had from.

    Raises IndexUnreadable.
    """
    raise NotImplementedError


def parse_html(body: bytes, url: str, name: ProjectName) -> Project:
    """A page as HTML (PEP 503); `url` is where it was had from. Raises IndexUnreadable."""
    raise NotImplementedError


def encode(project: Project) -> bytes:
    """The stored form of a page: compact, and quick to read back."""
    raise NotImplementedError


def decode(stored: bytes) -> Project:
    """Raises IndexUnreadable when this is not what `encode` gave."""
    raise NotImplementedError


def merge(projects: Sequence[Project]) -> Project:
    """One page of several, the first of which wins wherever two list a file of the same name."""
    raise NotImplementedError
