"""Documents that are read, joined and rendered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.formats.maven.metadata import (
    ArtifactVersions,
    Plugin,
    RepositoryMetadata,
    SnapshotBuilds,
    SnapshotFile,
    last_updated_at,
    merge_builds,
    merge_plugins,
    merge_versions,
    parse_metadata,
    parse_plugins,
    render_metadata,
    render_snapshot,
)
from nora.formats.maven.metadata_xml import (
    DEEPEST,
    LARGEST,
    LONGEST_NAME,
    MOST_ELEMENTS,
    MetadataUnreadable,
)
from nora.formats.maven.names import ArtifactFile, Build, PackageName, parse_path

LIB = PackageName.of("com.acme:lib")
OF_ARTIFACT = b"""<?xml version="1.0" encoding="UTF-8"?>
<metadata>
  <groupId>com.acme</groupId>
  <artifactId>lib</artifactId>
  <versioning>
    <latest>1.11-SNAPSHOT</latest>
    <release>1.10</release>
    <versions>
      <version>1.0-rc1</version>
      <version>1.0</version>
      <version>1.0.1-SNAPSHOT</version>
      <version>1.9</version>
      <version>1.10</version>
      <version>1.11-SNAPSHOT</version>
    </versions>
    <lastUpdated>20261124061329</lastUpdated>
  </versioning>
</metadata>
"""
OF_SNAPSHOT = b"""<?xml version="1.0" encoding="UTF-8"?>
<metadata modelVersion="1.1.0">
  <groupId>com.acme</groupId>
  <artifactId>lib</artifactId>
  <version>1.0-SNAPSHOT</version>
  <versioning>
    <snapshot>
      <timestamp>20261124.061329</timestamp>
      <buildNumber>2</buildNumber>
    </snapshot>
    <lastUpdated>20261124061330</lastUpdated>
    <snapshotVersions>
      <snapshotVersion>
        <extension>jar</extension>
        <value>1.0-20261124.061329-2</value>
        <updated>20261124061330</updated>
      </snapshotVersion>
      <snapshotVersion>
        <extension>pom</extension>
        <value>1.0-20261124.061329-2</value>
        <updated>20261124061330</updated>
      </snapshotVersion>
      <snapshotVersion>
        <classifier>sources</classifier>
        <extension>jar</extension>
        <value>1.0-20261123.000000-1</value>
        <updated>20261123000000</updated>
      </snapshotVersion>
    </snapshotVersions>
  </versioning>
</metadata>
"""
OF_GROUP = b"""<?xml version="1.0" encoding="UTF-8"?>
<metadata>
  <plugins>
    <plugin>
      <name>A &lt;b&gt; &amp; c</name>
      <prefix>a</prefix>
      <artifactId>a-maven-plugin</artifactId>
    </plugin>
    <plugin>
      <prefix>b</prefix>
      <artifactId>b-maven-plugin</artifactId>
    </plugin>
  </plugins>
