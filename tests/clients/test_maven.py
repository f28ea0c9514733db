"""Maven 3.8, 3.9 and 4: deployments, builds of what was deployed, and Maven Central behind the registry."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from nora.formats import load_config
from nora.formats.maven.versions import version_key
from tests.clients.conftest import Closed, clients_folder
from tests.support import maven_clients
from tests.support.access import Credentials, wrong_credentials
from tests.support.answers import Answer, Asked, absent
from tests.support.command import run
from tests.support.guides import Guide, Terminal, replaced, typed
from tests.support.maven_clients import (
    GROUP,
    VERSIONS,
    Maven,
    NotInstalled,
    dependencies,
    write_class,
    write_modules,
    write_pom,
    write_user,
)
from tests.support.relay import Relay
from tests.support.server import Server, running
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream

pytestmark = pytest.mark.client("mvn", "javac")
each = pytest.mark.parametrize("name", VERSIONS)
WITHOUT_CHECKSUMS = ("maven3.9", "maven4")
"""Those that take checksums from the heads of answers."""


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all programs, and of what is Maven Central here."""
    cache = clients_folder(tmp_path_factory, "MAVEN_CLIENTS", "maven")
    try:
        maven_clients.central(cache)
    except NotInstalled as reason:
        if os.environ.get("REQUIRE_CLIENTS") == "1":
            raise
        pytest.skip(f"missing client: mvn: {reason}")
    return cache


Get = Callable[..., Maven]


@pytest.fixture
def maven(clients: Path, tmp_path: Path) -> Get:
    """`maven("maven4")`; another `home` is another local repository."""

    def get(name: str, home: str = "home") -> Maven:
        program = maven_clients.install(clients, name)
        return Maven(program, tmp_path / f"{name}-{home}", f"file://{maven_clients.central(clients)}")

    return get


def at(server: Server) -> str:
    return f"{server.url}/maven2/"


def elements(http: httpx.Client, path: str) -> dict[str, list[str]]:
    """The texts of a document by element, whose checksums are right."""
    answer = http.get(f"/maven2/{path}/maven-metadata.xml")
    assert answer.status_code == 200, answer.text
    for algorithm in ("md5", "sha1", "sha256", "sha512"):
        checksum = http.get(f"/maven2/{path}/maven-metadata.xml.{algorithm}")
        assert checksum.text == hashlib.new(algorithm, answer.content).hexdigest(), algorithm
    found: dict[str, list[str]] = {}
    for one in ET.fromstring(answer.content).iter():
        found.setdefault(one.tag, []).append((one.text or "").strip())
    return found


def printed(maven: Maven, folder: Path, *words: str) -> str:
    """What a program says when it is built with what it needs."""
    maven("compile", *words, cwd=folder)
    jars = maven.local.glob(f"{GROUP.replace('.', '/')}/**/*.jar")
    newest = sorted(jars, key=lambda jar: (version_key(jar.parent.name), version_key(jar.name)), reverse=True)
    path = ":".join(map(str, (folder / "target/classes", *newest)))
    return run("java", "-cp", path, "com.acme.Main").strip()


def put_artifact(http: httpx.Client, artifact: str, version: str, **files: bytes) -> None:
    """A jar and its POM, by PUT without checksums."""
    base = f"/maven2/{GROUP.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}"
    pom = (
        f"<project><modelVersion>4.0.0</modelVersion><groupId>{GROUP}</groupId>"
        f"<artifactId>{artifact}</artifactId><version>{version}</version></project>"
    )
    for extension, body in {"jar": empty_jar(), "pom": pom.encode(), **files}.items():
        answer = http.put(f"{base}.{extension}", content=body)
        assert answer.status_code == 201, answer.text


