"""What the first reader of a large hosted project waits for after an upload.

    python -m benches.micro.hosted_page [versions]

It uploads another version, as rows, and makes the page: with all rows read, and as a worker does it.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import tempfile
import time
from pathlib import Path

from nora.catalog.records import NewBlob, NewFile, Release
from nora.catalog.sqlite import SQLiteCatalog
from nora.formats.pypi.hosted import METADATA, file_document
from nora.formats.pypi.hosted_pages import HostedPages
from nora.formats.pypi.names import ProjectName
from nora.formats.pypi.pages import PageType
from nora.formats.pypi.projects import _worked
from nora.http.encodings import Encoding
from nora.model import Digest, Repository, RepositorySpec
from nora.proxy import offload

NAME = ProjectName("many")
ROUNDS = 5
AT_ONCE = 200


def release(repository: Repository, number: int) -> Release:
    """A version with its wheel."""
    path = f"{NAME}/many-{number}.0-py3-none-any.whl"
    document = file_document("wheel", ">=3.8", digest(path))
    files = (
        NewFile(path=path, media_type="application/octet-stream", blob=blob(path), document=document),
        NewFile(path=path + METADATA, media_type="text/plain", blob=blob(path + METADATA)),
    )
    return Release(repository_id=repository.id, package=NAME, version=f"{number}.0", files=files)


def digest(text: str) -> str:
    """Some sha256."""
    return hashlib.sha256(text.encode()).hexdigest()


def blob(text: str) -> NewBlob:
    """Some blob."""
    return NewBlob(Digest(f"sha256:{digest(text)}"), len(text), "0" * 32, 1)


async def measure(catalog: SQLiteCatalog, repository: Repository, count: int) -> None:
    """Print a line for each way."""
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(count, start + AT_ONCE))
        await asyncio.gather(*(catalog.publish(release(repository, one), 60.0) for one in numbers))
    kept = HostedPages(catalog)
    number = count
    for what in ("all rows", "what is new"):
        took = []
        for _ in range(ROUNDS + 1):
            await catalog.publish(release(repository, number), 60.0)
            number += 1
            pages = kept if what == "what is new" else HostedPages(catalog)
            took.append(await first_reader(catalog, pages, repository))
        stored, whole = (sorted(times)[ROUNDS // 2] * 1000 for times in zip(*took[1:], strict=True))
        print(f"{count:6} versions  {what:12} stored form {stored:6.1f} ms  whole page {whole:6.1f} ms")


async def first_reader(
    catalog: SQLiteCatalog, pages: HostedPages, repository: Repository
) -> tuple[float, float]:
    """Seconds until there is the stored form, and the page in JSON and gzip."""
    began = time.perf_counter()
    package = await catalog.find_package(repository.id, NAME)
    assert package is not None
    stored = await pages.stored(repository, package, NAME)
    middle = time.perf_counter()
    await _worked(PageType.JSON, Encoding.GZIP, 0, [stored])
    return middle - began, time.perf_counter() - began


async def main(count: int) -> None:
    """Measure a project of so many versions."""
    with tempfile.TemporaryDirectory() as folder:
        SQLiteCatalog.prepare(Path(folder, "catalog.db"))
        catalog = SQLiteCatalog.open(Path(folder, "catalog.db"))
        repositories = await catalog.sync_repositories([RepositorySpec("hosted", "pypi", "hosted")])
        await measure(catalog, repositories["hosted"], count)
        await catalog.close()


if __name__ == "__main__":
    for size in map(int, sys.argv[1:] or ("2000", "20000")):
        asyncio.run(main(size))
    offload.close()
