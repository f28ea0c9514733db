"""Listings on the wire: of groups and named repositories, and referrers in pages."""

from __future__ import annotations

import httpx
import pytest

from tests.support.oci import IMAGE, INDEX, Image, Repository, describe, digest, index, links, render

SUBJECTLESS = "application/vnd.example.old"


def listed(client: httpx.Client, url: str, key: str) -> list[list[str]]:
    return [page.json()[key] for page in links(client, url)]


def test_the_tags_of_a_group_are_those_of_all_members_once(kinds: httpx.Client) -> None:
    for name, tags in (("team/tags", "ace"), ("lab/tags", "abcd")):
        image = Repository(kinds, name).push_image()
        for tag in tags:
            Repository(kinds, name).push_manifest(tag, image.manifest)
    assert listed(kinds, "/v2/all/tags/tags/list", "tags") == [["a", "b", "c", "d", "e"]]
    assert listed(kinds, "/v2/view/tags/tags/list?n=2", "tags") == [["a", "b"], ["c", "d"], ["e"]]
    assert kinds.get("/v2/view/tags/tags/list").json()["name"] == "view/tags"
    assert kinds.get("/v2/all/absent/tags/list").status_code == 404


def test_the_catalog_goes_over_named_repositories_in_pages(kinds: httpx.Client) -> None:
    for name in ("lab/catalog", "team-mate/catalog", "team/catalog", "teams/catalog", "catalog"):
        Repository(kinds, name).push_image("1")
    everything = listed(kinds, "/v2/_catalog", "repositories")[0]
    assert everything == sorted(set(everything))
    wanted = {f"{name}catalog" for name in ("", "all/", "lab/", "team-mate/", "team/", "teams/", "view/")}
    assert {name for name in everything if name.endswith("catalog")} == wanted
    for size in (1, 2, 3):
        pages = listed(kinds, f"/v2/_catalog?n={size}", "repositories")
        assert [name for page in pages for name in page] == everything
        assert {len(page) for page in pages[:-1]} <= {size}


@pytest.mark.parametrize("last", ["team", "team/", "team-", "team.", "team0"])
def test_a_page_of_the_catalog_may_start_anywhere(kinds: httpx.Client, last: str) -> None:
    Repository(kinds, "team/start").push_image("1")
    everything = kinds.get("/v2/_catalog").json()["repositories"]
    page = kinds.get("/v2/_catalog", params={"last": last}).json()["repositories"]
    assert page == [name for name in everything if name > last]


def refer(repo: Repository, subject: Image, number: int, padding: int = 0) -> str:
    """Push an index that refers to `subject` and has annotations of so many bytes."""
    annotations = {"org.example.number": str(number), "org.example.padding": "x" * padding}
    data = index([], subject=subject.descriptor, annotations=annotations)
    return repo.push_manifest(digest(data), data, INDEX)


def test_referrers_too_large_for_one_page_are_walked_by_link(kinds: httpx.Client) -> None:
    repo = Repository(kinds, "referrers/large")
    subject = repo.push_image("1")
    pushed = [refer(repo, subject, number, 900_000) for number in range(5)]
    pages = list(links(kinds, f"{repo.path}/referrers/{subject.digest}"))
    assert len(pages) == 3
    assert all(len(page.content) < 4 * 1024 * 1024 for page in pages)
    assert [entry["digest"] for page in pages for entry in page.json()["manifests"]] == sorted(pushed)


def test_the_link_of_filtered_referrers_keeps_the_filter(kinds: httpx.Client) -> None:
    repo = Repository(kinds, "referrers/filtered")
    subject = repo.push_image("1")
    for number in range(6):
        more = {"artifactType": f"application/vnd.example.{number % 2}+json"}
        data = index([], subject=subject.descriptor, annotations={"n": str(number) * 900_000}, **more)
        repo.push_manifest(digest(data), data, INDEX)
    query = "?artifactType=application/vnd.example.1%2Bjson"
    pages = list(links(kinds, f"{repo.path}/referrers/{subject.digest}{query}"))
    assert [len(page.json()["manifests"]) for page in pages] == [2, 1]
    assert {page.headers["oci-filters-applied"] for page in pages} == {"artifactType"}
    kinds_found = {entry["artifactType"] for page in pages for entry in page.json()["manifests"]}
    assert kinds_found == {"application/vnd.example.1+json"}


