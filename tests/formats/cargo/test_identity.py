"""A job of a CI system changes its identity token for one that publishes, and ends that when it is done."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest

from tests.formats.cargo.wire import API, detail, publication_of
from tests.support.in_process import application
from tests.support.issuer import Issuer
from tests.support.jobs import registry_of_jobs

pytestmark = pytest.mark.anyio
TOKENS = "/cargo/api/v1/trusted_publishing/tokens"


def place(folder: Path) -> AbstractAsyncContextManager[tuple[httpx.AsyncClient, Issuer]]:
    return registry_of_jobs(folder, "acme-*", NORA_CARGO_PROXIES="[]")


async def exchanged(http: httpx.AsyncClient, issuer: Issuer) -> str:
    answer = await http.post(TOKENS, json={"jwt": issuer.token()})
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["token"]
    return text


async def publish(http: httpx.AsyncClient, header: str, name: str, version: str = "1.0.0") -> int:
    body = publication_of(name, version)
    answer = await http.put(f"{API}/new", content=body, headers={"authorization": header})
    return answer.status_code


@pytest.mark.parametrize("base", ["", "/r/cargo"])
async def test_an_identity_token_is_exchanged_once(tmp_path: Path, base: str) -> None:
    async with place(tmp_path) as (http, issuer):
        for method, version in (("PUT", "1.0.0"), ("POST", "2.0.0")):  # as jobs did at first, and do now
            identity = issuer.token()
            answer = await http.request(method, f"{base}{TOKENS}", json={"jwt": identity})
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-store"
            minted = answer.json()["token"]
            assert answer.json() == {"token": minted}
            assert await publish(http, minted, "acme-lib", version) == 200
            assert await publish(http, minted, "other-lib") == 403
            for used in (identity, minted):
                again = await http.request(method, f"{base}{TOKENS}", json={"jwt": used})
                assert again.status_code == 401
                assert detail(again)


async def test_who_asks_for_it_ends_a_token_and_no_other(tmp_path: Path) -> None:
    async with place(tmp_path) as (http, issuer):
        first, second = await exchanged(http, issuer), await exchanged(http, issuer)
        assert first != second
        assert await publish(http, first, "acme-lib") == 200
        gone = await http.delete(TOKENS, headers={"authorization": f"Bearer {first}"})
        assert (gone.status_code, gone.content) == (204, b"")
        assert await publish(http, first, "acme-lib", "2.0.0") == 401
        again = await http.delete(TOKENS, headers={"authorization": f"Bearer {first}"})
        assert again.status_code == 401
        assert detail(again)
        assert await publish(http, second, "acme-lib", "2.0.0") == 200
    async with place(tmp_path) as (http, _):  # another process, of the same catalog
        assert await publish(http, first, "acme-lib", "3.0.0") == 401
        gone = await http.delete(TOKENS, headers={"authorization": second})  # as cargo sends it
        assert gone.status_code == 204
        assert await publish(http, second, "acme-lib", "3.0.0") == 401


async def test_what_is_no_identity_token_is_told_so(tmp_path: Path) -> None:
    async with place(tmp_path) as (http, issuer):
        for body, status in (
            (None, 400),
            ([], 400),
            ({"token": issuer.token()}, 400),
            ({"jwt": 5}, 400),
            ({"jwt": "x"}, 401),
            ({"jwt": issuer.token(aud="other")}, 401),
            ({"jwt": issuer.token(repository="acme/unknown")}, 403),
            ({"jwt": "x" * 100_000}, 413),
        ):
            answer = await http.put(TOKENS, json=body)
            assert answer.status_code == status, body
            assert detail(answer)
        for headers in ({}, {"authorization": "x"}, {"authorization": f"Bearer {issuer.token()}"}):
            answer = await http.delete(TOKENS, headers=headers)
            assert answer.status_code == 401, headers
            assert detail(answer)
        assert (await http.get(TOKENS)).status_code == 405


async def test_nothing_is_exchanged_where_no_identities_are_taken(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_CARGO_PROXIES="[]") as http:
        for answer in (await http.put(TOKENS, json={"jwt": "x"}), await http.delete(TOKENS)):
            assert answer.status_code == 404
            assert "auth.oidc" in detail(answer)
