"""Where the parts of an artifact are, for commands and purges."""

from __future__ import annotations

from nora.formats.maven.parts import documents
from nora.formats.maven.releases import path_of


def test_paths_of_parts() -> None:
    assert path_of("com.acme:lib", "1.0/lib-1.0.jar") == "com/acme/lib/1.0/lib-1.0.jar"
    assert documents("com.acme:lib", "1.0-SNAPSHOT") == ("com/acme/lib/1.0-SNAPSHOT/maven-metadata.xml",)
    assert documents("archetype-catalog.xml", "1.0") == ()
