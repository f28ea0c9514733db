"""Publications of npm packages while the server is killed."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.conftest import StartServer
from tests.support.npm_registry import Built
from tests.support.server import Server


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=60, trust_env=False)


def built(version: str) -> Built:
    return Built("killed", version, files={"index.js": f"// {version}\n".encode() * 2000})


def test_a_kill_leaves_a_version_whole_or_not_at_all(nora_server: StartServer) -> None:
    """What was acknowledged is there; what is listed can be fetched; the rest can be published."""
    server = nora_server(workers=2)
    acknowledged: set[str] = set()
    over = threading.Event()

    def publisher(number: int) -> None:
        with client(server) as http:
            for patch in range(10_000):
                version = f"{number}.0.{patch}"
                try:
                    answer = http.put("/npm/killed", json=built(version).publication())
                except httpx.HTTPError:
                    time.sleep(0.05)
                else:
                    if answer.status_code == 201:
                        acknowledged.add(version)
                if over.is_set():
                    return

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(publisher, number) for number in range(4)]
        for kill in range(1, 4):
            wanted = len(acknowledged) + 25 + kill
            for _ in range(3000):
                if len(acknowledged) >= wanted:
                    break
                time.sleep(0.01)
            server.kill()
            server.start()
        over.set()
        for job in jobs:
            job.result(timeout=60)
    with client(server) as http:
        document = http.get("/npm/killed").json()
        assert acknowledged <= document["versions"].keys()
        assert document["dist-tags"]["latest"] in document["versions"]
        for version, manifest in document["versions"].items():
            one = built(version)
            assert manifest["dist"]["integrity"] == one.dist["integrity"]
            answer = http.get(f"/npm/{one.path}")
            assert (answer.status_code, answer.content) == (200, one.body)
        for number in range(4):
            patches = [int(one.split(".")[2]) for one in document["versions"] if one[0] == str(number)]
            again = built(f"{number}.0.{max(patches, default=0) + 1}")
            assert http.put("/npm/killed", json=again.publication()).status_code == 201