def empty_jar(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
        for name, body in files.items():
            archive.writestr(name, body)
    return packed.getvalue()


# -- deployments -------------------------------------------------------------------------------------------


@each
def test_a_release_is_deployed_once(
    name: str, maven: Get, registry: Server, web: httpx.Client, tmp_path: Path
) -> None:
    """A project of several modules, with sources; then a build that has none of it."""
    lib = f"once-{name}"
    project = write_modules(tmp_path / "project", lib, "1.0", at(registry))
    maven(name)("deploy", cwd=project)
    jar = f"/maven2/com/acme/{lib}-base/1.0/{lib}-base-1.0.jar"
    before = web.get(jar).content
    write_modules(project, lib, "1.0", at(registry), told="something else")
    assert "409" in maven(name)("deploy", cwd=project, fails=True)
    assert web.get(jar).content == before
    assert web.get(jar.replace(".jar", "-sources.jar")).status_code == 200
    user = write_user(tmp_path / "user", at(registry), f"{lib}-app:1.0", source="App.told()")
    assert printed(maven(name, "other"), user) == "app of hello"
    assert elements(web, f"com/acme/{lib}-base")["version"] == ["1.0"]


@each
def test_the_newest_build_of_a_snapshot_is_used(
    name: str, maven: Get, registry: Server, web: httpx.Client, tmp_path: Path
) -> None:
    lib, version = f"snap-{name}", "1.0-SNAPSHOT"
    user = write_user(tmp_path / "user", at(registry), f"{lib}-app:{version}", source="App.told()")
    other = maven(name, "other")
    for number in (1, 2):
        project = write_modules(tmp_path / "project", lib, version, at(registry), told=f"build {number}")
        maven(name)("deploy", cwd=project)
        assert printed(other, user, "-U") == f"app of build {number}"
        shutil.rmtree(user / "target")
    assert printed(maven(name, "third"), user) == "app of build 2"
    found = elements(web, f"com/acme/{lib}-base/{version}")
    assert found["buildNumber"] == ["2"]
    assert sorted(zip(found["extension"], found["value"], strict=True))[0][1].endswith("-2")
    assert {*found["extension"]} == {"jar", "pom"}
    assert "sources" in found["classifier"]  # Maven 4 deploys POMs of the classifier `build` as well
    (value, *others) = {*found["value"]}
    assert others == []
    answer = web.get(f"/maven2/com/acme/{lib}-base/{version}/{lib}-base-{value}.jar")
    literal = web.get(f"/maven2/com/acme/{lib}-base/{version}/{lib}-base-{version}.jar")
    assert answer.status_code == literal.status_code == 200
    assert answer.content == literal.content


@each
def test_a_range_has_its_highest_version(
    name: str, maven: Get, registry: Server, web: httpx.Client, tmp_path: Path
) -> None:
    lib = f"range-{name}"
    for version in ("1.0-rc1", "1.10", "1.0", "2.0", "1.9"):
        put_artifact(web, lib, version)
    user = write_user(tmp_path / "user", at(registry), f"{lib}:[1.0,2.0)", source='"x"')
    client = maven(name)
    client("compile", cwd=user)
    assert [one.parent.name for one in client.local.glob(f"com/acme/{lib}/*/*.jar")] == ["1.10"]
    found = elements(web, f"com/acme/{lib}")
    assert found["version"] == ["1.0-rc1", "1.0", "1.9", "1.10", "2.0"]
    assert (found["release"], found["latest"]) == (["2.0"], ["2.0"])


DESCRIPTOR = """<plugin><name>say</name><groupId>com.acme.plugins</groupId><artifactId>{artifact}</artifactId>
<version>1.0</version><goalPrefix>{prefix}</goalPrefix><mojos><mojo><goal>say</goal>
<requiresProject>false</requiresProject><implementation>com.acme.Say</implementation>
<instantiationStrategy>per-lookup</instantiationStrategy><language>java</language></mojo></mojos></plugin>"""


def test_plugins_are_found_by_their_prefix(
    clients: Path, maven: Get, registry: Server, web: httpx.Client, tmp_path: Path
) -> None:
    """Two in one group, one after the other."""
    api = next((clients / f"apache-maven-{VERSIONS['maven3.9']}" / "lib").glob("maven-plugin-api-*.jar"))
    write_class(tmp_path, "Say", "")
    source = tmp_path / "src/main/java/com/acme/Say.java"
    source.write_text(
        "package com.acme;\npublic class Say extends org.apache.maven.plugin.AbstractMojo"
        ' { public void execute() { getLog().info("said it"); } }\n'
    )
    run("javac", "--release", "11", "-cp", api, "-d", tmp_path / "classes", source)
    compiled = (tmp_path / "classes/com/acme/Say.class").read_bytes()
    for prefix in ("first", "second"):
        artifact = f"{prefix}-maven-plugin"
        descriptor = DESCRIPTOR.format(artifact=artifact, prefix=prefix).encode()
        files = {"com/acme/Say.class": compiled, "META-INF/maven/plugin.xml": descriptor}
        (tmp_path / f"{prefix}.jar").write_bytes(empty_jar(**files))
        pom = tmp_path / f"{prefix}.pom"
        pom.write_text(
            "<project><modelVersion>4.0.0</modelVersion><groupId>com.acme.plugins</groupId>"
            f"<artifactId>{artifact}</artifactId><version>1.0</version><packaging>maven-plugin</packaging>"
            "</project>"
        )
        maven("maven3.9")(
            f"org.apache.maven.plugins:maven-deploy-plugin:{maven_clients.PLUGINS['deploy']}:deploy-file",
            f"-Dfile={tmp_path / f'{prefix}.jar'}",
            f"-DpomFile={pom}",
            "-DrepositoryId=nora",
            f"-Durl={at(registry)}",
            cwd=tmp_path,
        )
    assert elements(web, "com/acme/plugins")["prefix"] == ["first", "second"]
    where = f"<pluginRepository><id>nora</id><url>{at(registry)}</url></pluginRepository>"
    more = f"<pluginRepositories>{where}</pluginRepositories>"
    folder = write_pom(tmp_path / "user", "user", "1.0", at(registry), more=more)
    for name in VERSIONS:
        for prefix in ("first", "second"):
            assert "said it" in maven(name, "user")(f"{prefix}:say", cwd=folder)


# -- what clients ask for ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITHOUT_CHECKSUMS)
def test_no_checksums_are_asked_for(
    name: str, maven: Get, registry: Server, web: httpx.Client, tmp_path: Path
) -> None:
    """Half the requests: 50 artifacts are 100 files, and 100 GETs."""
    libs = [f"few-{name}-{number}" for number in range(50)]
    with ThreadPoolExecutor(8) as pool:
        [*pool.map(lambda lib: put_artifact(web, lib, "1.0"), libs)]
    relay = Relay(registry.url)
    with relay.running() as between:
        needs = (f"{lib}:1.0" for lib in libs)
        user = write_user(tmp_path / "user", f"{between.url}/maven2/", *needs, source='"x"')
        maven(name)("compile", cwd=user)
    asked = [(path, status) for _, path, status in relay.kinds if not path.startswith("/maven2/.meta/")]
    assert {status for _, status in asked} == {200}
    assert len(asked) == len({*asked}) == 100
    assert not any(path.endswith((".sha1", ".md5")) for path, _ in asked)


@each
def test_who_may_not_is_told(name: str, maven: Get, closed: Closed, tmp_path: Path) -> None:
    lib = f"closed-{name}"
    project = write_modules(tmp_path / "project", lib, "1.0", at(closed.server))
    for who, status in ((wrong_credentials(), "401"), (closed.read, "403")):
        assert status in as_user(maven(name, status), who)("deploy", cwd=project, fails=True)
    as_user(maven(name), closed.write)("deploy", cwd=project)
    user = write_user(tmp_path / "user", at(closed.server), f"{lib}-base:1.0")
    told = as_user(maven(name, "stranger"), wrong_credentials())("compile", cwd=user, fails=True)
    # the last is how Maven 4 says it, whose client is that of the JDK
    assert re.search("401|[Uu]nauthorized|too many authentication attempts", told), told
    assert printed(as_user(maven(name, "reader"), closed.read), user) == "hello"


def as_user(maven: Maven, who: Credentials) -> Maven:
    return replace(maven, user=who.user, password=who.secret)


# -- Maven Central behind it -------------------------------------------------------------------------------

EVERYTHING = """<settings><localRepository>{local}</localRepository>
<mirrors><mirror><id>nora</id><mirrorOf>*</mirrorOf><url>URL</url></mirror></mirrors></settings>
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    server: Server
    up: Upstream


@pytest.fixture
def proxy(clients: Path, tmp_path: Path) -> Iterator[Proxy]:
    """A registry whose upstream has the files of `central`."""
    folder = maven_clients.central(clients)

    def answer(asked: Asked) -> Answer:
        file = folder / asked.path.strip("/")
        if not file.is_file() or file.name.startswith("_"):
            return absent()
        return Answer(body=file.read_bytes(), headers={"last-modified": "Tue, 24 Nov 2026 06:13:29 GMT"})

    with ExitStack() as stack:
        up = stack.enter_context(running_upstream())
        up.mount("/", answer)
        env = {"NORA_MAVEN_PROXIES": up.url, "NORA_PROXY_MODE": "online", "NORA_PROXY_RETRIES": "0"}
        yield Proxy(stack.enter_context(running(tmp_path / "server", workers=2, env=env)), up)


@each
def test_everything_comes_through_the_registry(name: str, maven: Get, proxy: Proxy, tmp_path: Path) -> None:
    """Cold, warm with another local repository, and with nothing behind the registry any more."""
    project = write_modules(tmp_path / "project", "proxied", "1.0", "http://localhost:9/")
    files: list[int] = []
    for home in ("cold", "warm", "offline"):
        if home == "offline":
            proxy.up.stop()
        client = maven(name, home)
        client.configure(EVERYTHING.replace("URL", at(proxy.server)))
        client("package", cwd=project)
        files.append(len([*client.local.glob("**/*.jar")]))
        shutil.rmtree(project / "base/target")
        asked = [path for path in proxy.up.log.paths("GET") if path.endswith((".jar", ".pom"))]
        assert len(asked) == len({*asked})
    assert files[0] == files[1] == files[2] > 20


@each
def test_an_outage_is_not_remembered(name: str, maven: Get, proxy: Proxy, tmp_path: Path) -> None:
    """What could not be asked for is no 404, which Maven would keep in its local repository."""
    put = httpx.Client(base_url=proxy.server.url, trust_env=False)
    put_artifact(put, "outage-own", "1.0")
    put.close()
    wanted = "/com/acme/outage/1.0/outage-1.0"
    pom = (
        f"<project><modelVersion>4.0.0</modelVersion><groupId>{GROUP}</groupId>"
        "<artifactId>outage</artifactId><version>1.0</version></project>"
    )
    user = write_user(tmp_path / "user", at(proxy.server), "outage-own:1.0", "outage:1.0", source='"x"')
    client = maven(name)
    proxy.up.fault = Answer(status=500)
    assert re.search(r"\b50[234]\b", client("compile", cwd=user, fails=True))
    proxy.up.fault = None
    proxy.up.serve(f"{wanted}.pom", Answer(body=pom.encode()))
    proxy.up.serve(f"{wanted}.jar", Answer(body=empty_jar()))
    proxy.server.restart()  # forget the breaker of the upstream, not what was told
    client("compile", cwd=user)


# -- the page ----------------------------------------------------------------------------------------------


def test_what_the_page_says(clients: Path, proxy: Proxy, tmp_path: Path) -> None:
    """Everything from here, and what is deployed is among it."""
    guide, here = Guide("maven"), {"http://localhost:4000": proxy.server.url}
    settings = tmp_path / "home" / ".m2" / "settings.xml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(replaced(guide.block("xml", "Everything from here"), here))
    program = maven_clients.install(clients, "maven3.9")
    env = {**maven_clients.environment(tmp_path / "home"), "NORA_TOKEN": "any"}
    terminal = Terminal(tmp_path / "tool", (program.parent,), env)
    own = replaced(guide.block("xml", "Artifacts of your own"), here)
    pom = write_pom(terminal.folder, "made", "1.0-SNAPSHOT", "http://localhost:9/") / "pom.xml"
    found = re.sub(r"<distributionManagement>.*</repositories>", own, pom.read_text(), flags=re.DOTALL)
    pom.write_text(found)
    for end in ("", "-sources"):
        (terminal.folder / f"tool-1.0{end}.jar").write_bytes(empty_jar())
    for line in typed("".join(guide.blocks("console", "Artifacts of your own"))):
        terminal.type(line.replace("http://localhost:4000", proxy.server.url))
    user = write_pom(
        tmp_path / "user",
        "user",
        "1.0",
        "http://localhost:9/",
        needs=dependencies("tool:1.0", "made:1.0-SNAPSHOT"),
    )
    shutil.rmtree(settings.parent / "repository" / "com" / "acme")
    Terminal(user, (program.parent,), env).type("mvn compile")
    for heading in ("Gradle", "sbt"):
        section = guide.section(heading)
        assert "http://localhost:4000/maven2/" in section
        assert '"NORA"' in section or heading == "Gradle"
    (tmp_path / "config.toml").write_text(guide.block("toml", "What is where"))
    assert not load_config({}, tmp_path).warnings


# -- the order of versions ---------------------------------------------------------------------------------

WORDS = ["0", "1", "2", "10", "007", "alpha", "beta2", "m1", "rc1", "CR", "SNAPSHOT", "sp", "foo", "jre8"]


def test_versions_are_in_the_order_of_maven(clients: Path) -> None:
    """Each two neighbours, as Maven 3.9 compares them."""
    tails = [f"{one}{join}{two}" for one in WORDS for join in (".", "-") for two in WORDS[:7]]
    texts = [f"1{join}{tail}" for tail in (*WORDS, *tails) for join in (".", "-", ".0.", ".0-")]
    jars = (clients / f"apache-maven-{VERSIONS['maven3.9']}" / "lib").glob("*.jar")
    path = ":".join(str(one) for one in jars if one.name.startswith(("maven-artifact", "commons-lang3")))
    line = ["java", "-cp", path, "org.apache.maven.artifact.versioning.ComparableVersion", *texts]
    said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    told = re.findall(r"^   (\S+) (<|==|>) (\S+)$", said, re.MULTILINE)
    assert len(told) == len(texts) - 1 > 800
    for one, relation, other in told:
        low, high = version_key(one), version_key(other)
        ours = "==" if low == high else "<" if low < high else ">"
        if ours != relation:  # where Maven's own order goes round in circles, by way of the release
            assert (low < version_key("1")) != (high < version_key("1")), (one, relation, other)
