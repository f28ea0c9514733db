"""What images are called at upstreams, and which upstream is asked for which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.catalog.blocks import NOTHING, Block, BlockSet
from nora.config import Upstream
from nora.errors import Blocked, PackageNotFound, UpstreamFailed, UpstreamRefused
from nora.formats.docker.documents import OCI_INDEX, OCI_MANIFEST
from nora.formats.docker.names import Image
from nora.formats.docker.upstream import Descriptor, Origin, Remote, Remotes
from nora.formats.docker.upstream_auth import RegistryAuthorization
from nora.model import Digest, Repository
from nora.outbound import Headers, Method, Reply, Stream, Terms
from nora.resolve import Candidate, Resolution, Source
from tests.support.tables import each

DIGEST = "sha256:" + "0" * 64
HUB = Upstream("https://registry-1.docker.io")
CORP = Upstream("https://registry.example.com/some", prefix="corp", namespace="registry.corp")
OTHER = Upstream("https://other.example.com:5000")


class Registry:
    """An upstream that answers with `error`."""

    def __init__(self, url: str, error: UpstreamFailed | None = None) -> None:
        self.url = url
        self.error = error

    async def ask(
        self, method: Method, url: str, headers: Headers | None = None, *, max_bytes: int, body: bytes = b""
    ) -> Reply | None:
        if self.error is not None:
            raise self.error
        return Reply(200, {}, b"", url)

    @asynccontextmanager
    async def stream(
        self, url: str, headers: Headers | None = None, *, max_bytes: int
    ) -> AsyncIterator[Stream | None]:
        if self.error is not None:
            raise self.error
        yield None


async def no_token(url: str, terms: Terms, headers: Headers) -> Reply:
    return Reply(200, {}, b'{"token": "t"}', url)


def image(package: str, asked: str = "") -> Image:
    return Image(package, ALL, package, asked)


ALL = Repository(100, "all", "docker", "proxy")


def remotes(
    *settings: Upstream,
    looked_at: list[str] | None = None,
    online: bool = True,
    denies: bool = False,
    blocked: BlockSet = NOTHING,
) -> Remotes:
    """The upstreams of a repository, behind a resolver that takes every name for nobody's here."""
    sources = tuple(
        Source(Repository(number, f"all {one.url}", "docker", "proxy"), "all", one, str, (), ())
        for number, one in enumerate(settings, 1)
    )

    async def resolve(
        repository: Repository, name: str, spelled: Mapping[int, str], also: Iterable[str] = ()
    ) -> Resolution:
        if looked_at is not None:
            looked_at.extend([name, *spelled.values(), *also])
        asked = [one for one in sources if one.id in spelled]
        return Resolution(
            name,
            tuple(Candidate(one, spelled[one.id], False, False, one is asked[-1]) for one in asked),
            ours=False,
        )

    async def find_hosted(repository: Repository, look: object) -> None:
        return None

    resolver = SimpleNamespace(
        resolve=resolve,
        has_sources=lambda _: True,
        sources_of=lambda _: sources,
        find_hosted=find_hosted,
        sources=SimpleNamespace(is_online=lambda _: online),
    )

    def of(source: Source, authorize: Any) -> Registry:
        authorize(source.setting, SimpleNamespace(get=no_token))
        return Registry(source.setting.url)

    config = SimpleNamespace(
        timeouts_of=lambda _: SimpleNamespace(total=1), proxy=SimpleNamespace(allow_private=())
    )
    services = SimpleNamespace(
        resolver=resolver,
        upstreams=SimpleNamespace(of=of),
        config=config,
        settings=lambda kind: kind(default_action="deny" if denies else "allow"),
        catalog=SimpleNamespace(blocks=lambda: blocked),
    )
    return Remotes(cast("Any", services))


def origins(found: Remotes, package: str, asked: str = "") -> list[Origin]:
    candidates = asyncio.run(found.resolve(image(package, asked))).candidates
    return [found.origin(one) for one in candidates]


def urls(found: Remotes, package: str, asked: str = "") -> list[str]:
    return [origin.url("manifests", "1") for origin in origins(found, package, asked)]


def names(found: Remotes, namespace: str, name: str) -> tuple[str, str] | None:
    """What an image of a namespace is looked up as here, and asked for as."""
    try:
        one = asyncio.run(found.namespaced(image(name), namespace))
    except PackageNotFound:
        return None
    return one.package, one.asked


