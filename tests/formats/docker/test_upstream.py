"""What images are called at upstreams, and which upstream is asked for which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.config import Upstream
from nora.errors import UpstreamFailed, UpstreamRefused
from nora.formats.docker.upstream import DeniedAsNotFound, Descriptor, Origin, Remote, Remotes
from nora.formats.docker.upstream_auth import RegistryAuthorization
from nora.model import Digest
from nora.outbound import Headers, Method, Reply, Stream, Terms

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
        self, method: Method, url: str, headers: Headers | None = None, *, max_bytes: int
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


def remotes(*settings: Upstream, prefixed_only: bool = False) -> Remotes:
    made = (Remote.of(one, Registry(one.url), RegistryAuthorization(one, no_token)) for one in settings)
    return Remotes(made, prefixed_only=prefixed_only)


def urls(found: Remotes, package: str) -> list[str]:
    return [origin.url("manifests", "1") for origin in found.origins(package)[0]]


def test_official_images_are_in_library() -> None:
    assert urls(remotes(HUB), "alpine") == ["https://registry-1.docker.io/v2/library/alpine/manifests/1"]
    assert urls(remotes(HUB), "team/app") == ["https://registry-1.docker.io/v2/team/app/manifests/1"]
    assert urls(remotes(OTHER), "alpine") == ["https://other.example.com:5000/v2/alpine/manifests/1"]


def test_upstreams_are_asked_in_order() -> None:
    assert urls(remotes(OTHER, HUB), "a/b") == [
        "https://other.example.com:5000/v2/a/b/manifests/1",
        "https://registry-1.docker.io/v2/a/b/manifests/1",
    ]


def test_a_prefix_is_for_one_upstream_only() -> None:
    found = remotes(HUB, CORP)
    assert urls(found, "corp/team/app") == ["https://registry.example.com/some/v2/team/app/manifests/1"]
    assert found.origins("corp/team/app")[1]
    assert urls(found, "corporate/app") == ["https://registry-1.docker.io/v2/corporate/app/manifests/1"]
    assert not found.origins("corporate/app")[1]
    assert urls(remotes(CORP), "team/app") == []


def test_a_host_in_front_of_a_name_is_a_prefix_too() -> None:
    found = remotes(HUB, OTHER)
    assert urls(found, "other.example.com/a/b") == ["https://other.example.com:5000/v2/a/b/manifests/1"]
    assert urls(found, "docker.io/alpine") == ["https://registry-1.docker.io/v2/library/alpine/manifests/1"]
    assert urls(found, "unknown.example.com/a")[0].endswith("/v2/unknown.example.com/a/manifests/1")


@pytest.mark.parametrize(
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
    found = remotes(HUB, CORP, OTHER)
    names = found.names(namespace, "library/alpine")
    assert (names and names[0]) == package


@pytest.mark.parametrize(
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
    names = found.names(namespace, "a/b")
    assert names is not None
    assert urls(found, names[1]) == [url]
    assert found.origins(names[1])[1]


def test_a_namespace_whose_names_are_those_of_another_upstream() -> None:
    """What is kept under a name is of one upstream."""
    found = remotes(Upstream("https://ghcr.io"), Upstream("https://cache.corp", prefix="ghcr.io"))
    assert found.names("ghcr.io", "a/b") == ("ghcr.io/a/b", "ghcr.io/a/b")
    assert urls(found, "ghcr.io/a/b") == ["https://cache.corp/v2/a/b/manifests/1"]
    found = remotes(Upstream("http://registry-5000"), Upstream("http://registry:5000"))
    assert found.names("registry:5000", "a/b") is None
    assert found.names("registry", "a/b") == ("registry/a/b", "registry/a/b")


def test_names_that_are_always_of_the_same_image() -> None:
    assert remotes(HUB, CORP).are_same("alpine", "docker.io/alpine")
    assert not remotes(HUB, CORP).are_same("corp/app", "docker.io/corp/app"), "one is asked of the other"
    assert not remotes(HUB, OTHER).are_same("alpine", "docker.io/alpine"), "one is asked of both"


def test_nobody_is_asked_while_offline() -> None:
    found = Remotes([Remote.of(HUB, None, RegistryAuthorization(HUB, no_token))])
    assert found.origins("alpine") == ([], False)
    assert found.names("docker.io", "alpine") == ("alpine", "docker.io/alpine")
    assert found.origins("docker.io/alpine") == ([], True)


SIZES = st.integers(0, 2**30)


@given(st.sampled_from(["a/b", "application/vnd.oci.image.index.v1+json"]), SIZES)
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


def test_what_an_upstream_hides_is_absent_when_it_knows_who_asks() -> None:
    async def main() -> None:
        authorization = RegistryAuthorization(HUB, no_token)
        upstream = Registry(HUB.url, UpstreamRefused("401"))
        discreet = DeniedAsNotFound(Origin(upstream, "a/b", authorization))
        url = f"{HUB.url}/v2/a/b/blobs/{DIGEST}"
        with pytest.raises(UpstreamRefused):
            await discreet.ask("GET", url, max_bytes=1)
        with pytest.raises(UpstreamRefused):
            async with discreet.stream(url, max_bytes=1):
                pass
        await authorization.challenged("GET", url, ['Bearer realm="https://auth.docker.io/token"'])
        assert await discreet.ask("GET", url, max_bytes=1) is None
        async with discreet.stream(url, max_bytes=1) as answer:
            assert answer is None
        upstream.error = UpstreamFailed("broken")
        with pytest.raises(UpstreamFailed):
            await discreet.ask("GET", url, max_bytes=1)
        with pytest.raises(UpstreamFailed):
            async with discreet.stream(url, max_bytes=1):
                pass

    asyncio.run(main())


def test_denied_by_default_only_prefixes_are_let_in() -> None:
    found = remotes(HUB, CORP, prefixed_only=True)
    assert urls(found, "corp/app") == urls(remotes(HUB, CORP), "corp/app") != []
    for name in ("alpine", "library/alpine", "docker.io/library/alpine"):
        assert urls(found, name) == []
    assert found.names("docker.io", "library/alpine") is None
