"""Publications: what is taken, what is refused, and what stays behind."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.formats.npm.wire import abbreviated, packument, publish
from tests.support.npm_registry import ABBREVIATED, Built


def test_a_version_is_there_at_once(http: httpx.Client, name: str) -> None:
    for full in (name, f"@corp/{name}"):
        assert http.get(f"/npm/{full}").status_code == 404
        built = Built(
            full, fields={"dependencies": {"a": "^1"}, "scripts": {"install": "x"}, "readme": "# me"}
        )
        assert publish(http, built).status_code == 201
        found = packument(http, full)
        assert (found["_id"], found["name"], found["readme"]) == (full, full, "# me")
        assert found["dist-tags"] == {"latest": "1.0.0"}
        assert found["_rev"]
        assert set(found["time"]) == {"created", "modified", "1.0.0"}
        assert found["time"]["1.0.0"].endswith("Z")
        manifest = found["versions"]["1.0.0"]
        assert manifest["dependencies"] == {"a": "^1"}
        assert manifest["_id"] == f"{full}@1.0.0"
        assert "readme" not in manifest
        dist = manifest["dist"]
        assert (dist["integrity"], dist["shasum"]) == (built.dist["integrity"], built.dist["shasum"])
        assert (dist["fileCount"], dist["unpackedSize"]) == (2, len(json.dumps(built.manifest)) + 19)
        assert dist["tarball"] == f"{http.base_url}/npm/{full}/-/{built.filename}".replace("//npm", "/npm")
        assert http.get(dist["tarball"]).content == built.body
        short = abbreviated(http, full)
        assert short["modified"] == found["time"]["modified"]
        assert short["versions"]["1.0.0"]["hasInstallScript"] is True
        assert "scripts" not in short["versions"]["1.0.0"]


def test_all_spellings_of_a_path_are_one(http: httpx.Client, name: str) -> None:
    built = Built(f"@corp/{name}")
    assert publish(http, built).status_code == 201
    tags = {http.get(f"/npm/@corp{sep}{name}").headers["etag"] for sep in ("/", "%2f", "%2F")}
    assert len(tags) == 1
    for path in (f"@corp/{name}/-/{built.filename}", f"@corp%2f{name}/-/{built.filename}",
                 f"@corp/{name}/-/@corp/{built.filename}"):  # fmt: skip
        assert http.get(f"/npm/{path}").content == built.body


def test_variants_have_validators_of_their_own(http: httpx.Client, name: str) -> None:
    publish(http, Built(name))
    etags = set()
    bodies = set()
    for accept in (ABBREVIATED, "application/json"):
        for encoding in ("identity", "gzip", "zstd"):
            headers = {"accept": accept, "accept-encoding": encoding}
            answer = http.get(f"/npm/{name}", headers=headers)
            assert answer.headers["vary"] == "Accept, Accept-Encoding"
            assert answer.headers["cache-control"] == "no-cache"
            assert int(answer.headers["content-length"]) > 0
            etags.add(answer.headers["etag"])
            bodies.add(answer.content)
            again = http.get(f"/npm/{name}", headers={**headers, "if-none-match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert http.head(f"/npm/{name}", headers=headers).headers["etag"] == answer.headers["etag"]
    assert (len(etags), len(bodies)) == (6, 2)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        (f"{ABBREVIATED}; q=1.0, application/json; q=0.8, */*", ABBREVIATED),
        (ABBREVIATED, ABBREVIATED),
    ],
)
def test_which_form(http: httpx.Client, name: str, accept: str | None, media_type: str) -> None:
    publish(http, Built(name))
    headers = {} if accept is None else {"accept": accept}
    assert http.get(f"/npm/{name}", headers=headers).headers["content-type"] == media_type


def test_the_same_publication_again_is_no_error(http: httpx.Client, name: str) -> None:
    for _ in range(3):
        assert publish(http, Built(name)).status_code == 201
    assert list(packument(http, name)["versions"]) == ["1.0.0"]


def test_other_bytes_are_a_conflict(http: httpx.Client, name: str) -> None:
    assert publish(http, Built(name)).status_code == 201
    answer = publish(http, Built(name, files={"other.js": b"2"}))
    assert answer.status_code == 409
    assert "previously published" in answer.json()["error"]
    assert http.get(f"/npm/{name}/-/{name}-1.0.0.tgz").content == Built(name).body


def test_tags_of_publications(http: httpx.Client, name: str) -> None:
    publish(http, Built(name, "1.0.0-rc.1"), "beta")
    assert packument(http, name)["dist-tags"] == {"beta": "1.0.0-rc.1", "latest": "1.0.0-rc.1"}
    publish(http, Built(name, "1.0.0"))
    publish(http, Built(name, "2.0.0-rc.1"), "beta")
    assert packument(http, name)["dist-tags"] == {"beta": "2.0.0-rc.1", "latest": "1.0.0"}
    assert http.get(f"/npm/{name}/beta").json()["version"] == "2.0.0-rc.1"
    assert http.get(f"/npm/{name}/1.0.0").json()["version"] == "1.0.0"
    for within in ("^1", "%5E1", "1.x", ">=1%20<3", "*"):
        assert http.get(f"/npm/{name}/{within}").json()["version"] == "1.0.0", within
    for absent in ("^2", "3", "unknown"):
        assert http.get(f"/npm/{name}/{absent}").status_code == 404, absent


def test_parallel_publications_are_all_there(http: httpx.Client, name: str) -> None:
    builds = [Built(name, f"1.0.{patch}") for patch in range(20)]
    with ThreadPoolExecutor(20) as pool:
        assert {one.status_code for one in pool.map(lambda one: publish(http, one), builds)} == {201}
    assert set(packument(http, name)["versions"]) == {one.version for one in builds}
    others = [Built(name, "2.0.0", files={"x": bytes([number])}) for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        statuses = [one.status_code for one in pool.map(lambda one: publish(http, one), others)]
    assert sorted(statuses) == [201] + [409] * 9


def broken(built: Built) -> dict[str, dict[str, Any]]:
    """Publications that are wrong in one thing each."""
    good, name = built.publication(), built.name
    key = f"{name}-1.0.0.tgz"
    attachment = good["_attachments"][key]
    manifest = good["versions"]["1.0.0"]

    def with_manifest(**changes: Any) -> dict[str, Any]:
        return {"versions": {"1.0.0": {**manifest, **changes}}}

    def with_dist(**changes: Any) -> dict[str, Any]:
        return with_manifest(dist={**manifest["dist"], **changes})

    return {
        "another name": {"name": "other"},
        "another id": {"_id": "other"},
        "no versions": {"versions": {}},
        "two versions": {"versions": {"1.0.0": manifest, "1.0.1": manifest}},
        "a bad version": {"versions": {"1.0": manifest}},
        "build metadata": {"versions": {"1.0.0+b": {**manifest, "version": "1.0.0+b"}}},
        "another name in the manifest": with_manifest(name="other"),
        "another version in the manifest": with_manifest(version="1.0.1"),
        "private": with_manifest(private=True),
        "dependencies that are a list": with_manifest(dependencies=["a"]),
        "a manifest that is a text": {"versions": {"1.0.0": "x"}},
        "another sha512": with_dist(integrity="sha512-" + "A" * 86 + "=="),
        "no integrity at all": with_dist(integrity="md4-x"),
        "another sha1": with_dist(shasum="0" * 40),
        "another length": {"_attachments": {key: {**attachment, "length": 1}}},
        "no base64": {"_attachments": {key: {**attachment, "data": "!!!!"}}},
        "another file name": {"_attachments": {"../../x.tgz": attachment}},
        "two tarballs": {"_attachments": {key: attachment, "x.tgz": attachment}},
        "no tarball": {"_attachments": {}},
        "a tag that is a range": {"dist-tags": {"1.x": "1.0.0"}},
        "a tag for something else": {"dist-tags": {"latest": "9.0.0"}},
    }


def test_what_is_wrong_is_refused_and_leaves_nothing(http: httpx.Client, name: str) -> None:
    built = Built(name)
    for what, changes in broken(built).items():
        if what == "no tarball":
            continue  # that is a change of a package which is not there: see below
        answer = publish(http, built, **changes)
        assert (answer.status_code, what) == (400, what), answer.text
        assert answer.json()["error"]
        assert http.get(f"/npm/{name}").status_code in (403, 404), what
    assert publish(http, built, _attachments={}).status_code in (403, 404)


@pytest.mark.parametrize(
    "bad", ["__proto__", "constructor", "node_modules", "Upper", ".hidden", "x" * 215, "@Corp/x"]
)
def test_names_that_nobody_may_publish(http: httpx.Client, bad: str) -> None:
    assert publish(http, Built(bad)).status_code in (400, 404)


def test_tarballs_are_looked_into(http: httpx.Client, name: str) -> None:
    good = Built(name)
    for inside in ({"name": "other", "version": "1.0.0"}, {"name": name, "version": "2.0.0"}, {}):
        assert publish(http, Built(name, inside=inside)).status_code == 400
    for raw in (b"", b"not gzip", gzip.compress(b"not tar"), good.body[:-9]):
        built = Built(name)
        vars(built)["body"] = raw
        assert publish(http, built).status_code == 400
    assert http.get(f"/npm/{name}/-/{name}-1.0.0.tgz").status_code in (403, 404)


def test_provenance_is_kept(http: httpx.Client, name: str) -> None:
    built = Built(name)
    document = built.publication()
    bundle = {"mediaType": "application/vnd.dev.sigstore.bundle+json", "x": 1}
    document["_attachments"][f"{name}-1.0.0.sigstore"] = {"data": json.dumps(bundle), "length": 1}
    assert http.put(f"/npm/{name}", json=document).status_code == 201
    found = http.get(f"/npm/-/npm/v1/attestations/{name}@1.0.0").json()
    assert found["attestations"][0]["bundle"] == bundle
    assert http.get(f"/npm/-/npm/v1/attestations/{name}@2.0.0").status_code == 404


def test_paths_lead_nowhere_else(http: httpx.Client) -> None:
    for path in (
        "..%2f..%2fetc%2fpasswd",
        "@s%2f..%2fx",
        "foo/-/..%2f..%2fx.tgz",
        "%00",
        "%252e%252e",
        "foo/-/x",
    ):
        assert http.get(f"/npm/{path}").status_code in (400, 404), path
