from __future__ import annotations

from dataclasses import replace

from nora.blobs.sessions import RunningHashes
from nora.catalog.records import Upload
from tests.contracts.blobs import digest_of

UPLOAD = Upload("id", 1, "app", "sha512", 0, {}, 0.0)


def test_a_session_without_bytes_begins_a_hash_of_its_algorithm() -> None:
    hasher = RunningHashes().take(UPLOAD)
    assert hasher is not None
    assert hasher.hexdigest("sha256") == digest_of(b"").encoded
    assert hasher.hexdigest("sha512") == digest_of(b"", "sha512").encoded


def test_a_running_hash_belongs_to_one_offset_and_to_who_takes_it() -> None:
    hashes = RunningHashes()
    hasher = hashes.take(UPLOAD)
    assert hasher is not None
    at = replace(UPLOAD, offset=5)
    hashes.keep(at, hasher)
    assert hashes.take(replace(UPLOAD, offset=6)) is None
    assert hashes.take(replace(at, id="other")) is None
    assert hashes.take(at) is hasher
    assert hashes.take(at) is None


def test_the_oldest_hashes_are_forgotten() -> None:
    hashes = RunningHashes(limit=2)
    sessions = [replace(UPLOAD, id=str(number), offset=1) for number in range(3)]
    for session in sessions:
        hasher = hashes.take(UPLOAD)
        assert hasher is not None
        hashes.keep(session, hasher)
    assert [hashes.take(session) is not None for session in sessions] == [False, True, True]
