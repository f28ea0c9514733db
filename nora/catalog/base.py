"""What every catalog engine offers: the sum of a protocol for each noun, in the modules beside this one.

The values that go in and come out are in nora.catalog.records.

The catalog is the truth about hosted repositories: packages, versions, tags, files, and which blob each
file is. It knows no protocol. Reads of a point cost microseconds and may be awaited on the event loop;
a write returns when it is committed, and - unless its docstring says otherwise - durable. Every write is
one transaction. Names and versions compare as bytes.

All methods raise StorageFailed (or StorageBusy, StorageFull) when the engine fails; an absence is None,
False or an empty list, never an exception, unless a docstring says so.
"""

from __future__ import annotations

from typing import Protocol

from nora.catalog.blobs import Blobs
from nora.catalog.blocks import BlockRows
from nora.catalog.cached import CachedFiles
from nora.catalog.collection import Collection
from nora.catalog.events import Events
from nora.catalog.files import Files
from nora.catalog.histories import Histories
from nora.catalog.history import History
from nora.catalog.overview import Overview
from nora.catalog.packages import Packages
from nora.catalog.pulls import Pulls
from nora.catalog.quotas import Quotas
from nora.catalog.repositories import Repositories
from nora.catalog.search import Search
from nora.catalog.tags import Tags
from nora.catalog.tokens import Tokens
from nora.catalog.uploads import Uploads
from nora.catalog.verification import Verification
from nora.catalog.versions import Versions
from nora.catalog.webhooks import Webhooks


class Engine(Protocol):
    """What an engine does besides keeping rows."""

    async def check(self) -> None:
        """Raise StorageFailed, StorageFull or StorageBusy unless a write can be committed now."""
        ...

    def waiting_changes(self) -> int:
        """How many changes of this process wait to be committed."""
        ...

    async def close(self) -> None:
        """Finish what is queued and let go of the engine."""
        ...


class Catalog(
    Repositories,
    Packages,
    Versions,
    Tags,
    Files,
    CachedFiles,
    Blobs,
    Collection,
    BlockRows,
    Uploads,
    Tokens,
    Overview,
    History,
    Events,
    Webhooks,
    Search,
    Pulls,
    Histories,
    Verification,
    Quotas,
    Engine,
    Protocol,
):
    """All of it. Whoever needs only some nouns may ask for their protocol."""
