"""One source for each name: mirrors of it, parts that are joined, and what happens to a name over time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.formats.pypi.wire import JSON
from tests.support.oci import Repository, digest
from tests.support.server import Server, running
from tests.trust.shown import Project
from tests.trust.sites import Fault, Site, registry, sites

pytestmark = pytest.mark.slow

FAILED = {502, 503, 504}

CONFIG = """
[proxy]
retries = 0
absent_ttl = 0
[circuit_breaker]
enabled = false
[pypi]
metadata_ttl = 0
upstreams = []
[docker]
metadata_ttl = 0
upstreams = []
[repositories.plain]
format = "pypi"
kind = "proxy"
upstreams = ["{left}/simple", "{right}/simple"]
[repositories.mirrored]
format = "pypi"
kind = "proxy"
upstreams = [{{ url = "{left}/simple", mirrors = ["{spare}/simple"] }}, "{right}/simple"]
[repositories.joined]
format = "pypi"
kind = "proxy"
upstreams = ["{left}/simple", {{ url = "{right}/simple", merge = ["joined-*"] }}]
[repositories.forbidding]
format = "pypi"
kind = "proxy"
upstreams = [{{ url = "{left}/simple", absent = [403, 404, 410] }}, "{right}/simple"]
[repositories.left-index]
format = "pypi"
kind = "proxy"
upstreams = ["{left}/simple"]
[repositories.right-index]
format = "pypi"
kind = "proxy"
upstreams = ["{right}/simple"]
[repositories.indexes]
format = "pypi"
kind = "group"
members = ["left-index", "right-index"]
[repositories.images]
format = "docker"
kind = "proxy"
upstreams = ["{left}", "{right}"]
[repositories.mirrored-images]
format = "docker"
kind = "proxy"
upstreams = [{{ url = "{left}", mirrors = ["{spare}"] }}, "{right}"]
[repositories.joined-images]
format = "docker"
kind = "proxy"
upstreams = ["{left}", {{ url = "{right}", merge = ["joined/**"] }}]
"""


@dataclass(frozen=True, slots=True)
class Place:
    server: Server
    http: httpx.Client
    left: Site
    right: Site
    spare: Site
    """It has what `left` has."""

    def page(self, repository: str, name: str) -> httpx.Response:
        return self.http.get(f"/r/{repository}/simple/{name}/", headers={"accept": JSON})

    def hashes(self, repository: str, name: str) -> set[str]:
        answer = self.page(repository, name)
        assert answer.status_code == 200, answer.text
        return {one["hashes"]["sha256"] for one in answer.json()["files"]}

    def file(self, repository: str, name: str, shown: Project, version: int = 0) -> httpx.Response:
        return self.http.get(f"/r/{repository}/simple/{name}/{shown.wheels[version].filename}")

    def image(self, repository: str, name: str) -> Repository:
        return Repository(self.http, f"{repository}/{name}")

    def project(self, name: str) -> tuple[Project, Project]:
        """1.0 on both sides, 99.0 on the right."""
        left = self.left.stock_project(name, "1.0")
        self.spare.index.add(*left.wheels)
        return left, self.right.stock_project(name, "1.0", "99.0")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("sources")
    with ExitStack() as stack:
        left, right, spare = stack.enter_context(sites("left", "right", "spare"))
        urls = {site.name: site.up.url for site in (left, right, spare)}
        yield Place(*stack.enter_context(registry(folder, CONFIG.format(**urls))), left, right, spare)


# -- mirrors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["403", "500", "cut"])
def test_a_mirror_takes_over_from_a_source_that_fails(place: Place, outcome: str) -> None:
    name = f"taken-over-{outcome}"
    left, _ = place.project(name)
    place.left.faults[name] = Fault(outcome)  # type: ignore[arg-type]
    assert place.hashes("mirrored", name) == left.hashes
    assert place.file("mirrored", name, left).content == left.wheels[0].body
    assert place.spare.seen(name) != []
    assert place.right.seen(name) == []


def test_a_mirror_serves_the_files_of_a_page_that_the_source_has_sent(place: Place) -> None:
    name = "page-then-mirror"
    left, _ = place.project(name)
    assert place.hashes("mirrored", name) == left.hashes
    place.left.up.stop()
    try:
        assert place.file("mirrored", name, left).content == left.wheels[0].body
        assert place.right.seen(name) == []
    finally:
        place.left.up.start()


def test_no_other_source_takes_over_when_all_mirrors_fail(place: Place) -> None:
    name = "all-mirrors-fail"
    place.project(name)
    place.left.faults[name] = place.spare.faults[name] = Fault("500")
    answer = place.page("mirrored", name)
    assert answer.status_code in FAILED
    assert place.left.host in answer.text or place.spare.host in answer.text
    assert place.right.seen(name) == []


def test_a_mirror_has_the_images_of_its_source(place: Place) -> None:
    name = "team/mirrored"
    left, right = place.left.stock_image(name), place.right.stock_image(name)
    for kind, value in place.left.registry.manifests[name].items():
        place.spare.registry.manifests.setdefault(name, {})[kind] = value
    place.spare.registry.blobs |= place.left.registry.blobs
    place.left.up.stop()
    try:
        image = place.image("mirrored-images", name)
        assert digest(image.get_manifest("latest").content) == left.digest != right.digest
        assert digest(image.get_blob(left.layer).content) == left.layer
        assert place.right.seen(name) == []
    finally:
        place.left.up.start()


# -- merge -----------------------------------------------------------------------------------------------


def test_files_of_sources_that_are_trusted_alike_are_joined(place: Place) -> None:
    left, right = place.project("joined-all")
    later = right.wheels[1]
    assert place.hashes("joined", "joined-all") == {left.wheels[0].sha256, later.sha256}
    assert place.file("joined", "joined-all", left).content == left.wheels[0].body
    assert place.file("joined", "joined-all", right, 1).content == later.body
    found = place.http.get("/r/joined/pypi/joined-all/json")
    assert found.status_code == 200
    assert set(found.json()["releases"]) == {"1.0", "99.0"}


@pytest.mark.parametrize("down", ["left", "right"])
def test_a_source_that_is_down_takes_no_version_away_that_was_seen(place: Place, down: str) -> None:
    name = f"joined-seen-{down}"
    left, right = place.project(name)
    both = place.hashes("joined", name)
    assert both == {left.wheels[0].sha256, right.wheels[1].sha256}
    getattr(place, down).faults[name] = Fault("500")
    assert place.hashes("joined", name) == both


def test_a_joined_document_of_which_a_part_was_never_seen_is_not_offered(place: Place) -> None:
    for down in (place.left, place.right):
        name = f"joined-unseen-{down.name}"
        place.project(name)
        down.faults[name] = Fault("500")
        answer = place.page("joined", name)
        assert answer.status_code in FAILED, down.name
        assert down.host in answer.text


def test_a_part_that_is_absent_is_no_failure(place: Place) -> None:
    for without in (place.left, place.right):
        name = f"joined-half-{without.name}"
        left, right = place.project(name)
        without.faults[name] = Fault("absent")
        assert place.hashes("joined", name) == (right if without is place.left else left).hashes


def test_only_the_names_that_merge_says_are_joined(place: Place) -> None:
    left, _ = place.project("not-joined")
    assert place.hashes("joined", "not-joined") == left.hashes
    assert place.right.seen("not-joined") == []


def test_tags_of_sources_that_are_trusted_alike_are_joined(place: Place) -> None:
    name = "joined/app"
    left, right = place.left.stock_image(name), place.right.stock_image(name)
    image = place.image("joined-images", name)
    assert digest(image.get_manifest("latest").content) == left.digest
    assert digest(image.get_manifest("only-right").content) == right.digest
    tags = ["latest", "only-left", "only-right", "warm"]
    assert image.tags() == tags
    place.right.faults[name] = Fault("500")
    assert image.tags() == tags
    assert digest(image.get_manifest("only-right").content) == right.digest, "as it was seen"


# -- over time -------------------------------------------------------------------------------------------


def test_a_name_that_an_earlier_source_has_gained_stays_there(place: Place) -> None:
    name = "gained"
    left, right = place.project(name)
    place.left.faults[name] = Fault("absent")
    assert place.hashes("plain", name) == right.hashes
    del place.left.faults[name]
    assert place.hashes("plain", name) == left.hashes
    assert place.file("plain", name, right, 1).status_code == 404, "page and bytes are of one source"
    before = len(place.right.seen(name))
    place.left.faults[name] = Fault("absent")
    assert place.page("plain", name).status_code == 404
    assert len(place.right.seen(name)) == before


def test_nothing_of_an_image_stays_from_the_source_that_it_had_before(place: Place) -> None:
    name = "team/moved"
    left, right = place.left.stock_image(name), place.right.stock_image(name)
    place.left.faults[name] = Fault("absent")
    image = place.image("images", name)
    assert digest(image.get_manifest("latest").content) == right.digest
    assert image.get_blob(right.layer).status_code == 200
    del place.left.faults[name]
    assert digest(image.get_manifest("latest").content) == left.digest
    place.right.up.log.clear()
    for reference in (right.digest, "only-right"):
        assert image.get_manifest(reference).status_code == 404
    assert image.get_blob(right.layer).status_code == 404
    assert image.tags() == ["latest", "only-left", "warm"]
    assert place.right.seen(name) == []


def test_a_source_that_says_forbidden_for_what_it_has_not_is_believed_where_that_is_configured(
    place: Place,
) -> None:
    name = "forbidden"
    _, right = place.project(name)
    place.left.faults[name] = Fault("403")
    assert place.page("plain", name).status_code in FAILED
    assert place.right.seen(name) == []
    assert place.hashes("forbidding", name) == right.hashes


def test_a_group_of_proxies_alone_has_one_source_for_each_name(place: Place) -> None:
    left, _ = place.project("grouped")
    assert place.hashes("indexes", "grouped") == left.hashes
    assert place.right.seen("grouped") == []


@pytest.mark.parametrize("is_known", [False, True])
def test_a_tag_that_the_source_of_an_image_lacks_is_absent(place: Place, is_known: bool) -> None:
    """Whoever can push a later tag to a public registry must not get it pulled (dependency confusion)."""
    name = f"team/confused-{is_known}".lower()
    left, _ = place.left.stock_image(name), place.right.stock_image(name)
    planted = place.right.registry.image(name, "v99", seed="planted")
    image = place.image("images", name)
    if is_known:
        assert digest(image.get_manifest("latest").content) == left.digest
    for reference in ("v99", planted.digest):
        assert image.head_manifest(reference).status_code == 404, reference
        assert image.get_manifest(reference).status_code == 404, reference
    assert place.right.seen(name) == []


def test_a_registry_that_hides_what_it_has_not_hands_no_name_on(place: Place) -> None:
    """401 to a valid token: there may be no such image, or one that is not for us."""
    name = "team/hidden"
    place.right.stock_image(name)
    place.left.registry.tokens = place.left.registry.hides = True
    try:
        answer = place.image("images", name).get_manifest("latest")
        assert answer.status_code in {404, *FAILED}
        assert place.right.seen(name) == []
    finally:
        place.left.registry.tokens = place.left.registry.hides = False


def test_a_blob_is_read_through_the_name_that_refers_to_it_only(place: Place) -> None:
    left = place.left.stock_image("team/owner")
    place.left.stock_image("team/stranger")
    place.image("images", "team/owner").get_manifest("latest")
    stranger = place.image("images", "team/stranger")
    assert stranger.get_manifest("latest").status_code == 200
    assert stranger.get_blob(left.layer).status_code == 404
    assert [one for one in place.left.seen("team/stranger") if "/blobs/" in one.path] == []
    assert place.right.seen("team/stranger") == []


def test_the_log_says_once_that_a_name_is_another_sources_with_the_setting_that_changes_it(
    place: Place,
) -> None:
    name = "told-once"
    left, right = place.project(name)
    for _ in range(8):
        assert place.hashes("plain", name) == left.hashes
        place.file("plain", name, right, 1)
    lines = [line for line in place.server.log.read_text().splitlines() if name in line and "merge" in line]
    assert 1 <= len(lines) <= place.server.workers


# -- a server of its own ---------------------------------------------------------------------------------

OWN = """
[proxy]
retries = 0
absent_ttl = 0
mode = "{mode}"
[circuit_breaker]
enabled = false
[pypi]
metadata_ttl = 0
upstreams = [{upstreams}]
"""


def test_what_is_known_of_a_name_outlives_a_restart(tmp_path: Path) -> None:
    with sites("left", "right") as (left, right), ExitStack() as stack:
        config = tmp_path / "config.toml"

        def write(*chain: Site, mode: str = "online") -> None:
            config.write_text(
                OWN.format(mode=mode, upstreams=", ".join(f'"{one.up.url}/simple"' for one in chain))
            )

        write(left, right)
        server = stack.enter_context(
            running(tmp_path, env={"NORA_CONFIG_PATH": str(config), "NORA_PROXY_MODE": ""})
        )
        http = stack.enter_context(httpx.Client(base_url=server.url, timeout=30, trust_env=False))
        shown = right.stock_project("kept", "1.0")
        page, file = "/simple/kept/", f"/simple/kept/{shown.wheels[0].filename}"
        assert http.get(page).status_code == 200

        left.up.stop()
        server.restart()
        assert http.get(file).content == shown.wheels[0].body, "the first is known to be without it"
        left.up.start()

        with sites("new") as (new,):
            write(new, left, right)
            new.faults["kept"] = Fault("500")
            server.restart()
            answer = http.get(page)
            assert answer.status_code in FAILED, "it may have it: nobody knows"
            assert new.host in answer.text
            new.faults["kept"] = Fault("absent")
            assert http.get(page).status_code == 200

        write(left, right, mode="offline")
        server.restart()
        left.up.log.clear()
        right.up.log.clear()
        assert http.get(page).status_code == 200
        assert http.get(file).content == shown.wheels[0].body
        assert http.get("/simple/never-seen/").status_code == 404
        assert left.up.log.requests == right.up.log.requests == []
