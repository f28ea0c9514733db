"""What paths name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.errors import InvalidName
from nora.formats.maven.names import (
    ArtifactFile,
    Build,
    Checksum,
    Directory,
    Extra,
    Metadata,
    PackageName,
    RepositoryPath,
    parse_path,
)

BUILD = Build("20261124.061329", 1)
FILES = {
    # path: (classifier, extension, build)
    "com/acme/lib/1.0/lib-1.0.jar": ("", "jar", None),
    "com/acme/lib/1.0/lib-1.0.pom": ("", "pom", None),
    "com/acme/lib/1.0/lib-1.0.module": ("", "module", None),
    "com/acme/lib/1.0/lib-1.0.tar.gz": ("", "tar.gz", None),
    "com/acme/lib/1.0/lib-1.0-tests.tar.gz": ("tests", "tar.gz", None),
    "com/acme/lib/1.0/lib-1.0-jdk1.5.jar": ("jdk1.5", "jar", None),
    "com/acme/lib/1.0/lib-1.0-linux-x86_64.exe": ("linux-x86_64", "exe", None),
    "com/acme/lib/1.0/lib-1.0.jar.asc": ("", "jar.asc", None),
    "com/acme/lib/1.0/lib-1.0-sources.jar.asc": ("sources", "jar.asc", None),
    "com/acme/lib/1.0/lib-1.0-a.tar.gz.sigstore.json": ("a", "tar.gz.sigstore.json", None),
    "com/acme/lib/1.0-1/lib-1.0-1-2.jar": ("2", "jar", None),
    "com/acme/lib/1.0+b/lib-1.0+b.jar": ("", "jar", None),
    "com/acme/lib-x.y/1.0-rc.1/lib-x.y-1.0-rc.1.war": ("", "war", None),
    "com/acme/lib/1.0-SNAPSHOT/lib-1.0-20261124.061329-1.jar": ("", "jar", BUILD),
    "com/acme/lib/1.0-SNAPSHOT/lib-1.0-20261124.061329-1-sources.jar": ("sources", "jar", BUILD),
    "com/acme/lib/1.0-SNAPSHOT/lib-1.0-20261124.061329-1.jar.asc": ("", "jar.asc", BUILD),
    "com/acme/lib/1.0-SNAPSHOT/lib-1.0-SNAPSHOT.jar": ("", "jar", None),
    "com/acme/lib/1.0-SNAPSHOT/lib-1.0-SNAPSHOT-sources.jar": ("sources", "jar", None),
    "com/acme/lib/SNAPSHOT/lib-20261124.061329-1.jar": ("", "jar", BUILD),
}
NOT_NAMED = [
    "com/acme/lib/1.0/readme.txt",
    "com/acme/lib/1.0/lib-1.0",
    "com/acme/lib/1.0/lib-1.0.",
    "com/acme/lib/1.0/lib-1.0-",
    "com/acme/lib/1.0/lib-1.0-.jar",
    "com/acme/lib/1.0/lib-1.01.jar",
    "com/acme/lib/1.0/lib-2.0.jar",
    "com/acme/lib/1.0/other-1.0.jar",
    "com/acme/lib/1.0-SNAPSHOT/lib-1.1-20261124.061329-1.jar",
    "com/acme/lib/1.0-SNAPSHOT/lib-1.0-20261124.061329-0.jar",
    "com/acme/lib/1.0-SNAPSHOT/lib-1.0-20261124.061329-1x.jar",
    "com/acme/lib/1.0-SNAPSHOT/lib-1.0.jar",
    "com/acme/lib/readme.txt",
]
METADATA = {
    # path: (package, group, version)
    "org/maven-metadata.xml": (None, "org", ""),
    "com/acme/maven-metadata.xml": ("com:acme", "com.acme", ""),
    "com/acme/lib/maven-metadata.xml": ("com.acme:lib", "com.acme.lib", ""),
    "com/acme/lib.x/maven-metadata.xml": ("com.acme:lib.x", "", ""),
    "com/acme/lib/1.0-SNAPSHOT/maven-metadata.xml": ("com.acme:lib", "", "1.0-SNAPSHOT"),
    "com/acme/lib/1.0/maven-metadata.xml": ("com.acme.lib:1.0", "", ""),
    "acme/x-SNAPSHOT/maven-metadata.xml": ("acme:x-SNAPSHOT", "acme.x-SNAPSHOT", ""),
}
EXTRAS = ["archetype-catalog.xml", ".meta/prefixes.txt", ".index/nexus-maven-repository-index.gz"]
INVALID = [
    "com/acme/lib/1.0/..",
    "../a/b/c",
    "a/./b/c",
    "a//b/c",
    "a/b/c/d\\e",
    "a/b/c/d\0",
    "a/b/c/d\r\n",
    "a/b/c/d e.jar",
    "a/b/c/ä.jar",
    "a/b/c:d/e.jar",
    "a/b/c/x|y.jar",
    "com.acme/lib/1.0/lib-1.0.jar",
    "com.acme/lib/maven-metadata.xml",
    "x.y/maven-metadata.xml",
    ".index/a/b/c.gz",
    "com/acme/lib/1.0/lib-1.0.jar.sha1.md5",
    f"a/b/c/{'x' * 256}",
    "/".join("x" * 100 for _ in range(11)),
]


def parse(path: str, *, is_directory: bool = False) -> RepositoryPath:
    return parse_path(path.split("/"), is_directory=is_directory)


def test_files_of_versions() -> None:
    for path, (classifier, extension, build) in FILES.items():
        file = parse(path)
        assert isinstance(file, ArtifactFile), path
        *group, artifact, version, filename = path.split("/")
        assert (file.package.group, file.package.artifact) == (".".join(group), artifact), path
        assert (file.path, file.version, file.filename, file.is_named) == (path, version, filename, True)
        assert (file.classifier, file.extension, file.build) == (classifier, extension, build), path
        assert file.is_snapshot == ("SNAPSHOT" in version), path
        assert file.is_mutable == ("SNAPSHOT" in filename), path
        assert file.is_signature == path.endswith((".asc", ".sigstore.json")), path
        rest = f"-{classifier}.{extension}" if classifier else f".{extension}"
        assert f"{artifact}-{file.file_version}{rest}" == filename


def test_files_may_have_any_name() -> None:
    for path in NOT_NAMED:
        file = parse(path)
        assert isinstance(file, ArtifactFile), path
        assert (file.is_named, file.classifier, file.extension, file.build) == (False, "", "", None), path


def test_metadata_of_artifacts_groups_and_snapshots() -> None:
    for path, expected in METADATA.items():
        found = parse(path)
        assert isinstance(found, Metadata), path
        assert (found.package, found.group, found.version) == expected, path


def test_checksums_are_of_all_files() -> None:
    for path in (*FILES, *NOT_NAMED, *METADATA, *EXTRAS):
        for algorithm in ("md5", "sha1", "sha256", "sha512"):
            found = parse(f"{path}.{algorithm}")
            assert isinstance(found, Checksum), path
            assert (found.file, found.algorithm, found.path) == (
                parse(path),
                algorithm,
                f"{path}.{algorithm}",
            )


def test_files_of_the_repository() -> None:
    assert [parse(path) for path in EXTRAS] == [*map(Extra, EXTRAS)]


def test_directories() -> None:
    for path, package, version in (
        ("com", None, None),
        ("com/acme", "com:acme", None),
        ("com/acme/lib", "com.acme:lib", ("com:acme", "lib")),
        ("com/acme/lib/1.0", "com.acme.lib:1.0", ("com.acme:lib", "1.0")),
        ("com/acme/lib.x/1.0", None, ("com.acme:lib.x", "1.0")),
    ):
        found = parse(path, is_directory=True)
        assert isinstance(found, Directory), path
        assert (found.package, found.version) == (package, version), path
    assert parse_path([]) == Directory("")
    for path in ("com", "com/acme", "com/acme/lib", "com/acme.sha1", "maven-metadata.xml"):
        assert parse(path) == Directory(path), path


def test_other_paths_are_refused() -> None:
    for path in INVALID:
        with pytest.raises(InvalidName):
            parse(path)
    for path in ("com.acme/lib/1.0", "a/../b", "a//b"):
        with pytest.raises(InvalidName):
            parse(path, is_directory=True)


def test_names_of_packages() -> None:
    name = PackageName.of("com.acme:lib.x")
    assert (name.group, name.artifact, name.directory) == ("com.acme", "lib.x", "com/acme/lib.x")
    for text in (
        "",
        "a",
        ":",
        "a:",
        ":a",
        "a:b:c",
        "a..b:c",
        ".a:b",
        "a.:b",
        "a/b:c",
        "a:b/c",
        "a:..",
        "ä:b",
    ):
        with pytest.raises(InvalidName):
            PackageName.of(text)


@given(
    st.lists(st.text(st.sampled_from("a1.-:/é\\\n") | st.characters(), max_size=8), max_size=7), st.booleans()
)
def test_a_path_is_refused_or_itself(segments: list[str], is_directory: bool) -> None:
    try:
        found = parse_path(segments, is_directory=is_directory)
    except InvalidName:
        return
    assert found.path == "/".join(segments)
    assert not {"", ".", ".."} & {*segments}
