"""Go modules: kills during publications, many of one version at once, zips that are large or come late."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from nora.formats.go.samples import module_zip
from tests.conftest import StartServer
from tests.support.answers import Answer, Repeated, document
from tests.support.go_modules import Module, ModuleProxy
from tests.support.memory import peak
from tests.support.server import Server
from tests.support.upstream import Upstream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow
MIB = 1 << 20
KINDS = ("zip", "mod", "info", "ziphash")


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=120, trust_env=False)


def path_of(module: Module, kind: str = "zip") -> str:
    return f"/go/{module.url(kind)}"


def versions(http: httpx.Client, path: str) -> list[str]:
    answer = http.get(f"/go/{path}/@v/list")
    return answer.text.split() if answer.status_code == 200 else []


def test_a_kill_leaves_a_version_whole_or_not_at_all(nora_server: StartServer) -> None:
    """What was acknowledged is there; what is in the list has all of its files; the rest can be published."""
    server = nora_server(workers=2)
    acknowledged: set[str] = set()
    over = threading.Event()

    def of(version: str) -> Module:
        return Module("corp.example/killed", version, text=version * 500)

    def publisher(number: int) -> None:
        with client(server) as http:
            for patch in range(10_000):
                module = of(f"v0.{number}.{patch}")
                try:
                    answer = http.put(path_of(module), content=module.body)
                except httpx.HTTPError:
                    time.sleep(0.05)
                else:
                    if answer.status_code == 201:
                        acknowledged.add(module.version)
                if over.is_set():
                    return

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(publisher, number) for number in range(4)]
        for kill in range(1, 5):
            wanted = len(acknowledged) + 15 + kill
            wait_until(
                lambda: len(acknowledged) >= wanted,  # noqa: B023
                f"{wanted} modules to be acknowledged",
                seen=lambda: len(acknowledged),
            )
            server.kill()
            server.start()
        over.set()
        for job in jobs:
            job.result(timeout=60)
    with client(server) as http:
        found = versions(http, "corp.example/killed")
        assert acknowledged <= set(found)
        for version in found:
            module = of(version)
            files = [http.get(path_of(module, kind)) for kind in KINDS]
            assert [one.status_code for one in files] == [200] * len(KINDS)
            assert (files[0].content, files[2].json()["Version"]) == (module.body, version)
        for number in range(4):
            last = max(int(one.split(".")[2]) for one in found if one.startswith(f"v0.{number}."))
            again = of(f"v0.{number}.{last + 1}")
            assert http.put(path_of(again), content=again.body).status_code == 201


def test_twenty_publications_of_one_version_at_once(nora_server: StartServer) -> None:
    """One wins; who has other bytes is told so, who has the same is told that all is well."""
    server = nora_server(workers=4)
    built = [Module("corp.example/contended", text=f"{number % 4}") for number in range(20)]

    def publish(one: Module) -> int:
        with client(server) as http:
            return http.put(path_of(one), content=one.body).status_code

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(publish, built))
    with client(server) as http:
        kept = http.get(path_of(built[0])).content
        for one, status in zip(built, statuses, strict=True):
            assert status == (201 if one.body == kept else 409)


def test_a_large_zip_takes_no_memory(nora_server: StartServer, upstream: Upstream) -> None:
    """A toolchain, as long as one is: read along by eight while it comes, and looked into before its end."""
    made = ModuleProxy()
    made.mount(upstream)
    files: dict[str, str | bytes] = {f"pkg/{number}": os.urandom(2 * MIB) for number in range(38)}
    module = Module("golang.org/toolchain", "v0.0.1-go1.27.3.linux-amd64")
    body = module_zip(module.path, module.version, files)
    upstream.serve(f"/{module.url('zip')}", document(body))
    env = {"NORA_GO_PROXY": upstream.url, "NORA_PROXY_MODE": "online", "NORA_GO_SUMDB": "off"}
    server = nora_server(workers=1, env=env)
    size = len(body)

    def read(_: int) -> int:
        with client(server) as http, http.stream("GET", path_of(module)) as answer:
            assert answer.status_code == 200
            return sum(map(len, answer.iter_bytes()))

    with client(server) as http:
        http.get("/health")
        with peak(server) as grown, ThreadPoolExecutor(8) as pool:
            assert set(pool.map(read, range(8))) == {size}
        assert grown[0] < 64 * MIB
        head = http.head(path_of(module))
        assert int(head.headers["content-length"]) == size
        part = http.get(path_of(module), headers={"range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, body[1000:2000])
    assert upstream.log.count("GET", f"/{module.url('zip')}") == 1


def test_what_is_too_large_is_refused_as_soon_as_that_is_known(
    nora_server: StartServer, upstream: Upstream
) -> None:
    env = {
        "NORA_GO_PROXY": upstream.url,
        "NORA_PROXY_MODE": "online",
        "NORA_GO_SUMDB": "off",
        "NORA_GO_MAX_ZIP_SIZE": "16MiB",
    }
    server = nora_server(workers=1, env=env)
    huge = Answer(body=Repeated(b"x" * 4096, 2000 * MIB), ranges=False)
    answers = {"a": huge, "b": huge.but(framing="chunked")}
    for name, answer in answers.items():
        upstream.serve(f"/example.com/{name}/@v/v1.0.0.zip", answer)
        upstream.serve(f"/example.com/{name}/@v/list", answer)
    with client(server) as http, peak(server) as grown:
        for name in answers:
            for what in ("v1.0.0.zip", "list"):
                try:
                    status = http.get(f"/go/example.com/{name}/@v/{what}").status_code
                except httpx.HTTPError:  # what has begun is cut
                    status = 502
                assert status in (502, 503)
        ours = http.put("/go/corp.example/big/@v/v1.0.0.zip", content=bytes(17 * MIB))
        assert ours.status_code == 413
    assert grown[0] < 128 * MIB
    assert sum(one.sent for one in upstream.log.requests) < 400 * MIB


def test_who_waits_for_a_database_gets_its_answer(nora_server: StartServer, upstream: Upstream) -> None:
    """The go command tries nothing again: it waits longer than others do."""
    name = "sum.example"
    env = {
        "NORA_GO_PROXY": upstream.url,
        "NORA_PROXY_MODE": "online",
        "NORA_GO_SUMDB": name,
        "NORA_PROXY_ANSWER_TIMEOUT": "1",
    }
    server = nora_server(workers=1, env=env)
    upstream.serve(f"/sumdb/{name}/supported", Answer())
    head = document(b"go.sum database tree\n1\n", delay=3.0)
    upstream.serve(f"/sumdb/{name}/latest", head)
    upstream.serve("/example.com/slow/@v/list", document(b"v1.0.0\n", delay=3.0))
    with client(server) as http:
        assert http.get(f"/go/sumdb/{name}/latest").content == head.body
        assert versions(http, "example.com/slow") == ["v1.0.0"]


@pytest.mark.full
def test_the_largest_zip_that_go_takes(nora_server: StartServer) -> None:
    server = nora_server(workers=1, env={"NORA_PROXY_MODE": "offline"})
    files: dict[str, str | bytes] = {f"{number}": os.urandom(50 * MIB) for number in range(9)}
    body = module_zip("corp.example/large", "v1.0.0", files)
    with client(server) as http, peak(server) as grown:
        path = "/go/corp.example/large/@v/v1.0.0.zip"
        assert http.put(path, content=body).status_code == 201
        assert http.put(path, content=bytes(501 * MIB)).status_code == 413
    assert grown[0] < 128 * MIB
