"""`nora mirror`: what it says without a word, and what it refuses before it asks anybody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nora.formats import discover
from nora.mirror.planning import LARGEST_LOCK_FILE
from tests.support.answers import NEVER, Answer
from tests.support.mirroring import mirror
from tests.support.upstream import Upstream

NOWHERE = "http://127.0.0.1:9"


def test_without_a_word_it_lists_what_it_can_do() -> None:
    done = mirror(NOWHERE)
    assert done.code == 0
    for one in discover():
        for tool in one.mirror:
            assert f"{tool.name:8} {one.title}: {tool.needs}" in done.stdout


def test_a_tool_without_a_file_says_what_it_needs() -> None:
    done = mirror(NOWHERE, "uv")
    assert done.code == 1
    assert "nothing was named to mirror; uv needs uv.lock" in done.stderr


def test_a_bad_lock_file_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("a==1\nb>2\n")
    done = mirror(NOWHERE, "pip", "--lockfile", file)
    assert done.code == 1
    assert f"{file}: line 2: 'b>2' names no exact version" in done.stderr


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_bytes(b"\xff\xfe")
    assert f"{file}: " in mirror(NOWHERE, "pip", "--lockfile", file).stderr


def test_a_lock_file_has_a_largest_size(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    with file.open("wb") as sparse:
        sparse.truncate(LARGEST_LOCK_FILE + 1)
    assert "larger than 32 MiB" in mirror(NOWHERE, "pip", "--lockfile", file).stderr


def test_a_lock_file_of_nothing_is_no_failure(upstream: Upstream, tmp_path: Path) -> None:
    upstream.serve("/health", Answer())
    file = tmp_path / "requirements.txt"
    file.write_text("# nothing\n")
    done = mirror(upstream.url, "pip", "--lockfile", file)
    assert (done.code, done.stdout) == (0, "0 of 0 are there, 0 missing; 0 bytes read\n")


def test_a_registry_that_is_not_there_is_said(upstream: Upstream) -> None:
    done = mirror(NOWHERE, "npm", "--packages", "lib")
    assert done.code == 1
    assert "127.0.0.1:9" in done.stderr
    done = mirror(upstream.url, "npm", "--packages", "lib")
    assert done.code == 1
    assert f"{upstream.url}/health answers 404: is a NORA there?" in done.stderr


def test_where_a_repository_is_part_of_names_it_is_no_option() -> None:
    done = mirror(NOWHERE, "docker", "--images", "app", "--repository", "mine")
    assert done.code == 1
    assert "it is part of names, mine/team/app" in done.stderr


def test_a_url_with_a_password_is_refused() -> None:
    done = mirror("http://me:secret@localhost", "npm", "--packages", "lib")
    assert done.code == 1
    assert "--registry is that of a server" in done.stderr
    assert "secret" not in done.stderr


def test_a_token_is_sent(upstream: Upstream, tmp_path: Path) -> None:
    upstream.serve("/health", Answer())
    (tmp_path / "token").write_text("nra_1\n")
    for words, sent in ((("--token", "nra_2"), "nra_2"), (("--token-file", tmp_path / "token"), "nra_1")):
        upstream.log.clear()
        done = mirror(upstream.url, "npm", "--packages", "lib", *words)
        assert done.code == 1
        assert upstream.log.of("GET", "/npm/lib")[0].headers["authorization"] == f"Bearer {sent}"


def test_a_proxy_is_not_asked_for_this_machine(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", NOWHERE)
    upstream.serve("/health", Answer())
    done = mirror(upstream.url, "npm", "--packages", "lib")
    assert "missing: lib latest: 404" in done.stderr


@pytest.mark.slow
def test_it_stops_at_once_and_says_how_far_it_is(upstream: Upstream) -> None:
    upstream.serve("/health", Answer())
    upstream.serve("/npm/lib", Answer(delay=NEVER))
    command = [sys.executable, "-m", "nora", "mirror", "npm", "--packages", "lib", "--registry", upstream.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as process:
        upstream.log.wait("GET", "/npm/lib")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == b""
    assert stderr == b"stopped: 0 of 1 are there; the same command goes on from here\n"
