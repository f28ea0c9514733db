"""Checksums that clients upload beside their files: compared, and never stored.

Clients upload a file and then its checksums, or all of them at a time. Whichever of the two comes later finds
the other: each writes its row before it looks. That a checksum is refused is a warning to Maven, whose build
succeeds all the same; so what protects those who read is that the file goes.

Where a file may be replaced two builds may send it at once. A checksum of the one that came first is right,
and says nothing of the other one that is there by then: what was sent is remembered for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import orjson

from nora.catalog.base import Catalog
from nora.catalog.records import File
from nora.errors import DigestMismatch, PreconditionFailed, StorageBusy
from nora.formats.maven.hosted import checksums_of
from nora.formats.maven.names import ArtifactFile, Checksum
from nora.model import Repository

MOST_HELD: Final = 512
"""Checksums of a package whose files have not come."""
HELD_SECONDS: Final = 3600.0
SENDER_SECONDS: Final = 900.0
"""For how long a file goes when who sent it sends a checksum that it has not: later it may be in use."""
_TRIES: Final = 100
"""Each that fails is another change of the package that did not."""

MOST_SENT: Final = 512
"""Files of a package of which it is remembered that they were sent."""

Held = dict[str, tuple[str, str, float]]
"""By the path of the checksum: the digest, who sent it, and when."""
Sent = list[tuple[str, dict[str, str], str, float]]
"""Path, checksums that have not come, who sent it and when: of files that may be replaced."""


class UploadedChecksums:
    """Those of hosted repositories."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def receive(self, hosted: Repository, checksum: Checksum, digest: str, by: str) -> None:
        """A checksum of the file of an artifact has come. Raises DigestMismatch."""
        file = checksum.file
        assert isinstance(file, ArtifactFile)
        found = await self._catalog.find_file(hosted.id, file.path)
        if found is None:
            await self._hold(hosted, checksum, file, digest, by)
            found = await self._catalog.find_file(hosted.id, file.path)
            if found is None:
                return
            await self._take(hosted, file)
        await self._compare(hosted, file, found, {checksum.algorithm: digest}, by)

    async def remember(
        self, hosted: Repository, file: ArtifactFile, checksums: Mapping[str, str], by: str
    ) -> None:
        """A file that may be replaced has come, and has its row."""
        now = time.time()

        def add(document: dict[str, Any]) -> None:
            sent: Sent = document.get("sent", [])
            new = [one for one in sent if now - one[3] <= SENDER_SECONDS]
            document["sent"] = [*new, (file.path, checksums, by, now)][-MOST_SENT:]

        await self._change(hosted, file, add)

    async def check(self, hosted: Repository, file: ArtifactFile, by: str) -> None:
        """A file has come and has its row. Raises DigestMismatch."""
        package = await self._catalog.find_package(hosted.id, file.package)
        if package is None or b'"held"' not in package.document:
            return
        held: Held = orjson.loads(package.document)["held"]
        found = await self._catalog.find_file(hosted.id, file.path)
        now = time.time()
        told = {
            path.rpartition(".")[2]: digest
            for path, (digest, sender, when) in held.items()
            if path.rpartition(".")[0] == file.path and sender == by and now - when <= HELD_SECONDS
        }
        # They are held until they were compared: who is killed before is asked again
        try:
            if found is not None and told:
                await self._compare(hosted, file, found, told, by)
        except DigestMismatch:
            await self._take(hosted, file)
            raise
        await self._take(hosted, file)

    async def _compare(
        self, hosted: Repository, file: ArtifactFile, found: File, told: dict[str, str], by: str
    ) -> None:
        right = checksums_of(found)
        for algorithm, digest in told.items():
            was_sent = await self._was_sent(hosted, file, algorithm, digest, by)
            if right[algorithm] != digest and not was_sent:
                is_gone = await self._remove(hosted, file, found, by)
                raise DigestMismatch(
                    f"{file.path} has the {algorithm} {right[algorithm]}, not {digest}"
                    f"{'; it is removed: upload it again' if is_gone else ''}"
                )

    async def _was_sent(
        self, hosted: Repository, file: ArtifactFile, algorithm: str, digest: str, by: str
    ) -> bool:
        """Whether who sends a checksum has sent such a file of late. Each file has one checksum of a kind: it
        excuses none of a later file that is damaged."""
        now, found = time.time(), False

        def take(document: dict[str, Any]) -> None:
            nonlocal found
            found = False
            sent: Sent = document.get("sent", [])
            for path, checksums, who, when in sent:
                is_it = (path, who, checksums.get(algorithm)) == (file.path, by, digest)
                if is_it and now - when <= SENDER_SECONDS:
                    del checksums[algorithm]
                    found = True
                    return

        await self._change(hosted, file, take)
        return found

    async def _remove(self, hosted: Repository, file: ArtifactFile, found: File, by: str) -> bool:
        """Whether a file went: one that came a moment ago from who says what it was to be."""
        if time.time() - found.created_at > SENDER_SECONDS:
            return False
        for row in await self._catalog.list_package_files(hosted.id, file.package):
            if row.path == file.path and orjson.loads(row.document).get("by") == by:
                with suppress(PreconditionFailed):  # another checksum of it was faster
                    return bool(
                        await self._catalog.delete_files(
                            hosted.id, [file.path], for_good=False, expected=found.blob.digest
                        )
                    )
        return False

    # -- checksums without a file ------------------------------------------------------------------------

    async def _hold(
        self, hosted: Repository, checksum: Checksum, file: ArtifactFile, digest: str, by: str
    ) -> None:
        await self._catalog.claim_package(hosted.id, file.package)
        now = time.time()

        def add(document: dict[str, Any]) -> None:
            held: Held = document.setdefault("held", {})
            old = [path for path, (_, _, when) in held.items() if now - when > HELD_SECONDS]
            for path in old + sorted(held, key=lambda one: held[one][2])[: len(held) - MOST_HELD + 1]:
                held.pop(path, None)
            held[checksum.path] = (digest, by, now)

        await self._change(hosted, file, add)

    async def _take(self, hosted: Repository, file: ArtifactFile) -> None:
        """Those of a file are held no more."""

        def remove(document: dict[str, Any]) -> None:
            held: Held = document.pop("held", {})
            left = {path: one for path, one in held.items() if path.rpartition(".")[0] != file.path}
            if left:
                document["held"] = left

        await self._change(hosted, file, remove)

    async def _change(
        self, hosted: Repository, file: ArtifactFile, change: Callable[[dict[str, Any]], None]
    ) -> None:
        for _ in range(_TRIES):
            package = await self._catalog.find_package(hosted.id, file.package)
            if package is None:
                return
            document: dict[str, Any] = orjson.loads(package.document)
            change(document)
            after = orjson.dumps(document)
            if after == package.document or await self._catalog.update_package(
                hosted.id, file.package, after, before=package.document
            ):
                return
        raise StorageBusy(f"{file.package} changes all the time; try again")
