"""Manifests on the wire: conditions, tags that stay, groups, deletes that every worker sees."""

from __future__ import annotations

import httpx
import pytest

from tests.support.oci import IMAGE, INDEX, Image, Repository, digest, index


def code(answer: httpx.Response) -> str:
    (error,) = answer.json()["errors"]
    return str(error["code"])


def put(repo: Repository, reference: str, image: Image, **conditions: str) -> httpx.Response:
    headers = {name.replace("_", "-"): value for name, value in conditions.items()}
    return repo.client.put(
        f"{repo.path}/manifests/{reference}",
        content=image.manifest,
        headers=headers | {"content-type": IMAGE},
    )


def test_if_none_match_sets_a_tag_once(kinds: httpx.Client) -> None:
    repo = Repository(kinds, "conditions/once")
    first, second = repo.push_image(seed="1"), repo.push_image(seed="2")
    assert put(repo, "tip", first, if_none_match="*").status_code == 201
    late = put(repo, "tip", second, if_none_match="*")
    assert (late.status_code, code(late)) == (412, "DENIED")
    assert repo.get_manifest("tip").content == first.manifest


def test_if_match_moves_a_tag_from_where_it_is_known_to_be(kinds: httpx.Client) -> None:
    repo = Repository(kinds, "conditions/moves")
    first, second = repo.push_image(seed="1"), repo.push_image(seed="2")
    assert put(repo, "tip", first, if_match=f'"{first.digest}"').status_code == 412  # there is none yet
    assert put(repo, "tip", first, if_match="*").status_code == 412
    assert repo.head_manifest("tip").status_code == 404
    assert put(repo, "tip", first).status_code == 201
    etag = repo.head_manifest("tip").headers["etag"]
    assert put(repo, "tip", second, if_match=f'"{second.digest}"').status_code == 412
    assert put(repo, "tip", second, if_match=f"W/{etag}").status_code == 412  # compared strongly
    assert put(repo, "tip", second, if_match=etag).status_code == 201
    assert put(repo, "tip", first, if_match=etag).status_code == 412
    assert put(repo, "tip", first, if_match="*").status_code == 201
    assert repo.get_manifest("tip").content == first.manifest


def test_one_condition_that_fails_sets_no_tag(kinds: httpx.Client) -> None:
    repo = Repository(kinds, "conditions/several")
    image = repo.push_image("taken")
    query = f"{image.digest}?tag=free&tag=taken"
    assert put(repo, query, image, if_none_match="*").status_code == 412
    assert repo.tags() == ["taken"]


def test_a_tag_is_set_once_however_often_it_is_named(kinds: httpx.Client) -> None:
    repo = Repository(kinds, "conditions/twice")
    image = repo.push_image()
    answer = put(repo, f"{image.digest}?tag=a&tag=a&tag=b", image, if_none_match="*")
    assert (answer.status_code, answer.headers["oci-tag"]) == (201, "a, b")
    assert repo.tags() == ["a", "b"]


def test_tags_beside_the_one_of_the_url_are_announced(kinds: httpx.Client) -> None:
    repo = Repository(kinds, "conditions/beside")
    image = repo.push_image()
    assert put(repo, "a?tag=a&tag=b", image).headers["oci-tag"] == "b"
    assert "oci-tag" not in put(repo, "c", image).headers
    assert repo.tags() == ["a", "b", "c"]


def test_a_bad_tag_parameter_stores_nothing(kinds: httpx.Client) -> None:
    repo = Repository(kinds, "conditions/bad")
    image = repo.push_image("one")
    assert put(repo, f"{image.digest}?tag=fine&tag=.bad", image).status_code == 400
    assert repo.tags() == ["one"]


def test_an_immutable_tag_stays(kinds: httpx.Client) -> None:
    repo = Repository(kinds, "immutable/app")
    image, other = repo.push_image("v1"), repo.push_image("latest", seed="other")
    assert put(repo, "v1", image).status_code == 201  # the same again moves nothing
    for reference in ("v1", f"{other.digest}?tag=v1"):
        answer = put(repo, reference, other)
        assert (answer.status_code, code(answer)) == (409, "DENIED")
    assert repo.get_manifest("v1").content == image.manifest
    assert put(repo, "latest", image).status_code == 201  # no pattern names it


