"""mvn verifies a small application of Spring through the registry: cold, warm, and cut off.

Says `ran`, or `not reached` where Maven Central is not to be had from here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support import maven_clients
from tests.support.maven_clients import MACHINE, Maven, write_class, write_pom
from tests.support.server import running

pytestmark = [pytest.mark.client("mvn", "javac"), pytest.mark.live]
SPRING = "3.5.7"
LEAST_NEEDED = 60
ROADS = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
EVERYTHING = """<settings><localRepository>{local}</localRepository>
<mirrors><mirror><id>nora</id><mirrorOf>*</mirrorOf><url>URL</url></mirror></mirrors></settings>
"""
NEEDS = f"""<dependencies><dependency><groupId>org.springframework.boot</groupId>
<artifactId>spring-boot-starter</artifactId><version>{SPRING}</version></dependency></dependencies>"""


def test_cold_warm_and_cut_off(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    # The way out of this machine, which tests of the loopback do without.
    roads = {"NO_PROXY": ""} | {name: value for name, value in MACHINE.items() if name.upper() in ROADS}
    # Where Maven Central is is known to this machine: in a private network, perhaps.
    env = {**roads, "NORA_PROXY_MODE": "online", "NORA_PROXY_ALLOW_PRIVATE": "true"}
    program = maven_clients.install(tmp_path, "maven")
    with running(tmp_path / "server", workers=2, env=env) as server:
        url = f"{server.url}/maven2/"
        path = f"org/springframework/boot/spring-boot-starter/{SPRING}/spring-boot-starter-{SPRING}.pom"
        answer = httpx.get(url + path, timeout=90, trust_env=False)
        if answer.status_code in (502, 503, 504):
            record_property("run", f"not reached: {answer.status_code}")
            return
        assert answer.status_code == 200, answer.text
        project = write_pom(tmp_path / "app", "app", "1.0", url, needs=NEEDS)
        main = "public static void main(String[] words) { SpringApplication.run(App.class); }"
        write_class(project, "App", main, "import org.springframework.boot.SpringApplication;")

        def verify(home: str) -> dict[str, str]:
            """What the local repository of a Maven has then."""
            maven = Maven(program, tmp_path / home, url)
            maven.configure(EVERYTHING.replace("URL", url))
            maven("clean", "verify", cwd=project, timeout=900)
            jars = maven.local.glob("**/*.jar")
            return {str(one.relative_to(maven.local)): sha256(one) for one in jars}

        try:
            cold = verify("cold")
        except AssertionError as failure:
            if re.search(r"\b50[234]\b", str(failure)) is None:
                raise
            record_property("run", f"not reached: {str(failure)[-200:]}")  # it went away in between
            return
        assert len(cold) >= LEAST_NEEDED
        assert verify("warm") == cold
        server.env = {"NORA_PROXY_MODE": "offline"}
        server.restart()
        assert verify("warm") == cold
        assert verify("offline") == cold
    record_property("run", f"ran: {len(cold)} files, four times the same")


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
