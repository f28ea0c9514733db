from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from nora.blobs.leases import Leases
from nora.catalog.records import Blob
from nora.catalog.sqlite import SQLiteCatalog
from tests.contracts.catalog import HOSTED, LEASE, new_blob, sha256
from tests.support.catalogs import prepare_catalog

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    prepare_catalog(tmp_path / "catalog.sqlite3")
    return tmp_path / "catalog.sqlite3"


async def hold(catalog: SQLiteCatalog) -> tuple[int, Blob]:
    hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
    return hosted, await catalog.add_blob(new_blob("bytes"), hosted, "app", LEASE)


async def found(catalog: SQLiteCatalog, hosted: int) -> Blob:
    blob = await catalog.find_linked_blob(hosted, "app", sha256("bytes"))
    assert blob is not None
    return blob


async def test_a_lease_is_renewed_once_half_of_it_has_passed(path: Path) -> None:
    catalog = SQLiteCatalog.open(path)
    hosted, blob = await hold(catalog)
    leases = Leases(catalog, LEASE)
    leases.note(hosted, "app", blob)
    await leases.flush()
    assert await found(catalog, hosted) == blob  # all of it was left
    leases.note(hosted, "app", replace(blob, lease_until=time.time() + LEASE / 3))
    assert await found(catalog, hosted) == blob  # a read does not write
    await leases.flush()
    renewed = await found(catalog, hosted)
    assert renewed.lease_until > blob.lease_until
    await leases.flush()
    assert await found(catalog, hosted) == renewed  # nothing is noted any more
    await catalog.close()


async def test_a_blob_that_is_gone_is_no_failure(path: Path) -> None:
    catalog = SQLiteCatalog.open(path)
    hosted, blob = await hold(catalog)
    leases = Leases(catalog, LEASE)
    leases.note(hosted, "app", replace(blob, lease_until=0))
    await catalog.unlink_blob(hosted, "app", blob.digest)
    await leases.flush()
    assert await catalog.find_linked_blob(hosted, "app", blob.digest) is None
    await catalog.close()
