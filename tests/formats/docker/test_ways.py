"""Which upstream's answer counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from nora.catalog.records import Blob, Cached
from nora.config import Upstream
from nora.errors import PackageNotFound, UpstreamFailed, UpstreamRefused, UpstreamTimeout, UpstreamUnavailable
from nora.formats.docker.names import Image
from nora.formats.docker.upstream import Origin
from nora.formats.docker.upstream_auth import RegistryAuthorization
from nora.formats.docker.ways import Ways, first_found
from nora.model import Digest, Repository
from nora.proxy.routing import Members
from tests.formats.docker.test_upstream import DIGEST, Registry, no_token

CACHED = Cached(1, "a", "a", "a/b", Blob(1, Digest(DIGEST), 0, 0), "https://a", {}, b"{}", 0.0, 0.0)
DOWN, SLOW, HIDDEN = UpstreamUnavailable("down"), UpstreamTimeout("slow"), UpstreamRefused("hidden")

Answers = Mapping[str, str | UpstreamFailed | None]


def ask(answers: Answers, cached: Cached | None = None, *, known: bool = True) -> str | None:
    """What comes of the answers of upstreams, by name and in order; `known`: they know who is asking."""

    async def main() -> str | None:
        origins = []
        for name in answers:
            setting = Upstream(f"https://{name}.example.com")
            authorization = RegistryAuthorization(setting, no_token)
            if known:
                url = f"{setting.url}/v2/a/manifests/1"
                await authorization.challenged("GET", url, ['Bearer realm="https://auth.example.com/"'])
            origins.append(Origin(Registry(setting.url), name, authorization))

        async def one(origin: Origin) -> str | None:
            answer = answers[origin.name]
            if isinstance(answer, UpstreamFailed):
                raise answer
            return answer

        return await first_found(origins, cached, one)

    return asyncio.run(main())


def test_the_first_that_has_it() -> None:
    assert ask({"one": None, "two": "2", "three": "3"}) == "2"
    assert ask({"one": None, "two": None}) is None
    assert ask({}) is None


def test_a_failure_is_no_absence() -> None:
    assert ask({"one": DOWN, "two": "2"}) == "2"
    with pytest.raises(UpstreamUnavailable):
        ask({"one": DOWN, "two": None, "three": SLOW})


def test_another_upstream_does_not_stand_in_for_the_one_that_it_came_from() -> None:
    with pytest.raises(UpstreamUnavailable):
        ask({"one": DOWN, "two": "2"}, CACHED)


def test_what_is_hidden() -> None:
    assert ask({"one": HIDDEN}) is None
    assert ask({"one": HIDDEN, "two": "2"}) == "2"
    assert ask({"one": HIDDEN, "two": "2"}, CACHED) == "2"
    with pytest.raises(UpstreamRefused):
        ask({"one": HIDDEN, "two": None}, CACHED)
    with pytest.raises(UpstreamRefused):
        ask({"one": HIDDEN, "two": None}, known=False)


def services(upstreams: Mapping[str, Upstream], members: Any = None) -> Any:
    """As much of them as ways need: the upstream of each proxy repository, and who has a name."""
    return SimpleNamespace(
        catalog=None,
        settings=lambda kind: kind(),
        routing=SimpleNamespace(members=members),
        upstreams=SimpleNamespace(
            of=lambda repository, authorize: (Registry(upstreams[repository.name].url),),
            outbound=SimpleNamespace(get=no_token),
        ),
        config=SimpleNamespace(
            upstreams_of=lambda name: (upstreams[name],),
            timeouts_of=lambda name: SimpleNamespace(total=1),
            proxy=SimpleNamespace(allow_private=()),
        ),
    )


@pytest.mark.parametrize(
    "package", ["app", "library/app", "docker.io/app", "registry-1.docker.io/library/app"]
)
def test_all_names_of_an_image_of_docker_hub_are_looked_at(package: str) -> None:
    """`app` is ours: it is asked for under no name that means it there."""
    proxy = Repository(1, "hub", "docker", "proxy", (), None)
    looked_at: list[str] = []

    async def members(repository: Repository, *names: str) -> Members:
        looked_at.extend(names)
        return Members((), (), internal=True)

    ways = Ways(services({"hub": Upstream("https://registry-1.docker.io")}, members), [proxy])
    assert asyncio.run(ways.find(Image(package, proxy, package))) == []
    assert {package, "app", "library/app"} <= set(looked_at)


def test_a_registry_whose_names_are_those_of_another_in_the_group_is_not_mirrored() -> None:
    one, two = (Repository(number, f"p{number}", "docker", "proxy", (), None) for number in (1, 2))
    group = Repository(3, "all", "docker", "group", (one, two), None)
    upstreams = {
        "p1": Upstream("https://one.example.com", prefix="corp"),
        "p2": Upstream("https://two.example.com", prefix="corp"),
    }
    ways = Ways(services(upstreams), [group])
    image = Image("all/app", group, "app")
    assert asyncio.run(ways.namespaced(image, "one.example.com")).asked == "corp/app"
    with pytest.raises(PackageNotFound):
        asyncio.run(ways.namespaced(image, "two.example.com"))
