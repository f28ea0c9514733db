"""Errors in the words of clients."""

from __future__ import annotations

import pytest
from blacksheep import Request

from nora.errors import NotFound
from nora.formats.pypi.errors import PROBLEM, TEXT, render_error


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ([], TEXT),
        ([b"text/html, */*"], TEXT),
        ([b"text/plain, application/problem+json"], PROBLEM),
        ([b"text/plain", b"application/problem+json"], PROBLEM),
        ([b"text/html", b"application/json"], PROBLEM),
    ],
)
def test_who_lists_json_gets_a_problem_document(accept: list[bytes], media_type: bytes) -> None:
    request = Request("GET", b"/simple/demo/", [(b"accept", one) for one in accept])
    content = render_error(NotFound("there is no demo"), request).content
    assert content is not None
    assert content.type == media_type
