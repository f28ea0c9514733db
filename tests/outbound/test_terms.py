"""How far a request may reach."""

from __future__ import annotations

from nora.addresses import Reach
from nora.outbound import Terms, host_of
from tests.support.tables import each


@each(
    ("url", "reach"),
    [
        ("https://index.example.com/simple", Reach.ANYWHERE),  # given
        ("https://index.example.com:8443/simple", Reach.PUBLIC),
        ("http://index.example.com/simple", Reach.PUBLIC),
        ("https://files.example.com/a", Reach.ANYWHERE),
        ("https://FILES.example.com./a", Reach.ANYWHERE),
        ("http://files.example.com:8080/a", Reach.ANYWHERE),
        ("https://cdn.mirror.example.com/a", Reach.ANYWHERE),
        ("https://mirror.example.com/a", Reach.PUBLIC),
        ("https://files.example.com.example.net/a", Reach.PUBLIC),
        ("https://user@evil.example.net/files.example.com", Reach.PUBLIC),
        ("http://[fd00::1]/a", Reach.ANYWHERE),
        ("http://10.0.0.1/a", Reach.PUBLIC),
    ],
)
def test_what_must_be_in_the_public_network(url: str, reach: Reach) -> None:
    terms = Terms(
        max_bytes=1,
        given=frozenset({"https://index.example.com:443"}),
        private=("files.example.com", "*.mirror.example.com", "fd00::1"),
    )
    assert terms.reach(url) is reach


def test_whom_was_asked_is_named_without_what_could_be_secret() -> None:
    for url, named in (
        ("https://me:secret@example.com/simple?token=x", "example.com"),
        ("https://example.com:443", "example.com"),
        ("http://example.com:8081/npm", "example.com:8081"),
        ("http://[::1]:8081/", "[::1]:8081"),
        ("https://example.com:99999/", "the upstream"),
        ("nonsense", "the upstream"),
    ):
        assert host_of(url) == named, url


def test_anything_may_be_private_where_all_is_trusted() -> None:
    assert Terms(max_bytes=1, private=("*",)).reach("http://10.0.0.1/") is Reach.ANYWHERE
    assert Terms(max_bytes=1).reach("http://10.0.0.1/") is Reach.PUBLIC


def test_what_was_named_in_a_private_network_may_be_in_one() -> None:
    assert Terms(max_bytes=1, inside=True).reach("http://files.example.com/") is Reach.PRIVATE
