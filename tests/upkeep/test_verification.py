"""Looking whether all is right: how fast, and by the server."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from nora.blobs.layout import Layout
from nora.blobs.local import LocalBlobStore
from nora.catalog.records import Blob
from nora.config.verification import VerifySettings
from nora.errors import StorageBusy, StorageFailed
from nora.upkeep.progress import Silent
from nora.upkeep.verification import LONGEST_PAUSE, Pace, Verified, Verifier
from nora.upkeep.verification_job import VerificationJob
from tests.contracts.catalog import new_blob
from tests.support.in_process import application
from tests.support.stores import LARGE, flip, object_of
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_reading_is_kept_below_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = 0.0, 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now, slept
        now += seconds
        slept += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    pace = Pace(1000, lambda: now)
    for _ in range(100):
        await pace.keep(100)
    assert 10 - LONGEST_PAUSE <= slept <= 10
    await Pace(0, lambda: now).keep(10**12)
    assert slept <= 10


class _Verifier:
    def __init__(self, found: Verified) -> None:
        self._found = found

    async def run(self, *, verified_before: float) -> Verified:
        return self._found


async def test_what_is_wrong_is_a_failure_of_the_job() -> None:
    right = VerificationJob(VerifySettings(), _Verifier(Verified(blobs=2)))  # type: ignore[arg-type]
    assert "nothing is wrong" in await right.verify()
    wrong = VerificationJob(VerifySettings(), _Verifier(Verified(row_problems=["a row"])))  # type: ignore[arg-type]
    with pytest.raises(StorageFailed, match="1 rows"):
        await wrong.verify()


async def test_the_server_verifies_and_repairs_where_that_is_said(tmp_path: Path) -> None:
    env = {"NORA_VERIFY_ENABLED": "true", "NORA_VERIFY_REPAIR": "true", "NORA_VERIFY_INTERVAL": "1s"}
    async with application(tmp_path) as http:
        assert (await http.put("/raw/large", content=LARGE)).is_success
    path = object_of(tmp_path, LARGE)
    flip(path, 7)
    async with application(tmp_path, **env) as http:

        async def verified() -> dict[str, str] | None:
            found: dict[str, str] | None = (await http.get("/api/v1/admin/upkeep")).json()["verification"]
            return found

        told = await until(verified, "the verification")
        assert told is not None
        assert "1 are wrong" in told["problem"]
        assert not path.exists()
        assert (await http.get("/raw/large")).status_code == 500
        assert (await http.put("/raw/large", content=LARGE)).is_success
        assert (await http.get("/raw/large")).content == LARGE


async def test_a_store_that_does_not_answer_is_not_called_wrong() -> None:
    class Away:
        async def list_objects(self, shard: str) -> list[object]:
            return []

        async def is_whole(self, blob: object) -> bool:
            raise StorageBusy("nobody answers there")

    class Rows:
        async def check_rows(self, limit: int) -> list[str]:
            return []

        async def measure_blobs(self) -> tuple[int, int]:
            return 1, 1

        async def list_blobs(self, after: int, limit: int, *, verified_before: float) -> list[object]:
            new = new_blob("a")
            return [Blob(1, new.digest, new.size, new.generation)] if not after else []

    verifier = Verifier(Rows(), Away(), {}, None, Pace(0), Silent())  # type: ignore[arg-type]
    with pytest.raises(StorageBusy):
        await verifier.run(verified_before=0.0)


async def test_of_a_store_that_is_not_there_nothing_is_forgotten(tmp_path: Path) -> None:
    """As a disk that is not mounted, or a bucket of another name: neither has lost what is cached."""
    layout = Layout(tmp_path)
    store = LocalBlobStore(layout, reserve_bytes=0)
    with closing(store), pytest.raises(StorageFailed):
        await Verifier(None, store, {}, None, Pace(0), Silent()).run(verified_before=0.0)  # type: ignore[arg-type]
