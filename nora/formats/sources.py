"""What the listing of a package is made of: hosted repositories that have it, what upstreams list of it."""

from __future__ import annotations

from dataclasses import dataclass

from nora.catalog.blocks import Hidden
from nora.catalog.records import Package
from nora.http.send import Header
from nora.model import Repository
from nora.proxy.answers import NO_CACHE, age_headers, staleness
from nora.proxy.base import Document


@dataclass(frozen=True, slots=True)
class HostedPart:
    """A package in a hosted repository."""

    repository: Repository
    package: Package
    hidden: Hidden | None = None
    """What is blocked of it."""

    @property
    def key(self) -> tuple[object, ...]:
        """Changes with every change of it."""
        return self.repository.id, self.package.id, self.package.revision, self.hidden and self.hidden.key


@dataclass(frozen=True, slots=True)
class CachedPart:
    """A package as an upstream lists it."""

    document: Document | None
    """None: only files of it are here, and nobody may be asked."""
    held: tuple[int, int] | None = None
    """Of a source that is not asked: its rows, and the revision of the package in them. Only what is here is
    offered then."""
    hidden: Hidden | None = None
    """What is blocked of it."""
    source_id: int = 0
    """Where the rows of the source are, for formats that look what is there beside the listing."""
    additions: bytes = b"{}"
    """What NORA itself knows of its files, where the format keeps such: the document of the package in the
    rows of the source."""

    @property
    def key(self) -> tuple[object, ...]:
        """Changes with every change of it."""
        document = self.document and self.document.cached.blob.id
        return document, self.additions, self.held, self.hidden and self.hidden.key


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that the listing of a package is made of, in the order of precedence."""

    hosted: tuple[HostedPart, ...]
    cached: tuple[CachedPart, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """Changes with every change of the listing; the same for every process."""
        return (*(part.key for part in self.hosted), *(part.key for part in self.cached))

    @property
    def documents(self) -> list[Document]:
        """Those of upstreams."""
        return [part.document for part in self.cached if part.document is not None]

    def headers(self, *, public: bool) -> tuple[Header, ...]:
        """How long clients may keep what is made of this: nothing that is hosted, so that what was published
        is there for the next command."""
        documents = self.documents
        if self.hosted or not documents:
            return (NO_CACHE, *staleness(documents))
        return age_headers(documents, public=public)
