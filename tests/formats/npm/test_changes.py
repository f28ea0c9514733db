"""What npm changes of a package: deprecations, tags, maintainers, stars, removals."""

from __future__ import annotations

import httpx
import pytest

from tests.formats.npm.wire import packument, publish
from tests.support.npm_registry import Built


@pytest.fixture
def package(http: httpx.Client, name: str) -> str:
    """With two versions."""
    for version in ("1.0.0", "1.1.0"):
        assert publish(http, Built(name, version)).status_code == 201
    return name


def written(http: httpx.Client, name: str) -> dict[str, object]:
    return http.get(f"/npm/{name}?write=true").json()  # type: ignore[no-any-return]


def test_deprecation_and_back(http: httpx.Client, package: str) -> None:
    for reason in ("old", "older", ""):
        document = packument(http, package)
        document["versions"]["1.0.0"]["deprecated"] = reason
        assert http.put(f"/npm/{package}", json=document).status_code == 201
        versions = packument(http, package)["versions"]
        assert versions["1.0.0"].get("deprecated", "") == reason
        assert "deprecated" not in versions["1.1.0"]
    bad = packument(http, package)
    bad["versions"]["1.0.0"]["deprecated"] = 1
    assert http.put(f"/npm/{package}", json=bad).status_code == 400


def test_the_newest_that_is_not_deprecated_is_latest_where_no_tag_says_it(
    http: httpx.Client, package: str
) -> None:
    assert packument(http, package)["dist-tags"]["latest"] == "1.1.0"
    answer = http.delete(f"/npm/{package}/-/{package}-1.1.0.tgz/-rev/x")
    assert answer.status_code == 200
    assert packument(http, package)["dist-tags"] == {"latest": "1.0.0"}


def test_tags_alone(http: httpx.Client, package: str) -> None:
    tags = f"/npm/-/package/{package}/dist-tags"
    assert http.get(tags).json() == {"latest": "1.1.0"}
    assert http.put(f"{tags}/next", json="1.0.0").status_code == 201
    assert http.post(f"{tags}/other", json="1.1.0").status_code == 201
    assert http.get(tags).json() == {"latest": "1.1.0", "next": "1.0.0", "other": "1.1.0"}
    assert packument(http, package)["dist-tags"]["next"] == "1.0.0"
    assert http.put(f"{tags}/next", json="9.0.0").status_code == 404
    assert http.put(f"{tags}/1.x", json="1.0.0").status_code == 400
    for body in (b"1.0.0", b'"x"', b"{}", b""):
        assert http.put(f"{tags}/next", content=body).status_code == 400
    assert http.delete(f"{tags}/next").status_code == 200
    assert http.delete(f"{tags}/next").status_code == 404
    assert http.delete(f"{tags}/latest").status_code == 403


def test_stars_and_maintainers(http: httpx.Client, package: str) -> None:
    star = {"_id": package, "users": {"anonymous": True, "somebody else": True}}
    assert http.put(f"/npm/{package}", json=star).status_code == 201
    assert packument(http, package)["users"] == {"anonymous": True}
    assert http.put(f"/npm/{package}", json={**star, "users": {}}).status_code == 201
    assert "users" not in packument(http, package)
    document = {"_id": package, "maintainers": [{"name": "alice", "email": "a@example.com"}]}
    rev = written(http, package)["_rev"]
    assert http.put(f"/npm/{package}/-rev/{rev}", json=document).status_code == 201
    assert packument(http, package)["maintainers"] == document["maintainers"]
    assert http.put(f"/npm/{package}/-rev/{rev}", json=document).status_code == 409
    for bad in ([], "x", [{"name": 1}], [{}]):
        assert http.put(f"/npm/{package}", json={"maintainers": bad}).status_code == 400


def test_a_version_is_unpublished_for_good(http: httpx.Client, package: str) -> None:
    document = written(http, package)
    rev = document["_rev"]
    del document["versions"]["1.0.0"]  # type: ignore[attr-defined]
    assert http.put(f"/npm/{package}/-rev/{rev}", json=document).status_code == 201
    after = packument(http, package)
    assert list(after["versions"]) == ["1.1.0"]
    file = f"/npm/{package}/-/{package}-1.0.0.tgz"
    assert http.get(file).status_code == 404
    assert http.delete(f"{file}/-rev/{after['_rev']}").status_code == 200
    assert publish(http, Built(package, "1.0.0")).status_code == 409


def test_a_package_is_unpublished(http: httpx.Client, package: str) -> None:
    rev = written(http, package)["_rev"]
    assert http.delete(f"/npm/{package}/-rev/0-0").status_code == 409
    assert http.delete(f"/npm/{package}/-rev/{rev}").status_code == 200
    assert http.get(f"/npm/{package}").status_code in (403, 404)
    assert publish(http, Built(package, "3.0.0")).status_code == 201


def test_documents_that_change_nothing(http: httpx.Client, package: str) -> None:
    assert http.put(f"/npm/{package}", json={"_id": package}).status_code == 400
    assert http.put(f"/npm/{package}-absent", json={"users": {}}).status_code == 404
    before = packument(http, package)
    assert http.put(f"/npm/{package}", json=before).status_code == 201
    assert packument(http, package) == before


def test_releases_have_endpoints_of_noras_own(http: httpx.Client, package: str) -> None:
    path = f"/npm/-/releases/{package}"
    assert http.post(f"{path}/1.0.0/deprecate", json={"reason": "why"}).status_code == 200
    assert packument(http, package)["versions"]["1.0.0"]["deprecated"] == "why"
    assert http.post(f"{path}/1.0.0/undeprecate", json={}).status_code == 200
    assert "deprecated" not in packument(http, package)["versions"]["1.0.0"]
    assert http.delete(f"{path}/1.0.0").json() == {"package": package, "deleted": 1}
    assert list(packument(http, package)["versions"]) == ["1.1.0"]