def test_a_group_lists_the_referrers_of_all_members_once(kinds: httpx.Client) -> None:
    team, lab = Repository(kinds, "team/refer"), Repository(kinds, "lab/refer")
    subject = team.push_image("1")
    both = {refer(repo, subject, 0) for repo in (team, lab)}
    pushed = both | {refer(team, subject, 1), refer(lab, subject, 2)}
    found = Repository(kinds, "view/refer").referrers(subject.digest).json()["manifests"]
    assert [entry["digest"] for entry in found] == sorted(pushed)


def test_what_only_the_fallback_tag_names_is_listed(kinds: httpx.Client) -> None:
    """A manifest without `subject`, pushed before clients knew it, is found by the index alone."""
    repo = Repository(kinds, "referrers/fallback")
    subject, old = repo.push_image("1"), repo.push_image(seed="a signature of old")
    entry = describe(old.manifest, IMAGE, artifactType=SUBJECTLESS, annotations={"kept": "yes"})
    gone = describe(render({"never": "pushed"}), IMAGE, artifactType=SUBJECTLESS)
    repo.push_manifest(subject.digest.replace(":", "-"), index([entry, gone]), INDEX)
    new = refer(repo, subject, 1)
    found = repo.referrers(subject.digest).json()["manifests"]
    assert [one["digest"] for one in found] == sorted([old.digest, new])
    assert entry in found
    filtered = repo.referrers(subject.digest, f"?artifactType={SUBJECTLESS}").json()["manifests"]
    assert filtered == [entry]


def test_a_fallback_tag_that_says_more_than_can_be_listed(kinds: httpx.Client) -> None:
    repo = Repository(kinds, "referrers/nested")
    subject = repo.push_image("1")
    tag = subject.digest.replace(":", "-")
    entry = describe(subject.manifest, IMAGE)
    nested = b'{"a":' * 300 + b'"b"' + b"}" * 300
    repo.push_manifest(tag, index([entry]).replace(b'"size"', b'"x":%b,"size"' % nested), INDEX)
    assert repo.referrers(subject.digest).json()["manifests"] == [entry]


@pytest.mark.parametrize("body", [{"manifests": None}, {"layers": None}])
def test_a_fallback_tag_without_entries_is_an_empty_list(kinds: httpx.Client, body: dict[str, None]) -> None:
    repo = Repository(kinds, f"referrers/without-{next(iter(body))}")
    subject = repo.push_image("1")
    document = {"schemaVersion": 2, "mediaType": INDEX, **body}
    repo.push_manifest(subject.digest.replace(":", "-"), render(document), INDEX)
    answer = repo.referrers(subject.digest)
    assert (answer.status_code, answer.json()["manifests"]) == (200, [])


def test_a_fallback_tag_with_many_entries_is_listed_in_pages(kinds: httpx.Client) -> None:
    """Most of what it names is not here, and what is here is found wherever it stands."""
    repo = Repository(kinds, "referrers/many")
    subject = repo.push_image("1")
    old = [repo.push_image(seed=str(number)) for number in range(3)]
    gone = [describe(str(number).encode(), IMAGE) for number in range(4000)]
    entries = [*gone[:2000], *(one.descriptor for one in old), *gone[2000:]]
    repo.push_manifest(subject.digest.replace(":", "-"), index(entries), INDEX)
    new = [refer(repo, subject, number, 900_000) for number in range(4)]
    pages = list(links(kinds, f"{repo.path}/referrers/{subject.digest}"))
    found = [one["digest"] for page in pages for one in page.json()["manifests"]]
    assert found == sorted([*(one.digest for one in old), *new])
    assert len(pages) >= 2


def test_a_manifest_that_refers_to_too_much_is_refused(kinds: httpx.Client) -> None:
    repo = Repository(kinds, "referrers/toomuch")
    entries = [describe(str(number).encode(), IMAGE) for number in range(4097)]
    assert repo.put_manifest("most", index(entries[1:]), INDEX).status_code == 201
    answer = repo.put_manifest("more", index(entries), INDEX)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "MANIFEST_INVALID")
    assert "docker.max_references allows 4096" in answer.json()["errors"][0]["message"]
