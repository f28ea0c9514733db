"""What could get around the source of a name: spellings, empty answers, prefixes, crowds, and drips."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from tests.formats.pypi.wire import JSON
from tests.support.answers import Answer, document
from tests.support.oci import INDEX, Repository, digest, index
from tests.support.server import Server
from tests.trust.sites import Fault, Site, registry, sites

pytestmark = pytest.mark.slow

FAILED = {502, 503, 504}
CONFIG = """
[proxy]
mode = "online"
retries = 0
absent_ttl = 0
[circuit_breaker]
enabled = false
[pypi]
metadata_ttl = 0
upstreams = [
    {{ url = "{left}/simple", names = ["Corp_*", "shared"] }},
    {{ url = "{spare}/simple", names = ["shared"] }},
    "{right}/simple",
]
[docker]
metadata_ttl = 0
upstreams = [
    {{ url = "{left}", names = ["corp/**"] }},
    "{right}",
    {{ url = "{spare}", prefix = "spare" }},
]
[repositories.images]
format = "docker"
kind = "proxy"
upstreams = ["{left}", "{right}"]
[repositories.plain]
format = "pypi"
kind = "proxy"
upstreams = ["{left}/simple", "{right}/simple"]
[repositories.fresh]
format = "pypi"
kind = "proxy"
upstreams = [{{ url = "{left}/simple", serve_stale = false }}, "{right}/simple"]
"""


@dataclass(frozen=True, slots=True)
class Place:
    server: Server
    http: httpx.Client
    left: Site
    right: Site
    spare: Site

    def hashes(self, page: str) -> set[str]:
        answer = self.http.get(page, headers={"accept": JSON}, follow_redirects=True)
        assert answer.status_code == 200, answer.text
        return {one["hashes"]["sha256"] for one in answer.json()["files"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("bypasses")
    with ExitStack() as stack:
        left, right, spare = stack.enter_context(sites("left", "right", "spare"))
        urls = {site.name: site.up.url for site in (left, right, spare)}
        yield Place(*stack.enter_context(registry(folder, CONFIG.format(**urls))), left, right, spare)


@pytest.mark.parametrize("spelling", ["corp-a", "Corp_A", "CORP.a", "corp--a"])
def test_names_of_a_source_are_read_as_the_format_spells_them(place: Place, spelling: str) -> None:
    left = place.left.stock_project("corp-a", "1.0") if "corp-a" not in place.left.index.projects else None
    place.right.stock_project("corp-a", "99.0")
    found = place.hashes(f"/simple/{spelling}/")
    assert left is None or found == left.hashes
    assert place.right.seen("corp-a") == place.spare.seen("corp-a") == []


def test_a_source_with_names_is_asked_for_no_others(place: Place) -> None:
    place.left.stock_project("public", "1.0")
    right = place.right.stock_project("public", "2.0")
    assert place.hashes("/simple/public/") == right.hashes
    assert place.left.seen("public") == []


def test_a_named_source_that_lacks_a_name_hands_it_to_nobody(place: Place) -> None:
    place.right.stock_project("corp-gone", "1.0")
    assert place.http.get("/simple/corp-gone/").status_code == 404
    place.right.stock_image("corp/gone")
    assert Repository(place.http, "corp/gone").get_manifest("latest").status_code == 404
    assert place.right.seen("corp-gone") == place.right.seen("corp/gone") == []


def test_several_sources_with_a_name_are_asked_in_order(place: Place) -> None:
    spare = place.spare.stock_project("shared", "1.0")
    place.right.stock_project("shared", "99.0")
    place.left.faults["shared"] = Fault("500")
    assert place.http.get("/simple/shared/").status_code in FAILED
    assert place.spare.seen("shared") == []
    del place.left.faults["shared"]
    assert place.hashes("/simple/shared/") == spare.hashes
    assert place.right.seen("shared") == []


def test_an_empty_list_of_referrers_makes_no_source_of_a_registry(place: Place) -> None:
    """The distribution-spec wants that list for whatever digest, whether there is such an image or not."""
    name = "team/referred"
    right = place.right.stock_image(name)
    empty = Answer(body=index([]), headers={"content-type": INDEX}, ranges=False)
    place.left.up.serve(f"/v2/{name}/referrers/{right.digest}", empty)
    image = Repository(place.http, f"images/{name}")
    assert image.referrers(right.digest).status_code == 200
    assert digest(image.get_manifest("latest").content) == right.digest


def test_an_empty_list_of_tags_makes_no_source_of_a_registry(place: Place) -> None:
    name = "team/tagless"
    right = place.right.stock_image(name)
    for tags in ("[]", "null"):
        body = f'{{"name": "{name}", "tags": {tags}}}'.encode()
        place.left.up.serve(f"/v2/{name}/tags/list", document(body, "application/json"))
        image = Repository(place.http, f"images/{name}")
        assert image.tags() == ["latest", "only-right", "warm"]
        assert digest(image.get_manifest("latest").content) == right.digest


def test_a_prefix_names_its_registry_alone(place: Place) -> None:
    spare = place.spare.stock_image("team/prefixed")
    place.right.stock_image("team/prefixed")
    place.right.stock_image("spare/team/prefixed")
    image = Repository(place.http, "spare/team/prefixed")
    assert digest(image.get_manifest("latest").content) == spare.digest
    place.spare.faults["team/prefixed"] = Fault("500")
    assert image.get_manifest("other").status_code in FAILED
    assert place.right.seen("spare/team/prefixed") == place.right.seen("team/prefixed") == []


def test_a_source_that_serves_nothing_stale_fails_alone(place: Place) -> None:
    name = "not-stale"
    left = place.left.stock_project(name, "1.0")
    place.right.stock_project(name, "99.0")
    assert place.hashes(f"/r/fresh/simple/{name}/") == left.hashes
    place.left.faults[name] = Fault("500")
    assert place.http.get(f"/r/fresh/simple/{name}/").status_code in FAILED
    assert place.right.seen(name) == []


def test_no_crowd_gets_a_name_from_another_source_while_its_own_flaps(place: Place) -> None:
    """Failures and answers of the first source in any order, and many clients at once."""
    name = "flapping"
    left = place.left.stock_project(name, "1.0")
    place.right.stock_project(name, "1.0", "99.0")
    flaps = [Answer(status=503), Answer(status=500), Answer(status=401)] * 8
    place.left.up.once(f"/simple/{name}/", *flaps)

    def ask(number: int) -> httpx.Response:
        path = f"/r/plain/pypi/{name}/json" if number % 4 == 3 else f"/r/plain/simple/{name}/"
        return place.http.get(path, headers={"accept": f"{JSON}, application/json"})

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(72)))
    assert {one.status_code for one in answers} <= {200, *FAILED}
    for one in answers:
        assert "99.0" not in one.text
    assert place.right.seen(name) == []
    for _ in flaps:  # those that are left
        place.http.get(f"/r/plain/simple/{name}/")
    assert place.hashes(f"/r/plain/simple/{name}/") == left.hashes
    assert place.right.seen(name) == []


def test_a_page_of_another_name_is_no_page(place: Place) -> None:
    name = "renamed"
    place.right.stock_project(name, "1.0")
    body = {"meta": {"api-version": "1.0"}, "name": "other", "files": []}
    place.left.up.serve(f"/simple/{name}/", document(json.dumps(body).encode(), JSON))
    assert place.http.get(f"/r/plain/simple/{name}/").status_code in FAILED
    assert place.right.seen(name) == []


@pytest.mark.parametrize("status", [301, 302, 303, 304, 400, 402, 405, 406, 408, 418, 429, 451, 501])
def test_only_what_means_absent_hands_a_name_on(place: Place, status: int) -> None:
    name = f"status-{status}"
    place.right.stock_project(name, "1.0")
    place.right.stock_image(f"team/{name}")
    answer = Answer(status=status)
    place.left.up.serve(f"/simple/{name}/", answer)
    for path in ("manifests/latest", "tags/list"):
        place.left.up.serve(f"/v2/team/{name}/{path}", answer)
    assert place.http.get(f"/r/plain/simple/{name}/").status_code in FAILED
    image = Repository(place.http, f"images/team/{name}")
    assert image.get_manifest("latest").status_code in {429, *FAILED}
    assert image.client.get(f"{image.path}/tags/list").status_code in {429, *FAILED}
    assert place.right.seen(name) == place.right.seen(f"team/{name}") == []
