"""Which representation a client gets."""

from __future__ import annotations

import pytest

from nora.errors import NotAcceptable
from nora.http.negotiation import Offers
from tests.support.tables import each

OFFERS = Offers(
    {"application/x+json": "json", "text/x": "text", "application/x-old": "json"}, otherwise="text"
)
REFUSED = ("image/png", "text/x;q=0", "*/*;q=0", "text/x;q=-1", "text/x;q=nan", "text")


@each(
    ("accept", "expected"),
    [
        *((None, "text"), ("", "text"), ("*/*", "text"), ("application/*", "json"), ("text/*", "text")),
        *(("application/x-old", "json"), ("TEXT/X", "text"), ("image/png, text/x;q=0.001", "text")),
        ("text/x, application/x+json", "json"),  # the order of the offers
        ("application/x+json;q=0.5, text/x", "text"),
        ("*/*, application/x+json;q=0", "text"),
        ("application/*, text/x;q=0.9", "json"),
        ("image/png, " * 100 + "text/x", "text"),
    ],
)
def test_what_is_liked_best_is_chosen(accept: str | None, expected: str) -> None:
    assert OFFERS.choose(accept) == expected
    assert OFFERS.choose(accept) == expected


@each("accept", REFUSED)
def test_what_is_not_there_is_refused_with_what_is(accept: str) -> None:
    with pytest.raises(NotAcceptable) as raised:
        OFFERS.choose(accept)
    assert raised.value.offers == ("application/x+json", "text/x")


def test_a_query_names_a_media_type() -> None:
    assert OFFERS.named("application/x json") == OFFERS.named(" Application/X+JSON") == "json"
    with pytest.raises(NotAcceptable):
        OFFERS.named("*/*")
