"""How far a request may reach."""

from __future__ import annotations

import pytest

from nora.outbound import Terms


@pytest.mark.parametrize(
    ("url", "guarded"),
    [
        ("https://index.example.com/simple", False),  # given
        ("https://index.example.com:8443/simple", True),
        ("http://index.example.com/simple", True),
        ("https://files.example.com/a", False),
        ("https://FILES.example.com./a", False),
        ("http://files.example.com:8080/a", False),
        ("https://cdn.mirror.example.com/a", False),
        ("https://mirror.example.com/a", True),
        ("https://files.example.com.example.net/a", True),
        ("https://user@evil.example.net/files.example.com", True),
        ("http://[fd00::1]/a", False),
        ("http://10.0.0.1/a", True),
    ],
)
def test_what_must_be_in_the_public_network(url: str, guarded: bool) -> None:
    terms = Terms(
        max_bytes=1,
        given=frozenset({"https://index.example.com:443"}),
        private=("files.example.com", "*.mirror.example.com", "fd00::1"),
    )
    assert terms.guards(url) is guarded


def test_anything_may_be_private_where_all_is_trusted() -> None:
    assert not Terms(max_bytes=1, private=("*",)).guards("http://10.0.0.1/")
    assert Terms(max_bytes=1).guards("http://10.0.0.1/")
