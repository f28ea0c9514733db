"""How long `mvn compile` takes from a warm cache, beside the same files served by nginx."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import click

from benches.registries import measure, rivals, seed
from benches.registries.gates import MVN_COMPILE, Check
from benches.registries.generators import LoadFailed
from benches.registries.installs import nginx
from benches.registries.rivals import Running, StartFailed
from benches.registries.seed import KIB
from tests.support import maven_clients
from tests.support.maven_clients import GROUP, Maven, NotInstalled, dependencies, write_pom
from tests.support.maven_repository import MavenRepository, digest
from tests.support.upstream_process import upstream_process

MVN_SECONDS = 120.0
FILE = 20 * KIB
MODULES = 3
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
{}
</project>
"""
ITSELF = f"<groupId>{GROUP}</groupId><artifactId>{{}}</artifactId><version>1.0</version>"


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many artifacts are needed, and built with how often from each of the two."""

    artifacts: int = 60
    pairs: int = 7


SMOKE = Amounts(artifacts=12, pairs=1)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """The ratio of wall times, in pairs by turns; each time the local repository has the plugins alone."""
    amounts = SMOKE if smoke else Amounts()
    if smoke and not maven_clients.has_central(cache()):
        click.echo("  skipped: the plugins of Maven are not here, and a smoke run does not get them")
        return []
    maven = client(place)
    names = [f"lib-{number}" for number in range(amounts.artifacts)]
    repository = repository_of(names)
    static_copy(place / "nginx" / "static" / "maven2", repository)
    with upstream_process() as upstream:
        upstream.mount("/", repository)
        nora = rivals.nora(settings={"NORA_MAVEN_PROXIES": upstream.url})
        rival = nginx(ready=f"/maven2/{next(iter(repository.files))}")
        with rival.running(place / "nginx") as other, nora.running(place / "nora") as server:
            taken: dict[str, list[float]] = {server.url: [], other.url: []}
            folders = {one.url: project(one, place, names) for one in (server, other)}
            for folder in folders.values():
                build(maven, folder, len(names))  # warm
            for number in range(amounts.pairs):
                for one in (server, other) if number % 2 else (other, server):
                    taken[one.url].append(build(maven, folders[one.url], len(names)))
    return [MVN_COMPILE.check(measure.paired(taken[server.url], taken[other.url]))]


def cache() -> Path:
    """Where the plugins of Maven are."""
    kept = os.environ.get("MAVEN_CLIENTS")
    return Path(kept) if kept else Path.home() / ".cache" / "nora-bench"


def repository_of(names: list[str]) -> MavenRepository:
    """One with these artifacts."""
    repository = MavenRepository()
    for name in names:
        repository.artifact(f"{GROUP}:{name}", body=POM.format(ITSELF.format(name)).encode(), end=".pom")
        repository.artifact(f"{GROUP}:{name}", body=bytes(seed.blob(FILE, name).data))
    return repository


def static_copy(root: Path, repository: MavenRepository) -> None:
    """The files of a repository and their checksums."""
    for name, body in repository.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        path.with_name(f"{path.name}.sha1").write_text(digest("sha1", body))


def client(place: Path) -> Maven:
    """The Maven of this machine. Raises StartFailed when it or the plugins cannot be had."""
    try:
        program = maven_clients.install(cache(), "maven")
        plugins = maven_clients.central(cache())
    except NotInstalled as error:
        raise StartFailed(str(error)) from error
    return Maven(program, place / "home", f"file://{plugins}")


def project(server: Running, place: Path, names: list[str]) -> Path:
    """Modules without sources that need all artifacts, each a part of them."""
    modules = [f"module{number}" for number in range(MODULES)]
    more = f"<modules>{''.join(f'<module>{module}</module>' for module in modules)}</modules>"
    folder, url = place / f"project-{server.registry.name}", f"{server.url}/maven2/"
    write_pom(folder, "parent", "1.0", url, packaging="pom", more=more)
    for number, module in enumerate(modules):
        needs = dependencies(*(f"{name}:1.0" for name in names[number::MODULES]))
        own = f"<parent>{ITSELF.format('parent')}</parent><artifactId>{module}</artifactId>{needs}"
        (folder / module).mkdir()
        (folder / module / "pom.xml").write_text(POM.format(own))
    return folder


def build(maven: Maven, folder: Path, artifacts: int) -> float:
    """Seconds that Maven takes. Raises LoadFailed."""
    begun = time.perf_counter()
    try:
        maven("compile", cwd=folder, timeout=MVN_SECONDS)
    except AssertionError as failure:
        raise LoadFailed(str(failure)[-500:]) from failure
    taken = time.perf_counter() - begun
    local = maven.local / GROUP.replace(".", "/")
    found = len([*local.glob("*/*/*.jar")])
    shutil.rmtree(local, ignore_errors=True)
    if found != artifacts:
        raise LoadFailed(f"Maven has got {found} artifacts of {artifacts}")
    return taken
