"""What people are shown of artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nora.formats.browsing import Browse, Site, Snippet

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


BROWSE: Final = Browse(mark=_MARK, snippets=snippets, install=install)
