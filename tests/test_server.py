"""The processes of a server: who may start, who dies with whom, who is replaced, how it stops."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.http.toy import install
from tests.support.server import Server, running
from tests.support.waiting import wait_until

LINUX = sys.platform.startswith("linux")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not LINUX, reason="several workers need Linux")]


@pytest.fixture
def four(tmp_path: Path) -> Iterator[Server]:
    """Four workers with the toy."""
    env = install(tmp_path)
    with running(tmp_path / "four", workers=4, env=env) as server:
        yield server


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def refuses(server: Server) -> bool:
    """Whether nobody listens where it did."""
    try:
        socket.create_connection((server.host, server.port)).close()
    except ConnectionRefusedError:
        return True
    return False


def start_and_fail(server: Server) -> str:
    """Start a server that must refuse; what it says."""
    done = subprocess.run(
        server.command,
        env=server.environment(),
        cwd=server.data,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.slow
def test_a_second_server_on_the_directory_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        second = Server(first.data, tmp_path / "second.log")
        message = start_and_fail(second)
        assert f"in use by process {first.pid}" in message
        assert str(first.storage) in message
        assert first.status("/ready") == 200


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_second_server_on_the_port_is_refused(tmp_path: Path, host: str) -> None:
    with running(tmp_path) as first:
        (tmp_path / "other").mkdir()
        second = Server(tmp_path / "other", tmp_path / "second.log", port=first.port, host=host)
        message = start_and_fail(second)
        assert f"port {first.port}" in message
        assert any(f"in use by process {pid}" in message for pid in (first.pid, *first.children()))
        assert all(map(alive, [first.pid, *first.children()]))


def test_a_port_of_another_program_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        server = Server(tmp_path / "data", tmp_path / "log", port=other.getsockname()[1])
        server.data.mkdir()
        assert f"in use by process {os.getpid()}" in start_and_fail(server)


def test_an_unknown_host_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path, tmp_path / "log", host="nowhere.invalid")
    assert "nowhere.invalid" in start_and_fail(server)


def test_a_bad_setting_is_refused_with_its_name(tmp_path: Path) -> None:
    assert "NORA_PORT" in start_and_fail(Server(tmp_path, tmp_path / "log", env={"NORA_PORT": "http"}))


@pytest.mark.slow
def test_a_catalog_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        pass
    catalog = server.storage / "catalog.sqlite3"
    with contextlib.closing(sqlite3.connect(catalog)) as db:
        db.execute("PRAGMA user_version = 9999")
    before = catalog.read_bytes()
    assert "9999" in start_and_fail(server)
    assert catalog.read_bytes() == before


@pytest.mark.slow
def test_a_damaged_catalog_is_told_at_the_start(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        pass
    catalog = server.storage / "catalog.sqlite3"
    data = bytearray(catalog.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)  # all but the first page
    catalog.write_bytes(data)
    message = start_and_fail(server)
    assert str(catalog) in message
    assert "damaged" in message


@pytest.mark.slow
def test_a_lost_catalog_stops_the_start_and_a_stranger_in_tmp_does_not(tmp_path: Path) -> None:
    (tmp_path / "data" / "storage" / "tmp" / "lost+found").mkdir(parents=True)
    with running(tmp_path) as server:
        assert "lost+found is a directory" in server.log.read_text()
        data = b"somebody's"
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        pushed = httpx.post(
            f"{server.url}/v2/app/blobs/uploads/?digest={digest}", content=data, trust_env=False
        )
        assert pushed.status_code == 201
    for file in server.storage.glob("catalog.sqlite3*"):
        file.unlink()
    message = start_and_fail(server)
    assert "stored blobs" in message
    assert digest.partition(":")[2] in message
    assert "Restore catalog.sqlite3" in message
    assert not (server.storage / "catalog.sqlite3").exists()


@pytest.mark.slow
def test_a_server_starts_again_at_once(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as server:
        for _ in range(2):
            httpx.get(f"{server.url}/health", trust_env=False)  # leaves a connection in TIME_WAIT
            server.kill()
            server.start()


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4])
def test_no_worker_survives_its_parent(tmp_path: Path, count: int) -> None:
    with running(tmp_path, workers=count) as server:
        workers = server.children()
        assert len(workers) == count
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not any(map(alive, workers)), "the workers to end")
        wait_until(
            lambda: refuses(server), "the port to be free"
        )  # a process lets go when its last thread has ended
        server.kill()  # and nothing is left to stop


@pytest.mark.slow
def test_no_worker_survives_a_stop(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as server:
        workers = server.children()
        assert server.stop() == 0
        wait_until(lambda: not any(map(alive, workers)), "the workers to end")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_that_dies_again_and_again_is_replaced(tmp_path: Path, count: int) -> None:
    """Faster than a supervisor with a crash limit would allow."""
    with running(tmp_path, workers=count) as server:
        for _ in range(4):
            worker = server.children()[-1]
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: len({*server.children()} - {worker}) == count, "another worker")  # noqa: B023
            server.wait_ready()
        assert server.stop() == 0


@pytest.mark.slow
def test_the_others_serve_while_one_is_replaced(four: Server) -> None:
    for worker in four.children()[:3]:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(four.children()) == 4, "four workers", seen=four.children)
    four.wait_ready()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_finished(tmp_path: Path, number: signal.Signals) -> None:
    env = install(tmp_path)
    with running(tmp_path / "one", env=env) as server, concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(httpx.get, f"{server.url}/toy/slow/1", trust_env=False, timeout=30)
        wait_until(
            lambda: "toy/slow" in server.log.read_text(), "the request to be answered"
        )  # it is being answered
        assert server.process is not None
        server.process.send_signal(number)
        assert answer.result().text == "done"
        assert server.process.wait(60) == 0
        log = server.log.read_text()
        assert '"message":"stopped"' in log
        assert "killed" not in log


@pytest.mark.slow
def test_ctrl_c_reaches_the_whole_group_and_is_no_crash(four: Server) -> None:
    assert four.process is not None
    os.killpg(four.pid, signal.SIGINT)
    assert four.process.wait(60) == 0
    assert "replaced" not in four.log.read_text()


@pytest.mark.slow
def test_a_request_that_does_not_end_is_cut_in_time(tmp_path: Path) -> None:
    env = install(tmp_path) | {"NORA_GRACEFUL_TIMEOUT": "1"}
    with running(tmp_path / "one", env=env) as server, concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(httpx.get, f"{server.url}/toy/slow/600", trust_env=False, timeout=60)
        wait_until(lambda: "toy/slow" in server.log.read_text(), "the request to be answered")
        assert server.stop() == 0
        with pytest.raises(httpx.HTTPError):
            answer.result()
        assert "did not finish in time" in server.log.read_text()


@pytest.mark.slow
def test_the_start_is_told_in_one_line(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as server:
        (line,) = [one for one in server.log.read_text().splitlines() if "NORA " in one]
    for part in (server.url, "workers: 2", str(server.storage), "compiled" if compiled() else "pure Python"):
        assert part in line


def compiled() -> bool:
    from nora._speedups import COMPILED

    return COMPILED


# -- TLS -------------------------------------------------------------------------------------------------


def certificate(folder: Path, *, pkcs1: bool = False) -> dict[str, str]:
    """A self-signed certificate for localhost; the settings to use it."""
    key = rsa.generate_private_key(65537, 2048) if pkcs1 else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    shape = serialization.PrivateFormat.TraditionalOpenSSL if pkcs1 else serialization.PrivateFormat.PKCS8
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, shape, serialization.NoEncryption())
    )
    return {"NORA_TLS_CERT": str(folder / "cert.pem"), "NORA_TLS_KEY": str(folder / "key.pem")}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tls")
    with running(folder / "one", env=install(folder) | certificate(folder)) as server:
        yield server


def unverified(**limits: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, version in limits.items():
        setattr(context, name, version)
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_of_both_versions(tls: Server, version: ssl.TLSVersion) -> None:
    context = unverified(minimum_version=version, maximum_version=version)
    assert httpx.get(f"{tls.url}/ready", verify=context, trust_env=False).status_code == 200


def test_http_2(tls: Server) -> None:
    with httpx.Client(http2=True, verify=unverified(), base_url=tls.url, trust_env=False) as client:
        answer = client.put("/toy/blob", content=bytes(3_000_000))
        assert answer.http_version == "HTTP/2"
        path = answer.headers["location"]
        assert len(client.get(path).content) == 3_000_000
        assert client.head(path).headers["content-length"] == "3000000"
        assert client.get(path, headers={"Range": "bytes=5-9"}).content == bytes(5)
        assert client.get(path, headers={"If-None-Match": "*"}).status_code == 304
        assert client.put("/toy/refuse", content=bytes(1_000_000)).status_code == 409
        assert client.put("/toy/echo", content=bytes(2_000_000)).status_code == 413
        assert client.get("/toy/get").text == "toy"


def test_a_key_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    env = certificate(tmp_path)
    (tmp_path / "key.pem").write_text("no key")
    assert "key" in start_and_fail(Server(tmp_path, tmp_path / "log", env=env))


@pytest.mark.slow
def test_a_traditional_key_works_or_is_refused_by_name(tmp_path: Path) -> None:
    with running(tmp_path / "one", env=certificate(tmp_path, pkcs1=True)) as server:
        assert server.status("/ready") == 200
