"""The conformance cases that matter most, without Go: referrers (OCI Distribution Spec 1.1, end-12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.oci import (
    CONFIG,
    EMPTY,
    IMAGE,
    INDEX,
    Descriptor,
    Image,
    Repository,
    describe,
    digest,
    index,
    links,
    render,
)

ABSENT = digest(b"nobody ever pushed this")
ARTIFACT = "application/vnd.example.sbom.v1"


@pytest.fixture
def repo(http: httpx.Client, repository: Callable[[str], str]) -> Repository:
    return Repository(http, repository("app"))


def artifact(repo: Repository, subject: Descriptor, kind: str = ARTIFACT, **more: Any) -> bytes:
    """Push a referrer of `subject` and return its bytes."""
    repo.push_blob(b"{}")
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "artifactType": kind,
        "config": describe(b"{}", EMPTY),
        "layers": [describe(b"{}", EMPTY)],
        "subject": subject,
    }
    data = render(document | more)
    answer = repo.put_manifest(digest(data), data)
    assert answer.status_code == 201, answer.text
    assert answer.headers["oci-subject"] == subject["digest"]
    return data


def listed(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200
    assert answer.headers["content-type"] == INDEX
    return [entry["digest"] for entry in answer.json()["manifests"]]


def test_the_referrers_of_nothing_are_an_empty_index(repo: Repository) -> None:
    answer = repo.referrers(ABSENT)
    assert listed(answer) == []
    assert answer.json()["schemaVersion"] == 2
    assert answer.json()["mediaType"] == INDEX


def test_a_malformed_subject_is_400(repo: Repository) -> None:
    assert repo.referrers("sha256:nonsense").status_code == 400


@pytest.fixture
def subject(repo: Repository) -> Image:
    return repo.push_image("v1")


def test_a_referrer_is_listed_with_its_descriptor(repo: Repository, subject: Image) -> None:
    data = artifact(repo, subject.descriptor, annotations={"org.example.made": "today"})
    (entry,) = repo.referrers(subject.digest).json()["manifests"]
    assert entry == describe(data, IMAGE, artifactType=ARTIFACT, annotations={"org.example.made": "today"})


def test_an_index_refers_too(repo: Repository, subject: Image) -> None:
    data = index([], subject=subject.descriptor, artifactType=ARTIFACT)
    answer = repo.put_manifest(digest(data), data, INDEX)
    assert answer.status_code == 201
    assert answer.headers["oci-subject"] == subject.digest
    assert listed(repo.referrers(subject.digest)) == [digest(data)]


def test_without_artifact_type_the_configs_type_counts(repo: Repository, subject: Image) -> None:
    image = repo.push_image(seed="config type", subject=subject.descriptor)
    (entry,) = repo.referrers(subject.digest).json()["manifests"]
    assert (entry["digest"], entry["artifactType"]) == (image.digest, CONFIG)


def test_a_filter_is_applied_and_said(repo: Repository, subject: Image) -> None:
    wanted = artifact(repo, subject.descriptor)
    artifact(repo, subject.descriptor, "application/vnd.example.other")
    answer = repo.client.get(f"{repo.path}/referrers/{subject.digest}", params={"artifactType": ARTIFACT})
    assert listed(answer) == [digest(wanted)]
    assert answer.headers["oci-filters-applied"] == "artifactType"
    assert "oci-filters-applied" not in repo.referrers(subject.digest).headers


def test_the_subject_may_come_later_and_leave_earlier(repo: Repository) -> None:
    other = Repository(repo.client, repo.name + "-source").push_image()
    data = artifact(repo, other.descriptor)
    assert listed(repo.referrers(other.digest)) == [digest(data)]
    for blob in (other.config, *other.layers):
        repo.push_blob(blob)
    repo.push_manifest(other.digest, other.manifest)
    assert listed(repo.referrers(other.digest)) == [digest(data)]
    repo.delete_manifest(other.digest)
    assert listed(repo.referrers(other.digest)) == [digest(data)]
    repo.delete_manifest(digest(data))
    assert listed(repo.referrers(other.digest)) == []


def test_many_referrers_are_walked_by_link(repo: Repository, subject: Image) -> None:
    pushed = {
        digest(artifact(repo, subject.descriptor, annotations={"number": str(number)}))
        for number in range(30)
    }
    pages = links(repo.client, f"{repo.path}/referrers/{subject.digest}")
    found = [entry["digest"] for page in pages for entry in page.json()["manifests"]]
    assert len(found) == len(pushed)
    assert set(found) == pushed


def test_the_index_of_the_fallback_tag_is_taken_over(repo: Repository, subject: Image) -> None:
    """A client without the API kept a list under the tag `sha256-<hex>`: what it names stays listed, once."""
    data = artifact(repo, subject.descriptor)
    fallback = index([describe(data, IMAGE, artifactType=ARTIFACT)])
    assert repo.put_manifest(subject.digest.replace(":", "-"), fallback, INDEX).status_code == 201
    assert listed(repo.referrers(subject.digest)) == [digest(data)]
