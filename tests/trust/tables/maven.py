"""What Maven and Gradle ask for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import httpx

from nora.formats.maven.names import PackageName
from tests.support.maven_repository import MavenRepository, digest
from tests.trust.table import FAILED, NOBODY, OURS, Case, Role, Table, What

if TYPE_CHECKING:
    from tests.trust.sites import Site

Artifacts = Mapping[str, bytes]
"""What a jar has, by its version."""
LATER = "2.0"
CHANGING = "3.0-SNAPSHOT"


def name_of(segments: Sequence[str]) -> str:
    match segments:
        case [_, top, group, artifact, _, *_]:
            return f"{top}.{group}:{artifact}"
    return ""


def stock(site: Site, name: str, role: Role) -> Artifacts:
    repository: MavenRepository = site.stores["maven"]
    versions = ("1.0", LATER, CHANGING) if role == "second" else ("1.0", CHANGING)
    made = {one: f"{name} {one} of {site.name}".encode() for one in versions}
    for version, body in made.items():
        repository.artifact(name, version, body)
    return made


def publish(case: Case) -> Artifacts:
    made = {one: f"{case.name} {one} of {OURS}".encode() for one in ("1.0", CHANGING)}
    for version, body in made.items():
        answer = case.http.put(case.at(jar(version)), content=body)
        assert answer.status_code == 201, answer.text
    return made


def jar(version: str, end: str = "") -> Callable[[Case], str]:
    def path(case: Case) -> str:
        package = PackageName.of(case.name)
        return f"/{package.directory}/{version}/{package.artifact}-{version}.jar{end}"

    return path


def metadata(case: Case) -> str:
    return f"/{PackageName.of(case.name).directory}/maven-metadata.xml"


def is_jar(artifacts: Artifacts, answer: httpx.Response) -> bool:
    return answer.content in artifacts.values()


def is_sha1(artifacts: Artifacts, answer: httpx.Response) -> bool:
    return answer.text in [digest("sha1", body) for body in artifacts.values()]


def lists(artifacts: Artifacts, answer: httpx.Response) -> bool:
    return set(re.findall("<version>([^<]*)</version>", answer.text)) == artifacts.keys()


JAR = What(path=jar("1.0"), fits=is_jar)
TABLE = Table(
    format="maven",
    store=lambda: MavenRepository(prefix="/m2"),
    roots=("m2",),
    name_of=name_of,
    upstream="/m2",
    base="{mount}/maven2",
    spelling="com.{kind}:lib-{number}",
    pattern="com.{kind}.**",
    stock=stock,
    publish=publish,
    warm=(metadata,),
    whats={
        "jar": JAR,
        "metadata": What(path=metadata, fits=lists, kept=("first",)),
        "later jar": What(path=jar(LATER), fits=is_jar, owners=("second",), kept=(NOBODY, FAILED)),
        "changing jar": What(path=jar(CHANGING), fits=is_jar),
        "checksum": What(path=jar("1.0", ".sha1"), fits=is_sha1),
        "jar alone": JAR.alone(".jar", "unknown", "pinned first"),
    },
)
