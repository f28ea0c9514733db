"""What people are shown of a format: capabilities of one function each, in `browse.py` of its folder.

Absent means not offered: a format that brings none of this is listed by its names, versions and files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from nora.catalog.records import Package, PackageFile, Version
    from nora.formats.base import Services
    from nora.model import Repository

Purpose = Literal["set up", "log in", "install", "download", "publish"]


@dataclass(frozen=True, slots=True)
class Site:
    """Where clients reach a repository."""

    root: str
    """What its mounts are below, without a slash at the end: `https://registry.example.com/r/internal`."""
    mount: str
    """The mount of the format: `/npm/`."""
    prefix: str = ""
    """What names begin with where repositories share the mount: `internal/`."""
    needs_login: bool = False
    """Whether nothing is read without credentials."""

    @property
    def url(self) -> str:
        """Of the repository, with a slash at the end."""
        return self.root + self.mount

    @property
    def address(self) -> str:
        """The URL without its scheme."""
        return self.url.partition("://")[2]

    @property
    def host(self) -> str:
        """Name and port."""
        return self.root.partition("://")[2].partition("/")[0]

    @property
    def name(self) -> str:
        """The host without its port."""
        return urlsplit(self.root).hostname or ""

    @property
    def is_tls(self) -> bool:
        """Whether clients speak TLS to it."""
        return self.root.startswith("https:")


@dataclass(frozen=True, slots=True)
class Snippet:
    """Lines that work as they are pasted."""

    client: str
    """As it calls itself: `pip`."""
    purpose: Purpose
    text: str
    file: str = ""
    """The file that they belong into; empty: the command line."""


def netrc(client: str, machine: str, user: str, token: str) -> Snippet:
    """For a client that looks for the name of a server in `~/.netrc`."""
    return Snippet(client, "log in", f"machine {machine}\nlogin {user}\npassword {token}", "~/.netrc")


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a package says of itself. The label is English, and translated where it is shown."""

    label: str
    text: str
    url: str = ""
    """Where the text leads; a page shows it as a link if it is one of the web."""


@dataclass(frozen=True, slots=True)
class Readme:
    """What the makers of a package have written about it. It is anything: pages show it as text."""

    text: bytes
    """UTF-8, or as much of it as is."""
    is_markdown: bool = False
    """Else it is shown as it is."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a version says of itself."""

    summary: str = ""
    facts: tuple[Fact, ...] = ()
    name: str = ""
    """Of the package as its maker spells it, where that is not how its rows do."""
    readme: Readme | None = None
    proofs: tuple[Fact, ...] = ()
    """What is stored that others have signed: by which kind of signature, and whose."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something that a version consists of."""

    digest: str
    kind: str
    """In the words of the format: `layer`."""
    size: int
    note: str = ""
    """What made it, or what it is for."""
    version: str = ""
    """The version of the package that it is, if it is one."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a version consists of."""

    kind: str
    size: int
    """Bytes of all that a client fetches for it; of several alternatives, of all of them that are here."""
    platforms: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    facts: tuple[Fact, ...] = ()
    history: tuple[str, ...] = ()
    """The commands that made it."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag, and the version that it means."""

    tag: str
    version: str


@dataclass(frozen=True, slots=True)
class Holding:
    """A package in the rows of one repository, and all that is known of it there."""

    repository: Repository
    package: Package
    versions: Sequence[Version] = ()
    files: Sequence[PackageFile] = ()


Describe = Callable[["Services", Holding, str], Awaitable[Description | None]]
ListTags = Callable[["Services", "Repository", str, str, int], Awaitable[Sequence[Tagged]]]
ListReferrers = Callable[["Services", "Repository", str, str], Awaitable[Sequence[Part]]]
ReadContents = Callable[["Services", "Repository", str, str], Awaitable[Contents | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Browse:
    """What a format offers."""

    mark: str = ""
    """Its icon: the path data of 16 px line art."""
    snippets: Callable[[Site], Sequence[Snippet]] | None = None
    """How its clients use a repository, the most common client first."""
    credentials: Callable[[Site, str, str], Sequence[Snippet]] | None = None
    """How they are given a name and an API token, once for all that they do."""
    install: Callable[[Site, str, str], Sequence[Snippet]] | None = None
    """How they install a package in a version, or a tag of it."""
    download: Callable[[Site, str], Sequence[Snippet]] | None = None
    """How they get a file that belongs to no package, by its path."""
    describe: Describe | None = None
    """What a version says of itself."""
    tags: ListTags | None = None
    """The tags of a package in the rows of a repository, after one and at most so many, by name. With it a
    package is shown by its tags, else by its versions."""
    contents: ReadContents | None = None
    """What a version consists of; None: that is not here."""
    referrers: ListReferrers | None = None
    """The versions that are about a version of a package: its signatures, what is in it."""
    is_directory: bool = False
    """Whether its files belong to no packages: they are shown by their directories."""
    beside: tuple[str, ...] = ()
    """The ends of the paths of files that are not shown: they belong to the one beside them."""
