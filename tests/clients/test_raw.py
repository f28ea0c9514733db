"""curl and wget: files up and down, and on where it ended, as docs/raw.md tells it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import Closed
from tests.support.command import run
from tests.support.server import Server
from tests.support.waiting import wait_until

Names = Callable[[str], str]
DATA = os.urandom(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "app.tar.gz"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def url(registry: Server, repository: Names) -> str:
    """A directory of the test's own."""
    return f"{registry.url}/raw/{repository('files')}"


def curl(*words: str | Path, fails: bool = False, cwd: Path | None = None) -> str:
    return run("curl", "--fail-with-body", "--silent", "--show-error", *words, fails=fails, cwd=cwd)


@pytest.mark.client("curl")
def test_files_go_up_and_down(url: str, file: Path, tmp_path: Path) -> None:
    curl("-T", file, f"{url}/1/")  # curl adds the name of the file
    (tmp_path / "down").mkdir()
    curl("-O", f"{url}/1/app.tar.gz", cwd=tmp_path / "down")
    assert (tmp_path / "down" / "app.tar.gz").read_bytes() == DATA
    head = curl("-I", f"{url}/1/app.tar.gz").lower()
    assert f'etag: "{SHA256}"' in head
    assert "content-type: application/gzip" in head
    right = f"X-Checksum-Sha256: {SHA256}"
    assert curl("-T", file, "-H", right, "-w", "%{http_code}", f"{url}/2/app.tar.gz") == "201"
    wrong = f"X-Checksum-Sha256: {'0' * 64}"
    assert "the bytes have the sha256" in curl("-T", file, "-H", wrong, f"{url}/3/app.tar.gz", fails=True)
    for condition in ("If-None-Match: *", 'If-Match: "another"'):
        assert "412" in curl("-T", file, "-H", condition, f"{url}/1/app.tar.gz", fails=True)
    curl("--data-binary", "new", "-X", "PUT", "-H", f'If-Match: "{SHA256}"', f"{url}/1/app.tar.gz")
    assert curl(f"{url}/1/app.tar.gz") == "new"
    assert curl("-X", "DELETE", "-w", "%{http_code}", f"{url}/1/app.tar.gz") == "204"
    assert "404" in curl(f"{url}/1/app.tar.gz", fails=True)
    listing = json.loads(curl(f"{url}/?list"))
    assert [one["name"] for one in listing["entries"]] == ["2/"]


@pytest.mark.client("curl", "wget")
def test_downloads_go_on_where_they_ended(url: str, file: Path, tmp_path: Path) -> None:
    curl("-T", file, f"{url}/app.tar.gz")
    for number, command in enumerate((["curl", "-s", "-C", "-", "-O"], ["wget", "-q", "-c"])):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "app.tar.gz").write_bytes(DATA[:1_234_567])
        run(*command, f"{url}/app.tar.gz", cwd=folder)
        assert (folder / "app.tar.gz").read_bytes() == DATA
        run(*command, f"{url}/app.tar.gz", cwd=folder)  # there is no more of it
        assert (folder / "app.tar.gz").read_bytes() == DATA
    time_condition = ("-z", tmp_path / "0" / "app.tar.gz", "-w", "%{http_code}")
    assert curl(*time_condition, "-o", tmp_path / "unchanged", f"{url}/app.tar.gz") == "304"
    run("wget", "-q", "-N", f"{url}/app.tar.gz", cwd=tmp_path / "1")


@pytest.mark.client("curl")
def test_uploads_go_on_where_they_ended(url: str, file: Path, tmp_path: Path) -> None:
    opened = ("-X", "POST", "-o", tmp_path / "nothing", "-w", "%header{location}")
    upload = curl(*opened, f"{url}/big.iso")
    assert upload.startswith("http://")

    def cut_off() -> int:
        """How many bytes are there, soon after the client has gone."""
        curl("-T", file, "--limit-rate", "500k", "--max-time", "3", upload, fails=True)
        return int(curl("-I", "-o", tmp_path / "nothing", "-w", "%header{upload-offset}", upload))

    offset = wait_until(cut_off, "a part of the file")
    assert offset < len(DATA)
    right = f"X-Checksum-Sha256: {SHA256}"
    again = ("--retry", "20", "--retry-delay", "1", "--retry-all-errors")  # while the first part is written
    assert curl("-C", f"{offset}", "-T", file, "-H", right, "-w", "%{http_code}", *again, upload) == "201"
    assert curl("-I", "-o", tmp_path / "nothing", "-w", "%header{etag}", f"{url}/big.iso") == f'"{SHA256}"'
    upload = curl(*opened, f"{url}/other.iso")
    curl("-X", "DELETE", upload)
    assert "404" in curl("-I", upload, fails=True)


@pytest.mark.client("wget")
def test_a_directory_is_mirrored(url: str, tmp_path: Path) -> None:
    for name in ("a.txt", "d/b c.txt", "d/e/ü.txt"):
        (tmp_path / "file").write_text(name)
        run("curl", "-sf", "-T", tmp_path / "file", f"{url}/{name.replace(' ', '%20')}")
    words = (
        "--no-parent",
        "--no-host-directories",
        "--reject",
        "index.html*",
        "--restrict-file-names=nocontrol",
    )
    run("wget", "-q", "-r", *words, f"{url}/", cwd=tmp_path, env={"LC_ALL": "C.UTF-8"})
    got = {path.name: path.read_text() for path in (tmp_path / "raw").rglob("*.txt")}
    assert got == {"a.txt": "a.txt", "b c.txt": "d/b c.txt", "ü.txt": "d/e/ü.txt"}


@pytest.mark.client("curl")
def test_credentials(closed: Closed, repository: Names, file: Path) -> None:
    url = f"{closed.server.url}/raw/{repository('files')}/app"
    assert "401" in curl("-T", file, url, fails=True)
    assert "403" in curl("-T", file, "-u", f"ci:{closed.read.secret}", url, fails=True)
    curl("-T", file, "-u", f"ci:{closed.write.secret}", url)
    for user in (("-u", f"{closed.password.user}:{closed.password.secret}"), ("-H", bearer(closed))):
        assert curl(*user, "-o", os.devnull, "-w", "%{size_download}", url) == str(len(DATA))
    assert "403" in curl("-X", "DELETE", "-u", f"ci:{closed.write.secret}", url, fails=True)
    curl("-X", "DELETE", "-u", f"ci:{closed.admin.secret}", url)


def bearer(closed: Closed) -> str:
    return f"Authorization: Bearer {closed.read.secret}"
