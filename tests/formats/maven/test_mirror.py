"""`nora mirror maven`: what a build has resolved is here afterwards, with the POMs that Maven reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nora.errors import InvalidPackageFile
from nora.formats.maven.dependency_list import Artifact, read_dependency_list
from nora.formats.maven.model import (
    LONGEST_TEXT,
    Coordinates,
    interpolate,
    own_coordinates,
    properties_of,
    read_model,
)
from nora.formats.maven.names import PackageName
from nora.formats.mirroring import LockFileInvalid
from tests.support.maven_repository import MavenRepository
from tests.support.mirroring import Site, site
from tests.support.tables import each

PRINTED = """[INFO] Scanning for projects...
[INFO] ----------------------------< com.acme:app >----------------------------
[INFO] --- dependency:3.6.1:list (default-cli) @ app ---
[INFO]
[INFO] The following files have been resolved:
[INFO]    com.acme:lib:jar:1.0:compile -- module com.acme.lib (auto)
[INFO]    com.acme:\x1b[36mlib\x1b[m:jar:linux-x86_64:1.0:runtime
[INFO]    com.acme:tests:test-jar:tests:1.0:test (optional)
[INFO]    com.acme:site:war:2.0-20261124.061329-1:compile
[INFO]    com.acme:of-the-machine:jar:1.0:system
[INFO]
[INFO] --- other:1.0:goal (default-cli) @ app ---
[INFO] anything:that:is:printed:elsewhere
[INFO] The following plugins have been resolved:
[INFO]    org.acme:acme-maven-plugin:maven-plugin:3.2.0:runtime
[INFO]       org.acme:acme-maven-plugin:jar:3.2.0
[INFO] The following files have been resolved:
[INFO]    none
[INFO] BUILD SUCCESS
"""


def artifact(name: str, version: str, extension: str = "jar", classifier: str = "") -> Artifact:
    return Artifact(PackageName.of(name), version, extension, classifier)


def test_the_artifacts_of_all_lists_are_found() -> None:
    expected = [
        artifact("com.acme:lib", "1.0"),
        artifact("com.acme:lib", "1.0", "jar", "linux-x86_64"),
        artifact("com.acme:tests", "1.0", "jar", "tests"),
        artifact("com.acme:site", "2.0-20261124.061329-1", "war"),
        artifact("org.acme:acme-maven-plugin", "3.2.0"),
    ]
    assert read_dependency_list(PRINTED) == expected
    assert read_dependency_list(PRINTED.replace("[INFO] ", "")) == expected


@each(
    ("text", "problem"),
    [
        ("[INFO] BUILD SUCCESS\n", "no output of `mvn dependency:list`"),
        (
            "The following files have been resolved:\n  com.acme:lib\n",
            "line 2: 'com.acme:lib' is no artifact",
        ),
        ("The following files have been resolved:\n  ../x:lib:jar:1.0:compile\n", "line 2: "),
        ("The following files have been resolved:\n  com.acme:lib:../x:1.0:compile\n", "line 2: "),
        ("The following files have been resolved:\n  com.acme:lib:jar:..:compile\n", "line 2: '..' is no"),
    ],
)
def test_what_is_no_list_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(LockFileInvalid) as refused:
        read_dependency_list(text)
    assert problem in str(refused.value)


def pom(name: str, version: str = "1.0", inside: str = "", parent: str = "") -> bytes:
    """Of `group:artifact`; `parent` is `group:artifact:version`."""
    group, artifact = name.split(":")
    if parent:
        inside = f"<parent>{elements(parent)}</parent>{inside}"
    return (
        f"<project><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version>{inside}</project>"
    ).encode()


def elements(coordinates: str, more: str = "") -> str:
    names = ("groupId", "artifactId", "version")
    words = zip(names, coordinates.split(":"), strict=False)
    return "".join(f"<{name}>{value}</{name}>" for name, value in words) + more


def dependency(coordinates: str, more: str = "") -> str:
    return f"<dependency>{elements(coordinates, more)}</dependency>"


def test_a_pom_is_read_with_its_parents() -> None:
    child = read_model(
        b"<project xmlns='http://maven.apache.org/POM/4.0.0'><parent><groupId>g</groupId><artifactId>p</artifactId>"
        b"<version>2</version></parent><artifactId>a</artifactId><properties><v>3</v><w>${v}.1</w></properties>"
        b"<dependencies><dependency><groupId>${project.groupId}</groupId><artifactId>b</artifactId>"
        b"<version>${w}</version><exclusions><exclusion><artifactId>c</artifactId></exclusion></exclusions>"
        b"</dependency></dependencies></project>"
    )
    parent = read_model(pom("g:p", "2", "<properties><v>1</v><x>of p</x></properties>"))
    properties = properties_of([child, parent])
    assert own_coordinates([child, parent]) == Coordinates("g", "a", "2")
    assert properties["x"] == "of p"
    (found,) = (one.filled(properties) for one in child.dependencies)
    assert (found.group, found.artifact, found.version, found.type) == ("g", "b", "3.1", "jar")


@each("body", [b"", b"<metadata/>", b"<!DOCTYPE project><project/>", b"<project>" * 100, b"<project>"])
def test_what_is_no_pom_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidPackageFile):
        read_model(body)


def test_properties_that_grow_are_cut() -> None:
    properties = {f"p{at}": f"${{p{at + 1}}}" * 10 for at in range(50)}
    assert len(interpolate("${p0}", properties)) <= LONGEST_TEXT
    assert interpolate("${a}", {"a": "${b}", "b": "${a}"}) in ("${a}", "${b}")
    assert read_model("<project><artifactId>\xe9</artifactId></project>".encode("latin-1")).own == {
        "artifactId": "\xe9"
    }
    people = b"<project><name>Bj&oslash;rn &amp; others</name><version>1</version></project>"
    assert read_model(people).own == {"version": "1"}


@pytest.fixture(scope="module")
def maven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, MavenRepository]]:
    with site(tmp_path_factory.mktemp("mirror"), "NORA_MAVEN_PROXIES", "/central") as found:
        repository = MavenRepository("/central")
        repository.mount(found.up)
        yield found, repository


def listed(*lines: str) -> str:
    return "The following files have been resolved:\n" + "".join(f"   {line}\n" for line in lines)


@pytest.mark.slow
def test_a_list_is_here_afterwards_with_the_poms_behind_it(
    maven: tuple[Site, MavenRepository], tmp_path: Path
) -> None:
    site, repository = maven
    own = "<properties><lost.version>0.9</lost.version></properties><dependencies>" + "".join(
        (
            dependency("com.acme:lost:${lost.version}"),
            dependency("com.acme:managed"),
            dependency("com.acme:of-tests:1.0", "<scope>test</scope>"),
            dependency("com.acme:perhaps:1.0", "<optional>true</optional>"),
            dependency("com.acme:gone:1.0"),
            dependency("com.acme:ranged:[1.0,2.0)"),
        )
    )
    managing = (
        "<properties><bom.version>5</bom.version></properties><dependencyManagement><dependencies>"
        + dependency("com.acme:bom:${bom.version}", "<type>pom</type><scope>import</scope>")
        + "</dependencies></dependencyManagement>"
    )
    bom = (
        "<dependencyManagement><dependencies>"
        + dependency("com.acme:managed:7")
        + "</dependencies></dependencyManagement>"
    )
    jar = repository.artifact("com.acme:lib", body=b"lib")
    natives = repository.artifact("com.acme:lib", body=b"natives", end="-linux-x86_64.jar")
    poms = {
        repository.artifact(
            "com.acme:lib",
            body=pom("com.acme:lib", "1.0", f"{own}</dependencies>", "com.acme:parent:3"),
            end=".pom",
        ),
        repository.artifact("com.acme:parent", "3", pom("com.acme:parent", "3", managing), ".pom"),
        repository.artifact("com.acme:bom", "5", pom("com.acme:bom", "5", bom), ".pom"),
        repository.artifact("com.acme:managed", "7", pom("com.acme:managed", "7"), ".pom"),
        repository.artifact("com.acme:lost", "0.9", pom("com.acme:lost", "0.9"), ".pom"),
    }
    ranged = repository.artifact("com.acme:ranged", "1.5", pom("com.acme:ranged", "1.5"), ".pom")
    unwanted = [repository.artifact(f"com.acme:{name}", end=".pom") for name in ("of-tests", "perhaps")]
    file = tmp_path / "list.txt"
    resolved = (
        "com.acme:lib:jar:1.0:compile",
        "com.acme:lib:jar:linux-x86_64:1.0:runtime",
        "com.acme:ranged:pom:1.5:compile",
    )
    file.write_text(listed(*resolved))
    done = site.mirror("maven", "--lockfile", file, "--json")
    assert done.code == 0, done.json
    wanted = [jar, natives, ranged, *sorted(poms), f"{jar}.sha1"]
    bodies = site.kept(
        *(f"/maven2/{path}" for path in (*wanted, *unwanted, "com/acme/ranged/maven-metadata.xml"))
    )
    assert bodies[: len(wanted) - 1] == [repository.files[path] for path in wanted[:-1]]
    assert None not in (bodies[len(wanted) - 1], bodies[-1])
    assert bodies[len(wanted) : -1] == [None, None]


@pytest.mark.slow
def test_the_pom_of_the_build_leads_to_its_parents(
    maven: tuple[Site, MavenRepository], tmp_path: Path
) -> None:
    site, repository = maven
    above = repository.artifact("com.acme:above", "2", pom("com.acme:above", "2"), ".pom")
    used = repository.artifact("com.acme:used", "4", pom("com.acme:used", "4"), ".pom")
    inside = f"<dependencies>{dependency('com.acme:used:4')}</dependencies>"
    file = tmp_path / "pom.xml"
    file.write_bytes(pom("com.acme:app", "1.0-SNAPSHOT", inside, "com.acme:above:2"))
    done = site.mirror("maven", "--lockfile", file, "--json")
    assert done.code == 0, done.json
    assert [site.up.log.count("GET", f"/central/{path}") for path in (above, used)] == [1, 1]
    file.write_bytes(pom("com.acme:app", parent="com.acme:nobody:2"))
    done = site.mirror("maven", "--lockfile", file, "--json")
    assert {*done.missing} == {"com.acme:nobody:2 (pom)"}
    file.write_text("<html></html>")
    assert f"{file}: the root of the POM is <html>" in site.mirror("maven", "--lockfile", file).stderr


@pytest.mark.slow
def test_what_is_missing_is_named_with_its_reason(
    maven: tuple[Site, MavenRepository], tmp_path: Path
) -> None:
    site, repository = maven
    repository.artifact("com.acme:half", body=b"half")
    repository.artifact("com.acme:half", body=pom("com.acme:half", parent="com.acme:orphaned:1"), end=".pom")
    file = tmp_path / "list.txt"
    file.write_text(listed("com.acme:half:jar:1.0:compile", "com.acme:absent:jar:1.0:compile"))
    done = site.mirror("maven", "--lockfile", file, "--json")
    assert done.code == 1
    assert {*done.missing} == {
        "com.acme:absent:1.0 (jar)",
        "com.acme:absent:1.0 (pom)",
        "com.acme:orphaned:1 (pom)",
    }
    assert "404" in done.missing["com.acme:absent:1.0 (jar)"]


@pytest.mark.slow
def test_poms_that_lead_to_each_other_come_to_an_end(
    maven: tuple[Site, MavenRepository], tmp_path: Path
) -> None:
    site, repository = maven
    imports = (
        "<dependencyManagement><dependencies>{}</dependencies></dependencyManagement>".format(
            dependency(f"com.acme:{name}:1.0", "<type>pom</type><scope>import</scope>")
        )
        for name in ("ring-b", "ring-a")
    )
    for name, inside in zip(("ring-a", "ring-b"), imports, strict=True):
        body = pom(f"com.acme:{name}", inside=inside, parent=f"com.acme:{name}:1.0")
        repository.artifact(f"com.acme:{name}", body=body, end=".pom")
    file = tmp_path / "list.txt"
    file.write_text(listed("com.acme:ring-a:pom:1.0:compile"))
    done = site.mirror("maven", "--lockfile", file, "--json")
    assert done.code == 0, done.json
    assert done.json["done"] == 2


@pytest.mark.slow
def test_a_snapshot_is_its_newest_build(maven: tuple[Site, MavenRepository], tmp_path: Path) -> None:
    site, repository = maven
    where = "com/acme/snap/1.0-SNAPSHOT/snap-1.0-20261124.061329"
    for number in (1, 2):
        repository.add(f"{where}-{number}.jar", b"build %d" % number)
        repository.add(f"{where}-{number}.pom", pom("com.acme:snap", "1.0-SNAPSHOT"))
    file = tmp_path / "list.txt"
    file.write_text(listed("com.acme:snap:jar:1.0-SNAPSHOT:compile"))
    done = site.mirror("maven", "--lockfile", file, "--json")
    assert done.code == 0, done.json
    assert site.up.log.count("GET", f"/central/{where}-2.jar") == 1
    assert site.up.log.count("GET", f"/central/{where}-1.jar") == 0
    file.write_text(listed("com.acme:snap:jar:1.0-20261124.061329-1:compile"))
    assert site.mirror("maven", "--lockfile", file).code == 0
    assert site.up.log.count("GET", f"/central/{where}-1.jar") == 1


@pytest.mark.slow
def test_packages_that_are_named_are_the_newest_release(maven: tuple[Site, MavenRepository]) -> None:
    site, repository = maven
    for version in ("1.9", "1.10"):
        repository.artifact("com.acme:newest", version)
        repository.artifact("com.acme:newest", version, pom("com.acme:newest", version), ".pom")
    assert site.mirror("maven", "--packages", "com.acme:newest").code == 0
    jars = [path for path in site.up.log.paths("GET") if "newest" in path and path.endswith(".jar")]
    assert jars == ["/central/com/acme/newest/1.10/newest-1.10.jar"]
    assert site.mirror("maven", "--packages", "com.acme:newest:1.9").code == 0
    assert site.mirror("maven", "--packages", "com.acme:newest", "--all-versions").code == 0
    assert "is no name of a package" in site.mirror("maven", "--packages", "newest").stderr