def test_official_images_are_in_library() -> None:
    assert urls(remotes(HUB), "alpine") == ["https://registry-1.docker.io/v2/library/alpine/manifests/1"]
    assert urls(remotes(HUB), "team/app") == ["https://registry-1.docker.io/v2/team/app/manifests/1"]
    assert urls(remotes(OTHER), "alpine") == ["https://other.example.com:5000/v2/alpine/manifests/1"]


def test_an_image_has_one_name_in_the_rows_of_its_upstream() -> None:
    for spelled in ("alpine", "library/alpine", "docker.io/alpine", "docker.io/library/alpine"):
        assert [one.package for one in origins(remotes(HUB, CORP), spelled)] == ["alpine"]
    assert [one.package for one in origins(remotes(HUB, CORP), "corp/app")] == ["corp/app"]
    assert [one.package for one in origins(remotes(HUB, CORP), "registry.corp/app")] == ["corp/app"]


@pytest.mark.parametrize(
    "package", ["app", "library/app", "docker.io/app", "registry-1.docker.io/library/app"]
)
def test_all_names_of_an_image_of_docker_hub_are_looked_at(package: str) -> None:
    """`app` is ours: it is asked for under no name that means it there."""
    looked_at: list[str] = []
    origins(remotes(HUB, looked_at=looked_at), package)
    assert {package, "app", "library/app"} <= set(looked_at)


@each("blocked", ["alpine", "library/alpine"])
@each("spelled", ["alpine", "library/alpine", "docker.io/alpine"])
def test_an_image_of_docker_hub_is_blocked_by_either_of_its_names(spelled: str, blocked: str) -> None:
    blocks = BlockSet()
    said = Block(name=blocked, format="docker", reason="it bites", by="root", created_at=1.0)
    blocks.add(said, frozenset({1}))
    with pytest.raises(Blocked):
        origins(remotes(HUB, blocked=blocks), spelled)
    assert origins(remotes(HUB, blocked=blocks), "team/alpine")


def test_upstreams_are_asked_in_order() -> None:
    assert urls(remotes(OTHER, HUB), "a/b") == [
        "https://other.example.com:5000/v2/a/b/manifests/1",
        "https://registry-1.docker.io/v2/a/b/manifests/1",
    ]


def test_a_prefix_is_for_one_upstream_only() -> None:
    found = remotes(HUB, CORP)
    assert urls(found, "corp/team/app") == ["https://registry.example.com/some/v2/team/app/manifests/1"]
    assert urls(found, "corporate/app") == ["https://registry-1.docker.io/v2/corporate/app/manifests/1"]
    assert urls(remotes(CORP), "team/app") == []


def test_a_host_in_front_of_a_name_is_a_prefix_too() -> None:
    found = remotes(HUB, OTHER)
    assert urls(found, "other.example.com/a/b") == ["https://other.example.com:5000/v2/a/b/manifests/1"]
    assert urls(found, "docker.io/alpine") == ["https://registry-1.docker.io/v2/library/alpine/manifests/1"]
    assert urls(found, "unknown.example.com/a")[0].endswith("/v2/unknown.example.com/a/manifests/1")


@each(
    ("namespace", "package"),
    [
        ("docker.io", "library/alpine"),
        ("registry-1.docker.io", "library/alpine"),
        ("registry.corp", "corp/library/alpine"),
        ("registry.example.com", "corp/library/alpine"),
        ("other.example.com:5000", "other.example.com-5000/library/alpine"),
        ("other.example.com", "other.example.com/library/alpine"),
        ("other.example.com:443", None),
        ("ghcr.example.com", None),
        ("", None),
    ],
)
def test_namespaces(namespace: str, package: str | None) -> None:
    found = names(remotes(HUB, CORP, OTHER), namespace, "library/alpine")
    assert (found and found[0]) == package


@each(
    ("namespace", "url"),
    [
        ("docker.io", "https://registry-1.docker.io/v2/a/b/manifests/1"),
        ("registry.corp", "https://registry.example.com/some/v2/a/b/manifests/1"),
        ("other.example.com:5000", "https://other.example.com:5000/v2/a/b/manifests/1"),
        ("other.example.com", "https://other.example.com:5000/v2/a/b/manifests/1"),
        ("registry", "http://registry:5000/v2/a/b/manifests/1"),
        ("registry:5000", "http://registry:5000/v2/a/b/manifests/1"),
        ("quay.test:443", "http://inside:5000/v2/a/b/manifests/1"),
    ],
)
def test_only_the_upstream_of_a_namespace_is_asked(namespace: str, url: str) -> None:
    inside = Upstream("http://inside:5000", namespace="quay.test:443")
    found = remotes(HUB, CORP, OTHER, Upstream("http://registry:5000"), inside)
    asked = names(found, namespace, "a/b")
    assert asked is not None
    assert urls(found, *asked) == [url]


