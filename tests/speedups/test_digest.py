"""Digests, on both implementations, against hashlib and xxhash."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import xxhash

from tests.support.tables import each

DATA = random.Random(4).randbytes(3 << 20)
EVERY = ("sha256", "sha512", "sha1", "md5", "blake2b_256")


def expected(data: bytes, algorithm: str) -> str:
    if algorithm == "blake2b_256":
        return hashlib.blake2b(data, digest_size=32).hexdigest()
    return hashlib.new(algorithm, data).hexdigest()


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def check(hasher: object, data: bytes, *algorithms: str) -> None:
    assert hasher.size == len(data)
    assert hasher.xxh3() == xxhash.xxh3_128_hexdigest(data)
    for algorithm in algorithms:
        assert hasher.hexdigest(algorithm) == expected(data, algorithm)


def test_xxh3_of_every_short_length(digest: ModuleType) -> None:
    for length in range(1101):
        hasher = digest.Hasher()
        hasher.update(DATA[:length])
        assert hasher.xxh3() == xxhash.xxh3_128_hexdigest(DATA[:length]), length


def test_xxh3_in_pieces_of_any_size(digest: ModuleType) -> None:
    choose = random.Random(9)
    for _ in range(300):
        length = choose.choice([choose.randrange(1200), choose.randrange(9000), choose.randrange(200_000)])
        hasher = digest.Hasher()
        done = 0
        while done < length:
            size = min(
                length - done, choose.choice([1, 63, 64, 65, 191, 192, 255, 256, 257, 1024, 4096, 70_000])
            )
            hasher.update(DATA[done : done + size])
            done += size
        assert hasher.xxh3() == xxhash.xxh3_128_hexdigest(DATA[:length]), length


@each("algorithms", [(), ("sha256",), ("sha512",), ("sha256", "sha512"), ("sha512", "sha512"), EVERY])
@each("length", [0, 1, 2047, 2048, 32768, 32769, 1 << 20, (1 << 20) + 1])
def test_digests(digest: ModuleType, algorithms: tuple[str, ...], length: int) -> None:
    hasher = digest.Hasher(*algorithms)
    hasher.update(DATA[:length])
    check(hasher, DATA[:length], *algorithms)


@each("kind_of_data", [bytes, bytearray, memoryview])
def test_kinds_of_data(digest: ModuleType, kind_of_data: type) -> None:
    hasher = digest.Hasher("sha256")
    hasher.update(kind_of_data(b"abc"))
    hasher.update(memoryview(bytearray(DATA))[5:5000])
    check(hasher, b"abc" + DATA[5:5000], "sha256")


@pytest.mark.parametrize(
    "data", ["abc", None, 1, [1], memoryview(b"abcd")[::2], memoryview(b"abcd").cast("I")]
)
def test_wrong_data_is_type_error(digest: ModuleType, fd: int, data: object) -> None:
    hasher = digest.Hasher("sha256")
    with pytest.raises(TypeError, match="data"):
        hasher.update(data)
    with pytest.raises(TypeError, match="data"):
        hasher.write(fd, data, 0)
    check(hasher, b"", "sha256")


@pytest.mark.parametrize("algorithm", ["", "md4", "blake2b", "SHA256", "sha-256", "xxh3"])
def test_unknown_algorithm(digest: ModuleType, fd: int, algorithm: str) -> None:
    for call in (digest.Hasher, digest.Hasher().hexdigest, lambda name: digest.hash_file(fd, name)):
        with pytest.raises(ValueError, match="none of sha256, sha512, sha1, md5, blake2b_256"):
            call(algorithm)


@each("algorithm", [None, b"sha256", 256])
def test_algorithm_of_wrong_type(digest: ModuleType, algorithm: object) -> None:
    for call in (digest.Hasher, digest.Hasher().hexdigest):
        with pytest.raises(TypeError, match="algorithm must be str"):
            call(algorithm)


def test_algorithm_that_was_not_taken(digest: ModuleType) -> None:
    with pytest.raises(ValueError, match="sha512 was not taken"):
        digest.Hasher("sha256").hexdigest("sha512")


def test_asking_does_not_disturb(digest: ModuleType) -> None:
    hasher = digest.Hasher(*EVERY)
    for piece in (b"a", b"b" * 300, b"c" * 5000):
        hasher.update(piece)
        hasher.hexdigest("sha256")
        hasher.xxh3()
    check(hasher, b"a" + b"b" * 300 + b"c" * 5000, *EVERY)


def test_copy_goes_on_by_itself(digest: ModuleType) -> None:
    first = digest.Hasher("sha256", "md5", "blake2b_256")
    first.update(DATA[:1000])
    second = first.copy()
    first.update(DATA[1000:5000])
    second.update(b"other")
    check(first, DATA[:5000], "sha256", "md5", "blake2b_256")
    check(second, DATA[:1000] + b"other", "sha256", "md5", "blake2b_256")
    with pytest.raises(ValueError, match="was not taken"):
        second.hexdigest("sha512")


def test_size_cannot_be_set(digest: ModuleType) -> None:
    with pytest.raises(AttributeError):
        digest.Hasher().size = 5


def test_write(digest: ModuleType, fd: int) -> None:
    hasher = digest.Hasher("sha256", "sha512")
    hasher.write(fd, DATA[:5], 3)
    hasher.write(fd, memoryview(DATA)[5 : 2 << 20], 8)
    hasher.write(fd, b"", 0)
    assert os.pread(fd, 4 << 20, 0) == bytes(3) + DATA[: 2 << 20]
    assert os.lseek(fd, 0, os.SEEK_CUR) == 0
    check(hasher, DATA[: 2 << 20], "sha256", "sha512")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_full_disk_raises_and_takes_nothing(digest: ModuleType) -> None:
    hasher = digest.Hasher("sha256")
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space") as caught:
        hasher.write(full.fileno(), b"abc", 0)
    assert caught.value.errno == errno.ENOSPC
    check(hasher, b"", "sha256")


def test_failed_write_raises_and_takes_nothing(digest: ModuleType) -> None:
    hasher = digest.Hasher("sha256")
    with pytest.raises(OSError, match="Bad file") as caught:
        hasher.write(2**31 - 1, b"abc", 0)
    assert caught.value.errno == errno.EBADF
    check(hasher, b"", "sha256")


@each(
    ("descriptor", "offset", "error"),
    [
        (-1, 0, ValueError),
        (2**31, 0, ValueError),
        (0, -1, ValueError),
        (0, 2**63, ValueError),
        ("0", 0, TypeError),
        (None, 0, TypeError),
        (0, 1.5, TypeError),
        (0, None, TypeError),
    ],
)
def test_write_with_wrong_arguments(
    digest: ModuleType, descriptor: object, offset: object, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"fd|offset"):
        digest.Hasher().write(descriptor, b"", offset)


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, None, DATA),
        (5, None, DATA[5:]),
        (0, 0, b""),
        (0, 7, DATA[:7]),
        (1 << 20, 1 << 20, DATA[1 << 20 : 2 << 20]),
        (len(DATA), None, b""),
        (len(DATA) + 5, 5, b""),
        (len(DATA) - 5, 100, DATA[-5:]),
        (0, 2**63 - 1, DATA),
    ],
)
def test_hash_file(digest: ModuleType, fd: int, offset: int, length: int | None, expected: bytes) -> None:
    os.write(fd, DATA)
    hasher = digest.hash_file(fd, "sha256", offset=offset, length=length)
    assert os.lseek(fd, 0, os.SEEK_CUR) == len(DATA)
    check(hasher, expected, "sha256")
    hasher.update(b"more")
    check(hasher, expected + b"more", "sha256")


def test_hash_file_that_cannot_be_read(digest: ModuleType, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="directory") as caught:
            digest.hash_file(descriptor)
        assert caught.value.errno == errno.EISDIR
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"offset": -1}, ValueError),
        ({"length": -1}, ValueError),
        ({"offset": 2**63}, ValueError),
        ({"length": 2**63}, ValueError),
        ({"offset": "0"}, TypeError),
        ({"offset": None}, TypeError),
        ({"length": 1.0}, TypeError),
    ],
)
def test_hash_file_with_wrong_arguments(
    digest: ModuleType, fd: int, arguments: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"offset|length"):
        digest.hash_file(fd, **arguments)


def test_hashers_of_several_threads_share_nothing(digest: ModuleType, fd: int) -> None:
    """Four hashers in four threads give what one gives: nothing is shared between them."""
    results: list[str] = []

    def work() -> None:
        hasher = digest.Hasher("sha256")
        for offset in range(0, len(DATA), 1 << 18):
            hasher.write(fd, DATA[offset : offset + (1 << 18)], offset)
        results.append(hasher.hexdigest("sha256"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [hashlib.sha256(DATA).hexdigest()] * 4


def test_compiled_without_libcrypto() -> None:
    """Where the functions of libcrypto cannot be found, hashlib's objects do the work."""
    pytest.importorskip("nora._speedups.digest_c", exc_type=ImportError)
    program = """
import hashlib, os, sys, tempfile, types
sys.modules["_hashlib"] = types.ModuleType("_hashlib")  # its file cannot be found
from nora._speedups import digest_c
data = bytes(range(256)) * 9000
with tempfile.TemporaryFile() as file:
    hasher = digest_c.Hasher("sha256", "sha512", "md5")
    hasher.write(file.fileno(), data, 0)
    copy = hasher.copy()
    copy.update(b"more")
    read = digest_c.hash_file(file.fileno(), "sha256", length=len(data) - 1)
    try:
        digest_c.Hasher("sha256").hexdigest("sha512")
    except ValueError as error:
        assert "not taken" in str(error)
    else:
        raise AssertionError
assert hasher.hexdigest("sha512") == hashlib.sha512(data).hexdigest()
assert copy.hexdigest("md5") == hashlib.md5(data + b"more").hexdigest()
assert copy.hexdigest("sha256") == hashlib.sha256(data + b"more").hexdigest()
assert read.hexdigest("sha256") == hashlib.sha256(data[:-1]).hexdigest()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
