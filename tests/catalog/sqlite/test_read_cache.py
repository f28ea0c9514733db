"""Answers that are kept are true: whichever process changes what they say."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.catalog.records import TagWrite
from nora.catalog.sqlite import SQLiteCatalog
from nora.catalog.sqlite.read_cache import ALL_SLOTS, SLOTS, UNKNOWN, Epochs, ReadCache, epochs_path, slot_of
from nora.errors import Conflict
from tests.contracts.catalog import HOSTED, LEASE, new_blob, release, sha256, token
from tests.support.catalogs import prepare_catalog

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    prepare_catalog(tmp_path / "catalog.sqlite3")
    return tmp_path / "catalog.sqlite3"


def test_what_closing_tells_of_an_earlier_write_does_no_harm(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the page that somebody else has mapped could not be written, the next one to close is told so."""
    close = os.close

    def told(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, "close", told)
        epochs = Epochs(path)
    assert epochs[0] == 0


async def test_another_process_moves_a_tag(path: Path) -> None:
    mine, other = SQLiteCatalog.open(path), SQLiteCatalog.open(path)
    hosted = (await mine.sync_repositories([HOSTED]))["hosted"].id
    for content in "abc":
        await other.publish(release(hosted, "app", content, "latest"), LEASE)
        for _ in range(2):  # read, then cached
            found = await mine.find_tagged_file(hosted, "app", "latest")
            assert found is not None
            assert found.version == sha256(content)
    assert await other.delete_tag(hosted, "app", "latest")
    assert await mine.find_tagged_file(hosted, "app", "latest") is None
    await mine.close()
    await other.close()


async def test_another_process_replaces_a_lost_object(path: Path) -> None:
    mine, other = SQLiteCatalog.open(path), SQLiteCatalog.open(path)
    hosted = (await mine.sync_repositories([HOSTED]))["hosted"].id
    [lost] = await mine.publish(release(hosted, "app", "a", "latest"), LEASE)
    assert await mine.find_tagged_file(hosted, "app", "latest") is not None
    now = await other.replace_object(lost, new_blob("a"))
    assert now is not None
    found = await mine.find_tagged_file(hosted, "app", "latest")
    assert found is not None
    assert found.blob.generation == now.generation != lost.generation
    await mine.close()
    await other.close()


async def test_another_process_removes_what_was_recalled(path: Path) -> None:
    mine, other = SQLiteCatalog.open(path), SQLiteCatalog.open(path)
    hosted = (await mine.sync_repositories([HOSTED]))["hosted"].id
    made = release(hosted, "app", "manifest", "latest")
    digest = sha256("manifest")
    reads: list[Callable[[], Awaitable[object]]] = [
        lambda: mine.find_file(hosted, made.files[0].path),
        lambda: mine.find_tagged_file(hosted, "app", "latest"),
        lambda: mine.find_linked_blob(hosted, "app", digest),
    ]
    await other.publish(made, LEASE)
    for read in reads:
        first = await read()
        assert first is not None
        assert await read() is first
    await other.delete_version(hosted, "app", digest)
    for read in reads:
        assert await read() is None
    await mine.close()
    await other.close()


async def test_another_process_revokes_a_token(path: Path) -> None:
    mine, other = SQLiteCatalog.open(path), SQLiteCatalog.open(path)
    made = token(1, "alice")
    await other.add_token(made)
    assert await mine.find_token(made.secret_hash) == made
    kept = await mine.find_token(made.secret_hash)
    await other.note_token_uses({made.id: 3.0})
    assert await mine.find_token(made.secret_hash) is kept, "a use is no reason to read again"
    await other.revoke_token(made.id, None)
    assert await mine.find_token(made.secret_hash) is None
    assert await mine.find_token_by_id(made.id) is None
    await mine.close()
    await other.close()


async def test_a_blob_that_is_taken_out_and_pushed_again(path: Path) -> None:
    mine, other = SQLiteCatalog.open(path), SQLiteCatalog.open(path)
    hosted = (await mine.sync_repositories([HOSTED]))["hosted"].id
    blob = new_blob("layer")
    for _ in range(2):
        await other.add_blob(blob, hosted, "app", LEASE)
        assert await mine.find_linked_blob(hosted, "app", blob.digest) is not None
        assert await other.unlink_blob(hosted, "app", blob.digest)
        assert await mine.find_linked_blob(hosted, "app", blob.digest) is None
    await mine.close()
    await other.close()


