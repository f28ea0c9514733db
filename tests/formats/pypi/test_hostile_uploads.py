"""Uploads and paths of who means harm: all are refused, and nothing of them stays."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.client
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from nora.http.application import DRAIN_BYTES
from tests.conftest import StartServer
from tests.formats.pypi import distributions
from tests.formats.pypi.wire import filenames, page, upload
from tests.support.memory import peak
from tests.support.server import HOST, Server
from tests.support.waiting import wait_until
from tests.support.wheels import Built, Release

MIB = 1 << 20
BOUNDARY = b"a-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY.decode()}"


def tree(server: Server) -> set[str]:
    """Everything that is stored, drafts too, but for what the server writes for itself."""
    return {
        str(path.relative_to(server.storage))
        for folder in ("blobs", "uploads", "tmp", "render_cache", "downloads")
        for path in (server.storage / folder).rglob("*")
        if path.is_file()
    }


def head_of(fields: dict[str, str], filename: bytes) -> bytes:
    """A form up to the bytes of its file; the file name as it is given, whatever is in it."""
    parts = b"".join(
        b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        % (BOUNDARY, name.encode(), value.encode())
        for name, value in fields.items()
    )
    return parts + b'--%b\r\nContent-Disposition: form-data; name="content"; filename="%b"\r\n\r\n' % (
        BOUNDARY,
        filename,
    )


TAIL = b"\r\n--%b--\r\n" % BOUNDARY


@pytest.mark.parametrize(
    "filename",
    [
        b"../x.whl",
        b"a/b.whl",
        b"x\0.whl",
        b"foo.whl",
        b"foo-1.0-py3-none.whl",
        b"foo-1.0.exe",
        b"foo-1.0-py3-none-any.whl\0",
        b"foo-1.0-py3-none-any.whl\0.exe",
        b"foo-1.0-py3-none-any\r.whl",
        b"foo-1.0-py3-none-any.whl/",
        b"..",
        b".",
        b"",
        b"%2e%2e%2ffoo-1.0-py3-none-any.whl",
        b"foo-1.0-py3-none-%00any.whl",
        b"C:\\foo-1.0-py3-none-any.whl",
        b"bar-1.0-py3-none-any.whl",
        b"foo-2.0-py3-none-any.whl",
        b"foo-1.0-py3-none-any.whl.metadata",
        b"foo-1.0-%b-none-any.whl" % (b"a" * 300),
        b"f\xff-1.0-py3-none-any.whl",
        "fo\u00f6-1.0-py3-none-any.whl".encode(),
        "f\u2024o-1.0-py3-none-any.whl".encode(),
    ],
)
def test_names_of_files_as_they_are_on_the_wire(http: httpx.Client, nora: Server, filename: bytes) -> None:
    built = Release(project="foo").wheel()
    before = tree(nora)
    body = head_of(built.form(), filename) + built.body + TAIL
    answer = http.post("/legacy/", headers={"content-type": FORM}, content=body)
    assert answer.status_code == 400, answer.text
    assert tree(nora) == before
    assert http.get("/simple/foo/").status_code == 404


def test_a_form_by_hand_is_taken(http: httpx.Client, project: str) -> None:
    """So the other tests see what they should; no digest is needed, and the sha256 is ours."""
    built = Release(project=project).wheel()
    fields = {name: value for name, value in built.form().items() if "digest" not in name}
    body = head_of(fields, built.filename.encode()) + built.body + TAIL
    assert http.post("/legacy/", headers={"content-type": FORM}, content=body).status_code == 200
    assert page(http, project)["files"][0]["hashes"] == {"sha256": built.sha256}


def bomb() -> bytes:
    """A little that unpacks to a thousand times of it."""
    return distributions.wheel({"foo_bar/zeros": bytes(300 * MIB)})


DAMAGED = {
    "the metadata of another version": lambda: distributions.wheel(
        metadata=distributions.core_metadata("foo-bar", "2.0")
    ),
    "the metadata of another project": lambda: distributions.wheel(
        metadata=distributions.core_metadata("other", "1.0")
    ),
    "no RECORD": lambda: distributions.wheel(without=["RECORD"]),
    "no METADATA": lambda: distributions.wheel(without=["METADATA"]),
    "cut": lambda: distributions.wheel()[:-30],
    "half": lambda: distributions.wheel({"foo_bar/x": hashlib.shake_128(b"").digest(10_000)})[:5000],
    "no zip": lambda: b"this is no zip",
    "nothing": lambda: b"",
    "a bomb": bomb,
}


@pytest.mark.parametrize("what", DAMAGED)
def test_wheels_that_are_none(http: httpx.Client, nora: Server, what: str) -> None:
    before = tree(nora)
    body = DAMAGED[what]()
    built = Built("foo_bar-1.0-py3-none-any.whl", body, "foo-bar", "1.0", b"")
    answer = upload(http, built)
    assert answer.status_code == 400, answer.text
    assert tree(nora) == before
    assert http.get("/simple/foo-bar/").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/simple/{up}{canary}/",
        "/simple/{up}{canary}",
        "/simple/foo/{up}{canary}",
        "/simple/{up}/{canary}",
        "/simple/foo/{up}{canary}.metadata",
        "/simple/foo/{up}{canary}.provenance",
        "/simple/foo/{canary}%00.whl",
        "/pypi/{up}{canary}/json",
        "/pypi/foo/{up}{canary}/json",
        "/integrity/foo/1.0/{up}{canary}/provenance",
        "/integrity/{up}{canary}/1.0/foo-1.0.tar.gz/provenance",
        "/r/{up}{canary}/simple/",
        "/r/pypi-hosted/simple/{up}{canary}/",
    ],
)
@pytest.mark.parametrize("up", ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "%252e%252e%252f", "%00../"])
def test_no_path_leads_out(http: httpx.Client, nora: Server, path: str, up: str) -> None:
    """As with `curl --path-as-is`: there is a file beside the storage that anybody would like to have."""
    canary = nora.storage.parent / "canary"
    canary.write_text("a secret")
    for depth in (1, 2, 3, 4):
        with closing(http_connection(nora)) as connection:
            connection.putrequest("GET", path.format(up=up * depth, canary="canary"))
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
        # A path that is resolved as RFC 3986 has it may be another one of ours; it is never a file.
        assert answer.status in (301, 400, 404, 405), (answer.status, body)
        assert b"a secret" not in body


def http_connection(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.host, server.port, timeout=30)


# -- sizes -----------------------------------------------------------------------------------------------


def large_wheel(folder: Path, project: str, size: int) -> Built:
    """A wheel of at least `size` bytes as a file: `body` is empty, `folder` has it."""
    built = Release(project=project).wheel()
    path = folder / built.filename
    block = hashlib.shake_128(b"block").digest(MIB)
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        with archive.open(f"{project}/data.bin", "w", force_zip64=True) as member:
            for _ in range(size // MIB):
                member.write(block)
        with zipfile.ZipFile(io.BytesIO(built.body)) as small:
            for name in small.namelist():
                archive.writestr(name, small.read(name))
    return Built(built.filename, b"", project, "1.0", built.metadata)


def pieces_of(head: bytes, path: Path, sent: list[int]) -> Iterator[bytes]:
    """The form with the file at `path`; `sent` counts what was taken of it."""
    yield head
    with path.open("rb") as file:
        while piece := file.read(MIB):
            sent[0] += len(piece)
            yield piece
    yield TAIL


SIZES = [
    pytest.param(160 * MIB, id="160MiB"),
    pytest.param(2048 * MIB, id="2GiB", marks=pytest.mark.full),
]


@pytest.mark.parametrize("size", SIZES)
def test_sizes(nora_server: StartServer, tmp_path: Path, size: int) -> None:
    """Too large is refused at once where it is announced, and in the middle where not; memory stays flat."""
    limit = size // 2
    server = nora_server(env={"NORA_PYPI_MAX_FILE_SIZE": str(limit)})
    built = large_wheel(tmp_path, "large", size)
    path, head = tmp_path / built.filename, head_of(form(built), built.filename.encode())
    with httpx.Client(base_url=server.url, timeout=120, trust_env=False) as client:
        assert upload(client, Release(project="small", padding=MIB).wheel()).status_code == 200
        before = tree(server)
        assert announced(server, 5 * size) == 413
        sent = [0]
        with peak(server) as grown:
            assert chunked(server, pieces_of(head, path, sent)) == 413
        assert grown[0] < 64 * MIB
        assert sent[0] < limit + DRAIN_BYTES + 64 * MIB, "it is refused before all of it was sent"
        wait_for_tree(server, before)
        assert client.get("/simple/large/").status_code == 404
        server.env = {**server.env, "NORA_PYPI_MAX_FILE_SIZE": str(2 * size)}
        server.restart()
        assert upload(client, Release(project="small2", padding=MIB).wheel()).status_code == 200
        with peak(server) as grown:
            answer = client.post(
                "/legacy/", headers={"content-type": FORM}, content=pieces_of(head, path, [0])
            )
        assert (answer.status_code, answer.text) == (200, "OK\n")
        assert grown[0] < 64 * MIB
        (file,) = page(client, "large")["files"]
        assert file["size"] == path.stat().st_size
        with client.stream("GET", f"/simple/large/{built.filename}") as stream, path.open("rb") as file_:
            for piece in stream.iter_raw(MIB):
                assert piece == file_.read(len(piece))
            assert file_.read(1) == b""
    path.unlink()


def form(built: Built) -> dict[str, str]:
    return {name: value for name, value in built.form().items() if "digest" not in name}


def announced(server: Server, length: int) -> int:
    """The status for a body of which only the length is sent."""
    with closing(http_connection(server)) as connection:
        connection.putrequest("POST", "/legacy/")
        connection.putheader("content-type", FORM)
        connection.putheader("content-length", str(length))
        connection.endheaders()
        return connection.getresponse().status


def chunked(server: Server, pieces: Iterator[bytes]) -> int:
    """The status of a body of unknown length; a server that is done with it may close the connection."""
    with closing(http_connection(server)) as connection:
        connection.putrequest("POST", "/legacy/")
        connection.putheader("content-type", FORM)
        connection.putheader("transfer-encoding", "chunked")
        connection.endheaders()
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            connection.send(b"0\r\n\r\n")
        return connection.getresponse().status


def wait_for_tree(server: Server, expected: set[str]) -> None:
    wait_until(lambda: tree(server) == expected, f"only {expected}", seen=lambda: tree(server) ^ expected)


# -- many at once ----------------------------------------------------------------------------------------


def test_many_at_once(nora_server: StartServer) -> None:
    """Of one name one file wins, and is what is stored; files of other names do not disturb each other."""
    server = nora_server(workers=4)
    rivals = [Release(project="rivals", seed=str(number)).wheel() for number in range(20)]
    others = [Release(project="others", version=f"{number}.0").wheel() for number in range(50)]
    together = threading.Barrier(len(rivals))

    def rival(built: Built) -> int:
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            client.get("/health")
            together.wait(30)
            return upload(client, built).status_code

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        seen = list(pool.map(rival, rivals))
        assert sorted(seen) == [200] + [409] * 19
        winner = rivals[seen.index(200)]
        with httpx.Client(base_url=f"http://{HOST}:{server.port}", timeout=60, trust_env=False) as client:
            (file,) = page(client, "rivals")["files"]
            assert file["hashes"]["sha256"] == winner.sha256
            stored = client.get(f"/simple/rivals/{winner.filename}").content
            assert hashlib.sha256(stored).hexdigest() == winner.sha256
            assert list(pool.map(lambda one: upload(client, one).status_code, others)) == [200] * 50
            same = Release(project="same").wheel()
            assert list(pool.map(lambda one: upload(client, one).status_code, [same] * 20)) == [200] * 20
            assert filenames(client, "same") == [same.filename]
    for _ in range(8):  # whichever worker answers
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            assert sorted(filenames(client, "others")) == sorted(one.filename for one in others)
    assert list((server.storage / "tmp").iterdir()) == []
