"""Image names, tags, and where an image lives. Every value here is valid or does not exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nora._speedups import is_image_name, is_tag
from nora.errors import InvalidName, InvalidTag, quoted
from nora.model import Digest, Repository


class Tag(str):
    """A tag, `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (OCI distribution-spec, Pulling manifests)."""

    __slots__ = ()

    def __new__(cls, text: str) -> Tag:
        if not is_tag(text):
            raise InvalidTag("a tag is 1 to 128 of A-Z a-z 0-9 _ . - and does not start with . or -")
        return str.__new__(cls, text)


def parse_reference(text: str) -> Digest | Tag:
    """A manifest reference: a digest when it has a colon (which no tag can have), else a tag."""
    return Digest(text) if ":" in text else Tag(text)


@dataclass(frozen=True, slots=True)
class Image:
    """An image as a client names it, and the repository and package that it is here."""

    full_name: str
    """As in the URL: `internal/team/app`."""
    repository: Repository
    package: str
    """The name inside the repository: `team/app`. Empty when the name is the repository's own."""
    asked: str = ""
    """The name that only one upstream is asked for, where the client has said which: `ghcr.io/team/app`."""

    @property
    def target(self) -> Repository:
        """The repository that writes to the image go to. Raises MethodNotAllowed where there is none."""
        return self.repository.require_writable()

    def check(self) -> None:
        """Raises InvalidName when the name is that of a repository."""
        if not self.package:
            name = quoted(self.full_name)
            raise InvalidName(f"{name} is a repository here: name an image in it, {name}/<image>")

    def file_path(self, digest: str) -> str:
        """The path of a manifest among the files of its repository."""
        return f"{self.package}/manifests/{digest}"


class Images:
    """Finds the repository of an image: a configured repository name is the first segment of the
    names of its images, every other name belongs to the default repository."""

    def __init__(self, default: Repository, named: Mapping[str, Repository]) -> None:
        self.default = default
        self.named = dict(named)
        self.repositories = (default, *self.named.values())
        """All that images can be named in."""
        self.none = Image("", default, "")
        """What a path without a name names."""

    def resolve(self, full_name: str) -> Image:
        """Raises InvalidName when the name does not follow OCI's grammar.

        That it is a repository's own is for those to know who may read there: see `Image.check`.
        """
        if not is_image_name(full_name):
            raise InvalidName(
                "an image name is lower-case letters and digits, separated by one of . _ __ - inside"
                " components and / between them, at most 255 characters"
            )
        if self.named:
            first, _, rest = full_name.partition("/")
            repository = self.named.get(first)
            if repository is not None:
                return Image(full_name, repository, rest)
        return Image(full_name, self.default, full_name)
