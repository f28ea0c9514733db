"""What people are told of an artifact: its POM, read with limits, and shown on its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from nora.formats.maven.pom import MOST_DEPENDENCIES, read_pom
from tests.support.in_process import application
from tests.support.tables import each

POM = b"""<?xml version="1.0"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <parent><groupId>org.acme</groupId><version>1</version></parent>
  <name>Acme  library</name>
  <description>Counts
    things</description>
  <url>https://acme.example/lib</url>
  <licenses><license><name>Apache-2.0</name></license><license><name>MIT</name></license></licenses>
  <dependencies>
    <dependency><groupId>org.one</groupId><artifactId>a</artifactId><version>${one}</version></dependency>
    <dependency><groupId>junit</groupId><artifactId>junit</artifactId><scope>test</scope></dependency>
    <dependency><groupId>org.two</groupId><artifactId>b</artifactId></dependency>
  </dependencies>
</project>"""


def test_a_pom_says_what_it_is_and_needs() -> None:
    pom = read_pom(POM)
    assert pom.texts == {
        "name": "Acme library",
        "description": "Counts things",
        "url": "https://acme.example/lib",
        "license": "Apache-2.0",
    }
    assert pom.dependencies == ["org.one:a ${one}", "org.two:b"]


@each(
    "body",
    [
        b"",
        b"no XML",
        b"\xff\xfe\x00",
        b"<project>" * 100_000,
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><project><name>&b;</name></project>",
        b"<project><dependencies>" + b"<dependency><groupId>a</groupId></dependency>" * 5000,
        b"<project><name>" + b"x" * 600_000 + b"</name></project>",
    ],
)
def test_what_is_no_pom_says_little(body: bytes) -> None:
    pom = read_pom(body)
    assert len(pom.dependencies) <= MOST_DEPENDENCIES
    assert all(len(text) <= 500 for text in pom.texts.values())
    assert pom.texts.keys() <= {"name"}


@pytest.mark.anyio
async def test_the_page_of_an_artifact_has_what_its_pom_says(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        answer = await http.put("/maven2/org/acme/lib/1.0/lib-1.0.pom", content=POM)
        assert answer.status_code == 201, answer.text
        page = (await http.get("/ui/packages/maven/org.acme:lib")).text
    for text in ("Counts things", "Apache-2.0", "org.two:b", 'href="https://acme.example/lib"'):
        assert text in page, text