def test_a_namespace_whose_names_are_those_of_another_upstream() -> None:
    found = remotes(Upstream("https://ghcr.io"), Upstream("https://cache.corp", prefix="ghcr.io"))
    assert names(found, "ghcr.io", "a/b") == ("ghcr.io/a/b", "ghcr.io/a/b")
    assert urls(found, "ghcr.io/a/b") == ["https://cache.corp/v2/a/b/manifests/1"]
    found = remotes(Upstream("http://registry-5000"), Upstream("http://registry:5000"))
    assert names(found, "registry:5000", "a/b") is None
    assert names(found, "registry", "a/b") == ("registry/a/b", "registry/a/b")


def test_a_registry_whose_names_are_those_of_another_in_the_group_is_not_mirrored() -> None:
    found = remotes(
        Upstream("https://one.example.com", prefix="corp"), Upstream("https://two.example.com", prefix="corp")
    )
    assert names(found, "one.example.com", "app") == ("corp/app", "corp/app")
    assert names(found, "two.example.com", "app") is None


def test_denied_by_default_only_prefixes_are_let_in() -> None:
    found = remotes(HUB, CORP, denies=True)
    assert urls(found, "corp/app") == urls(remotes(HUB, CORP), "corp/app") != []
    for name in ("alpine", "library/alpine", "docker.io/library/alpine"):
        assert urls(found, name) == []
    assert names(found, "docker.io", "library/alpine") is None


def test_nobody_is_asked_while_offline() -> None:
    (origin,) = origins(remotes(HUB, online=False), "alpine")
    assert origin.addresses("blobs", DIGEST, unseen=False) == []


SIZES = st.integers(0, 2**30)


@given(st.sampled_from([OCI_MANIFEST, OCI_INDEX]), SIZES)
def test_a_descriptor_is_kept(media_type: str, size: int) -> None:
    meant = Descriptor(Digest(DIGEST), media_type, min(size, 10**9 - 1))
    assert Descriptor.decode(meant.encode()) == meant
    headers = {
        "docker-content-digest": DIGEST,
        "content-type": f"{media_type.upper()}; charset=utf-8",
        "content-length": str(meant.size),
    }
    assert Descriptor.of(headers) == meant


@given(
    st.dictionaries(st.sampled_from(["docker-content-digest", "content-type", "content-length"]), st.text())
)
def test_headers_that_say_too_little(headers: dict[str, str]) -> None:
    assert Descriptor.of(headers) is None or headers["docker-content-digest"].startswith("sha")


def test_what_an_upstream_denies_is_absent_when_it_knows_who_asks() -> None:
    """And nobody is asked after it, who would be preferred to it by its saying no: but for Docker Hub."""

    async def main() -> None:
        authorization = RegistryAuthorization(OTHER, no_token)
        registry = Registry(OTHER.url, UpstreamRefused("401"))
        source = Source(ALL, "all", OTHER, str, (), ())
        remote = Remote.of(source, registry, authorization)
        unseen = Origin(remote, "a/b", may_hide=True, is_online=True).unseen
        url = f"{OTHER.url}/v2/a/b/blobs/{DIGEST}"
        with pytest.raises(UpstreamRefused):
            await unseen.ask("GET", url, max_bytes=1)
        with pytest.raises(UpstreamRefused):
            async with unseen.stream(url, max_bytes=1):
                pass
        await authorization.challenged("GET", url, ['Bearer realm="https://auth.example.com/token"'])
        assert await unseen.ask("GET", url, max_bytes=1) is None
        async with unseen.stream(url, max_bytes=1) as answer:
            assert answer is None
        with pytest.raises(UpstreamRefused):
            await Origin(remote, "a/b", may_hide=False, is_online=True).unseen.ask("GET", url, max_bytes=1)
        registry.error = UpstreamFailed("broken")
        with pytest.raises(UpstreamFailed):
            await unseen.ask("GET", url, max_bytes=1)
        with pytest.raises(UpstreamFailed):
            async with unseen.stream(url, max_bytes=1):
                pass

    asyncio.run(main())
    assert [one.may_hide for one in origins(remotes(OTHER, CORP), "a/b")] == [True]
    assert [one.may_hide for one in origins(remotes(OTHER, HUB, OTHER), "a/b")] == [False, True, True]