async def test_renewed_leases_are_seen(path: Path) -> None:
    catalog = SQLiteCatalog.open(path)
    hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
    blob = new_blob("layer")
    await catalog.add_blob(blob, hosted, "app", LEASE)
    before = await catalog.find_linked_blob(hosted, "app", blob.digest)
    await catalog.renew_leases([(hosted, "app", blob.digest)], 10 * LEASE)
    after = await catalog.find_linked_blob(hosted, "app", blob.digest)
    assert before is not None
    assert after is not None
    assert after.lease_until > before.lease_until + 5 * LEASE
    await catalog.close()


async def test_a_change_that_fails_leaves_the_truth(path: Path) -> None:
    catalog = SQLiteCatalog.open(path)
    hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
    await catalog.publish(release(hosted, "app", "a", "v1"), LEASE)
    with pytest.raises(Conflict):
        await catalog.publish(release(hosted, "app", "b", TagWrite("v1", replace=False)), LEASE)
    found = await catalog.find_tagged_file(hosted, "app", "v1")
    assert found is not None
    assert found.version == sha256("a")
    await catalog.close()


def test_nothing_is_kept_while_a_commit_is_under_way(path: Path) -> None:
    epochs = Epochs(path)
    recent: ReadCache[str] = ReadCache(epochs, 10)
    with epochs.changing([5]):
        recent.put("key", 5, epochs[5], "before")
        assert recent.get("key") is UNKNOWN
    recent.put("key", 5, epochs[5], "after")
    assert recent.get("key") == "after"


def test_an_answer_that_was_read_before_a_commit_is_not_used_after_it(path: Path) -> None:
    epochs = Epochs(path)
    recent: ReadCache[str] = ReadCache(epochs, 10)
    epoch = epochs[5]
    with epochs.changing([5]):
        pass
    recent.put("key", 5, epoch, "read before")
    assert recent.get("key") is UNKNOWN


def test_a_writer_that_died_in_its_commit_leaves_nothing_to_recall(path: Path) -> None:
    epochs = Epochs(path)
    recent: ReadCache[str] = ReadCache(epochs, 10)
    recent.put("key", 5, epochs[5], "before")
    child = os.fork()
    if child == 0:
        with Epochs(path).changing([5]):
            os._exit(0)
    os.waitpid(child, 0)
    assert recent.get("key") is UNKNOWN
    recent.put("key", 5, epochs[5], "unsure")
    assert recent.get("key") is UNKNOWN
    with epochs.changing([5]):
        pass
    recent.put("key", 5, epochs[5], "sure")
    assert recent.get("key") == "sure"


async def test_what_a_dead_writer_left_is_settled_by_the_next_process(path: Path) -> None:
    """It may have been at a change of what is blocked, which is of all packages."""
    child = os.fork()
    if child == 0:
        with Epochs(path).changing(ALL_SLOTS):
            os._exit(0)
    os.waitpid(child, 0)
    epochs = Epochs(path)
    assert all(epochs[slot] & 1 for slot in ALL_SLOTS)
    catalog = SQLiteCatalog.open(path)
    await catalog.sync_repositories([HOSTED])
    await catalog.close()
    assert not any(epochs[slot] & 1 for slot in ALL_SLOTS)


def test_the_least_recently_used_answer_goes(path: Path) -> None:
    epochs = Epochs(path)
    recent: ReadCache[int] = ReadCache(epochs, 2)
    for number in (1, 2):
        recent.put(number, 0, epochs[0], number)
    assert recent.get(1) == 1
    recent.put(3, 0, epochs[0], 3)
    assert [recent.get(number) for number in (1, 2, 3)] == [1, UNKNOWN, 3]


def test_epochs_are_really_allocated_and_private(path: Path) -> None:
    Epochs(path)
    status = epochs_path(path).stat()
    assert status.st_blocks * 512 >= SLOTS * 8
    assert status.st_mode & 0o777 == 0o600


@given(st.integers(1, 2**31), st.text())
def test_every_package_has_a_slot(repository: int, package: str) -> None:
    try:
        package.encode()
    except UnicodeEncodeError:
        return
    assert 0 <= slot_of(repository, package) < SLOTS