</metadata>
"""
VERSIONS = ArtifactVersions.of(
    ["1.9", "1.0", "1.0-rc1", "1.11-SNAPSHOT", "1.10", "1.0.1-SNAPSHOT", "1.9"], "20261124061329"
)
PLUGINS = (Plugin("a-maven-plugin", "a", "A <b> & c"), Plugin("b-maven-plugin", "b"))
STAMP = "20261124061330"


def file(name: str) -> ArtifactFile:
    found = parse_path(["com", "acme", "lib", "1.0-SNAPSHOT", name])
    assert isinstance(found, ArtifactFile)
    return found


BUILDS = SnapshotBuilds.of_files(
    [
        (file("lib-1.0-20261124.061329-2.jar"), STAMP),
        (file("lib-1.0-20261123.000000-1-sources.jar"), "20261123000000"),
        (file("lib-1.0-20261123.000000-1.jar"), "20261123000000"),
        (file("lib-1.0-20261124.061329-2.pom"), STAMP),
        (file("lib-1.0-SNAPSHOT.pom"), "20261125000000"),
        (file("notes.txt"), "20261125000000"),
    ]
)


def test_documents_have_these_bytes() -> None:
    assert render_metadata(LIB, VERSIONS, ()) == OF_ARTIFACT
    assert render_metadata(None, ArtifactVersions(), PLUGINS) == OF_GROUP
    assert render_metadata(LIB, ArtifactVersions(), PLUGINS) == OF_GROUP
    both = render_metadata(LIB, VERSIONS, PLUGINS)
    assert both == OF_ARTIFACT.replace(b"</metadata>\n", b"") + OF_GROUP[OF_GROUP.index(b"  <plugins>") :]
    timed = SnapshotBuilds(BUILDS.build, BUILDS.files, STAMP)
    assert render_snapshot(LIB, "1.0-SNAPSHOT", timed) == OF_SNAPSHOT


def test_what_is_rendered_is_read_again() -> None:
    assert parse_metadata(OF_ARTIFACT) == RepositoryMetadata(
        VERSIONS, SnapshotBuilds(last_updated="20261124061329")
    )
    assert parse_metadata(OF_SNAPSHOT).builds == SnapshotBuilds(BUILDS.build, BUILDS.files, STAMP)
    assert parse_metadata(OF_GROUP).plugins == parse_plugins(OF_GROUP) == PLUGINS


def test_latest_and_release_are_the_highest() -> None:
    for versions, latest, release in (
        ([], "", ""),
        (["1.0-SNAPSHOT"], "1.0-SNAPSHOT", ""),
        (["1.0-rc1"], "1.0-rc1", "1.0-rc1"),
        (["2.0-SNAPSHOT", "1.10", "1.9"], "2.0-SNAPSHOT", "1.10"),
        (["1.0", "1.0.1-SNAPSHOT", "1.10", "1.9", "1.0-rc1"], "1.10", "1.10"),
        (["1.0.0", "1.0", "1"], "1.0.0", "1.0.0"),
    ):
        found = ArtifactVersions.of(versions, "")
        assert (found.latest, found.release) == (latest, release), versions
    assert b"<release>" not in render_metadata(LIB, ArtifactVersions.of(["1-SNAPSHOT"], ""), ())


def test_snapshots_that_are_not_timestamped_are_listed_under_their_own_name() -> None:
    found = SnapshotBuilds.of_files([(file("lib-1.0-SNAPSHOT.jar"), STAMP)])
    assert found == SnapshotBuilds(None, (SnapshotFile("", "jar", "1.0-SNAPSHOT", STAMP),), STAMP)
    assert b"<snapshot>" not in render_snapshot(LIB, "1.0-SNAPSHOT", found)


def test_old_documents_are_read() -> None:
    found = parse_metadata(
        b"""<metadata xmlns="https://maven.example/METADATA/1.0.0"><groupId>x</groupId><!-- c -->
        <version>1.0-SNAPSHOT</version>
        <versioning><snapshot><timestamp>20061124.061329</timestamp><buildNumber> 7 </buildNumber></snapshot>
        <versions><version> 2.0 </version><version/><version>a/b</version><version>1.0</version></versions>
        <lastUpdated>20061124.061329</lastUpdated><other><deep>x</deep></other></versioning></metadata>"""
    )
    assert found.builds == SnapshotBuilds(Build("20061124.061329", 7), (), "20061124061329")
    assert found.versions.versions == ("1.0", "2.0")
    assert parse_metadata(b"<metadata/>") == RepositoryMetadata()


def test_what_is_wrong_in_a_document_is_left_out() -> None:
    found = parse_metadata(
        b"""<metadata><versioning><lastUpdated>yesterday</lastUpdated>
        <snapshot><timestamp>now</timestamp><buildNumber>-1</buildNumber></snapshot><snapshotVersions>
        <snapshotVersion><extension>jar</extension></snapshotVersion>
        <snapshotVersion><extension>a/b</extension><value>1.0-20261124.061329-2</value></snapshotVersion>
        </snapshotVersions></versioning><plugins><plugin><prefix>x</prefix></plugin></plugins></metadata>"""
    )
    assert found == RepositoryMetadata()


NO_METADATA = [
    b"",
    b"no",
    b"<metadata>",
    b"<metadata></other>",
    b"<metadata/><metadata/>",
    b"<metadata>&a;</metadata>",
    b"<metadata>\0</metadata>",
    b"<metadata>\xff</metadata>",
    b"<html><body/></html>",
    b"<!DOCTYPE html><html></html>",
    b'<!DOCTYPE metadata SYSTEM "file:///etc/passwd"><metadata/>',
    b'<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><metadata>&b;</metadata>',
    b"<metadata>" + b"<a>" * DEEPEST + b"</a>" * DEEPEST + b"</metadata>",
    b"<metadata>" + b"<a/>" * MOST_ELEMENTS + b"</metadata>",
    b"<metadata>" + b" " * LARGEST + b"</metadata>",
    b"<metadata><%b/></metadata>" % (b"a" * (LONGEST_NAME + 1)),
]


def test_documents_that_are_none_are_refused() -> None:
    for body in NO_METADATA:
        with pytest.raises(MetadataUnreadable):
            print(body[:99], parse_metadata(body))


def test_who_wants_plugins_does_not_sort_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ArtifactVersions, "of", None)
    assert parse_plugins(OF_ARTIFACT) == ()


def test_versions_of_several_sources_are_joined() -> None:
    hosted = ArtifactVersions.of(["1.0-acme", "1.2"], "20261124000000")
    central = ArtifactVersions.of(["1.5", "1.2", "1.0"], "20251124000000")
    joined = merge_versions([hosted, central, ArtifactVersions()])
    assert joined == ArtifactVersions(("1.0", "1.0-acme", "1.2", "1.5"), "20261124000000")
    assert merge_versions([]) == ArtifactVersions()


def test_builds_of_several_sources_are_joined() -> None:
    old = SnapshotBuilds(Build("20261101.000000", 9), (), "20261101000000")
    more = SnapshotFile("javadoc", "jar", "1.0-20261125.000000-1", "20261125000000")
    newer = SnapshotBuilds.of([more], None, "20261125000000")
    joined = merge_builds([old, BUILDS, newer])
    assert joined.build == Build("20261125.000000", 1)
    assert {one.classifier for one in joined.files} == {"", "javadoc", "sources"}
    assert merge_builds([BUILDS, old]).build == BUILDS.build
    assert merge_builds([old, SnapshotBuilds()]) == old


def test_an_earlier_source_keeps_the_prefixes_of_its_plugins() -> None:
    ours, theirs = Plugin("our-plugin", "x", "ours"), Plugin("their-plugin", "x")
    other, same = Plugin("z-plugin", "z"), Plugin("our-plugin", "y", "theirs")
    assert merge_plugins([[ours], [theirs, other, same]]) == (ours, other)


def test_times_are_in_utc() -> None:
    assert last_updated_at(1795500809.9) == "20261124061329"


_versions = st.lists(st.sampled_from(["1", "1.0", "1.1-SNAPSHOT", "2-rc1", "2", "10"]), max_size=6)
_parts = st.builds(ArtifactVersions.of, _versions, st.sampled_from(["", "20260101000000", STAMP]))


@given(st.lists(_parts, max_size=4))
def test_joining_is_the_same_in_any_order_and_twice(parts: list[ArtifactVersions]) -> None:
    joined = merge_versions(parts)
    assert joined == merge_versions(reversed(parts)) == merge_versions([joined, *parts])
    assert parse_metadata(render_metadata(LIB, joined, ())).versions.versions == joined.versions
