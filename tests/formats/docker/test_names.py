"""Image names, references and where an image lives."""

from __future__ import annotations

import pytest

from nora.errors import InvalidDigest, InvalidName, InvalidTag, MethodNotAllowed
from nora.formats.docker.names import Images, Tag, parse_reference
from nora.model import Digest, Repository
from tests.support.tables import each

HOSTED = Repository(1, "docker-hosted", "docker", "hosted")
DEFAULT = Repository(2, "docker", "docker", "group", (HOSTED,), HOSTED)
INTERNAL = Repository(3, "internal", "docker", "hosted")
READ_ONLY = Repository(4, "all", "docker", "group", (INTERNAL, HOSTED))

IMAGES = Images(DEFAULT, {"internal": INTERNAL, "all": READ_ONLY})


@each("name", ["app", "team/app", "a/b/c/d/e", "a__b", "a--b", "internals/app", "blobs/uploads"])
def test_other_names_belong_to_the_default_repository(name: str) -> None:
    image = IMAGES.resolve(name)
    assert (image.repository, image.package, image.full_name) == (DEFAULT, name, name)
    assert image.target == HOSTED


def test_the_first_segment_names_a_configured_repository() -> None:
    image = IMAGES.resolve("internal/team/app")
    assert (image.repository, image.package) == (INTERNAL, "team/app")
    assert image.full_name == "internal/team/app"


def test_a_repository_is_no_image() -> None:
    with pytest.raises(InvalidName, match="internal/<image>"):
        IMAGES.resolve("internal").check()


@each("name", ["", "App", "-a", "a_", "a//b", "/a", "a/", "a..b", "a" * 256, "ä", "a b"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        IMAGES.resolve(name)


def test_a_group_without_a_target_takes_no_writes() -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        _ = IMAGES.resolve("all/app").target
    assert caught.value.allow == ("GET", "HEAD")


def test_a_reference_with_a_colon_is_a_digest() -> None:
    digest = "sha256:" + "a" * 64
    assert parse_reference(digest) == digest
    assert isinstance(parse_reference(digest), Digest)
    assert isinstance(parse_reference("v1.0_x-y"), Tag)
    with pytest.raises(InvalidDigest):
        parse_reference("sha256:baddigeststring")
    for tag in ["", ".x", "-x", "a" * 129, "a/b", "a b"]:
        with pytest.raises(InvalidTag):
            parse_reference(tag)


def test_manifests_are_files_below_their_image() -> None:
    digest = "sha256:" + "0" * 64
    assert IMAGES.resolve("internal/app").file_path(digest) == f"app/manifests/{digest}"
