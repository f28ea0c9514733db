"""Paths: what they may be, and what they never reach."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.errors import InvalidName
from nora.formats.raw.names import FilePath
from nora.http.media_types import guess_media_type

pytestmark = pytest.mark.anyio


async def test_nothing_leads_out_of_a_repository(http: httpx.AsyncClient) -> None:
    await http.put("/raw/a", content=b"a")
    for path in (
        "/raw/%2e%2e/a",
        "/raw/x/%2e%2e/a",
        "/raw/%2e%2e%2f%2e%2e%2fetc/passwd",
        "/raw/x%2fa",
        "/raw/..%2fa",
        "/raw/%252e%252e/%ff",
        "/raw/a%00b",
        "/raw/a%2500b",
        "/raw/%ff",
        "/raw/x%5ca",
        "/raw/x%0aa",
        "/raw/%zz",
        "/raw/x//a",
        "/raw//a",
        "/raw/x/%2e/a",
        "/raw/" + "x" * 256,
        "/raw/" + "ü" * 128,
        "/raw/" + "/".join(["x" * 200] * 6),
        "/raw/%e2%80%ae",
        "/raw/%c2%85",
    ):
        for method in ("GET", "PUT", "DELETE"):
            answer = await http.request(method, path, content=b"x" if method == "PUT" else None)
            assert answer.status_code in (400, 404), (method, path, answer.status_code)
            if method == "PUT" and "//" not in path:
                assert answer.status_code == 400, path
    assert [one["name"] for one in (await http.get("/raw/?list")).json()["entries"]] == ["a"]


async def test_names_are_as_they_are(http: httpx.AsyncClient) -> None:
    """What some file systems make the same, or do not take, is what it is here."""
    names = [
        "con",
        "A",
        "a",
        "x ",
        " x",
        "x.",
        "...",
        "~",
        "a+b",
        "a%20b",
        "a%2520b",
        "-",
        "@x",
        "x" * 255,
        "%25",
    ]
    for name in names:
        assert (await http.put(f"/raw/names/{name}", content=name.encode())).status_code == 201, name
    for name in names:
        assert (await http.get(f"/raw/names/{name}")).content == name.encode()


async def test_one_name_in_two_forms_of_unicode_is_one_file(http: httpx.AsyncClient) -> None:
    composed, decomposed = "/raw/caf%C3%A9", "/raw/cafe%CC%81"
    assert (await http.put(decomposed, content=b"x")).status_code == 201
    assert (await http.put(composed, content=b"x")).status_code == 200
    assert (await http.get(composed)).content == (await http.get(decomposed)).content == b"x"
    assert len((await http.get("/raw/?list")).json()["entries"]) == 1
    what = {"repository": "raw", "name": "cafe\u0301", "reason": "it bites"}
    assert (await http.post("/api/v1/admin/blocks", json=what)).status_code == 200
    for path in (composed, decomposed):
        assert (await http.get(path)).status_code == 403


@given(st.text(max_size=1100))
def test_a_path_is_a_value_or_refused(text: str) -> None:
    try:
        path = FilePath.of(text)
    except InvalidName:
        return
    assert FilePath.of(path) == path
    assert path.isprintable()
    assert len(path.encode()) <= 1024
    assert guess_media_type(path).isascii()
