"""What people are shown of artifacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import orjson

from nora.formats.base import Services
from nora.formats.browsing import Browse, Description, Fact, Holding, Site, Snippet
from nora.formats.maven.pom import LARGEST, Pom, read_pom
from nora.http.send import read_small
from nora.model import ANONYMOUS
from nora.proxy.offload import offload

_MARK: Final = "M3 13V3l5 6 5-6v10M8 9v4"


def snippets(site: Site) -> Sequence[Snippet]:
    """Maven and Gradle."""
    mirror = (
        "<settings>\n  <mirrors>\n    <mirror>\n      <id>nora</id>\n      <mirrorOf>*</mirrorOf>\n"
        f"      <url>{site.url}</url>\n    </mirror>\n  </mirrors>\n</settings>"
    )
    insecure = "" if site.is_tls else "\n            isAllowInsecureProtocol = true"
    gradle = (
        "dependencyResolutionManagement {\n    repositories {\n        maven {\n"
        f'            url = uri("{site.url}"){insecure}\n        }}\n    }}\n}}'
    )
    deploy = f"mvn deploy -DaltDeploymentRepository=nora::{site.url}"
    return (
        Snippet("Maven", "set up", mirror, "~/.m2/settings.xml"),
        Snippet("Maven", "publish", deploy),
        Snippet("Gradle", "set up", gradle, "settings.gradle.kts"),
    )


def credentials(site: Site, user: str, token: str) -> Sequence[Snippet]:
    """Maven and Gradle: for the server `nora` of the other lines."""
    server = (
        "<settings>\n  <servers>\n    <server>\n      <id>nora</id>\n"
        f"      <username>{user}</username>\n      <password>{token}</password>\n"
        "    </server>\n  </servers>\n</settings>"
    )
    gradle = f"noraUsername={user}\nnoraPassword={token}"
    return (
        Snippet("Maven", "log in", server, "~/.m2/settings.xml"),
        Snippet("Gradle", "log in", gradle, "~/.gradle/gradle.properties"),
    )


def install(site: Site, artifact: str, version: str) -> Sequence[Snippet]:
    """A version of an artifact, `group:artifact`."""
    group, _, name = artifact.partition(":")
    dependency = (
        f"<dependency>\n  <groupId>{group}</groupId>\n  <artifactId>{name}</artifactId>\n"
        f"  <version>{version}</version>\n</dependency>"
    )
    return (
        Snippet("Maven", "install", dependency, "pom.xml"),
        Snippet("Gradle", "install", f'implementation("{artifact}:{version}")', "build.gradle.kts"),
        Snippet("sbt", "install", f'libraryDependencies += "{group}" % "{name}" % "{version}"', "build.sbt"),
    )


async def describe(services: Services, holding: Holding, version: str) -> Description | None:
    """What its POM says, and who has published it."""
    files = [one for one in holding.files if one.version == version]
    found = max((one for one in files if one.path.endswith(".pom")), key=lambda one: one.path, default=None)
    if found is None or found.blob.size > LARGEST:
        return None
    body = await read_small(services.blobs, services.memory, found.blob)
    pom = await offload(read_pom, body, weight=4 * len(body))
    who = orjson.loads(found.document).get("by")
    return Description(pom.texts.get("description", ""), tuple(_facts(pom, who)))


def _facts(pom: Pom, who: object) -> Iterator[Fact]:
    if isinstance(who, str) and who not in ("", ANONYMOUS.name):
        yield Fact("Published by", who[:200])
    if name := pom.texts.get("name"):
        yield Fact("Name", name)
    if license_name := pom.texts.get("license"):
        yield Fact("License", license_name)
    if url := pom.texts.get("url"):
        yield Fact("Homepage", url[:300], url)
    if pom.dependencies:
        yield Fact("Requires", ", ".join(pom.dependencies)[:1000])


BROWSE: Final = Browse(
    mark=_MARK, snippets=snippets, credentials=credentials, install=install, describe=describe
)
