"""Manifests that were pushed under digests of two algorithms."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.support.oci import INDEX, Repository, digest, index


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_manifest_under_two_digests_is_deleted_by_each(
    http: httpx.Client, repository: Callable[[str], str], algorithm: str
) -> None:
    app = Repository(http, repository("app"))
    manifest = index([], annotations={"of": app.name})
    digests = [digest(manifest, one) for one in ("sha256", "sha512")]
    for one in digests:
        assert app.put_manifest(one, manifest, INDEX).status_code == 201
        assert app.put_manifest(f"t-{one[:6]}", manifest, INDEX).status_code == 201
    assert app.delete_manifest(digest(manifest, algorithm)).status_code == 202
    for one in digests:
        assert app.get_manifest(one).status_code == 404
        assert app.delete_manifest(one).status_code == 404
    assert app.tags() == []