def test_an_immutable_tag_is_not_removed_in_any_way(kinds: httpx.Client) -> None:
    """Removed and set again it would have moved; without what it needs it would be an empty name."""
    repo = Repository(kinds, "immutable/kept")
    image = repo.push_image("v1")
    several = repo.push_manifest("v2", index([repo.push_image("tip", seed="child").descriptor]), INDEX)
    free = repo.push_image("free", seed="free")
    layers = {name: digest(one.layers[0]) for name, one in (("kept", image), ("free", free))}
    child = repo.push_image("tip", seed="child").digest
    for path in (
        "manifests/v1",
        f"manifests/{image.digest}",
        "manifests/v2",
        f"manifests/{several}",
        f"manifests/{child}",
        f"blobs/{layers['kept']}",
        f"blobs/{digest(image.config)}",
    ):
        answer = kinds.delete(f"{repo.path}/{path}")
        assert (answer.status_code, code(answer)) == (409, "DENIED"), path
    assert repo.get_manifest("v1").content == image.manifest
    assert repo.get_manifest("v2").status_code == repo.get_manifest(child).status_code == 200
    assert repo.get_blob(layers["kept"]).status_code == 200
    for path in ("manifests/free", f"manifests/{free.digest}", f"blobs/{layers['free']}", "manifests/tip"):
        assert kinds.delete(f"{repo.path}/{path}").status_code == 202, path


def test_a_group_reads_through_its_members_in_their_order(kinds: httpx.Client) -> None:
    team, lab = Repository(kinds, "team/order"), Repository(kinds, "lab/order")
    first, second = team.push_image("tip", seed="team"), lab.push_image("tip", seed="lab")
    for name in ("all/order", "view/order"):
        group = Repository(kinds, name)
        assert group.get_manifest("tip").content == first.manifest
        assert group.get_manifest(second.digest).content == second.manifest
        assert group.get_blob(f"sha256:{second.descriptor['digest'][7:]}").status_code == 200
    assert team.head_manifest(second.digest).status_code == 404


def test_a_group_writes_to_its_target(kinds: httpx.Client) -> None:
    group = Repository(kinds, "all/written")
    image = group.push_image("tip")
    assert Repository(kinds, "lab/written").get_manifest("tip").content == image.manifest
    assert Repository(kinds, "team/written").head_manifest("tip").status_code == 404
    assert group.delete_manifest(image.digest).status_code == 202
    assert Repository(kinds, "lab/written").head_manifest("tip").status_code == 404


def test_a_group_deletes_nothing_outside_of_its_target(kinds: httpx.Client) -> None:
    team, group = Repository(kinds, "team/kept"), Repository(kinds, "all/kept")
    image = team.push_image("tip")
    for reference in ("tip", image.digest):
        assert group.delete_manifest(reference).status_code == 404
    assert group.client.delete(f"{group.path}/blobs/{image.descriptor['digest']}").status_code == 404
    assert team.get_manifest("tip").content == image.manifest


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "manifests/tip"),
        ("DELETE", "manifests/tip"),
        ("DELETE", "blobs/sha256:" + "0" * 64),
        ("POST", "blobs/uploads/"),
        ("PATCH", "blobs/uploads/0b9c7a3e-0000-4000-8000-000000000000"),
    ],
)
def test_a_group_without_a_target_refuses_writes(kinds: httpx.Client, method: str, path: str) -> None:
    answer = kinds.request(method, f"/v2/view/app/{path}", headers={"content-type": IMAGE}, content=b"{}")
    assert (answer.status_code, code(answer)) == (405, "UNSUPPORTED")
    assert answer.headers["allow"] == "GET, HEAD"


def test_every_worker_sees_a_delete_at_once(kinds: httpx.Client) -> None:
    repo = Repository(kinds, "deleted/app")
    image = repo.push_image("one")
    repo.push_manifest("two", image.manifest)
    paths = [f"{repo.path}/manifests/{reference}" for reference in ("one", "two", image.digest)]
    for path in paths * 8:  # so that each worker has it in memory
        assert kinds.get(path).status_code == 200
    assert repo.delete_manifest(image.digest).status_code == 202
    assert {kinds.get(path).status_code for path in paths * 8} == {404}
