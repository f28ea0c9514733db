"""A job of a CI system publishes with its identity token, as far as its rule goes."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest

from tests.support.in_process import application
from tests.support.issuer import Issuer
from tests.support.jobs import registry_of_jobs
from tests.support.npm_registry import Built

pytestmark = pytest.mark.anyio


EXCHANGE = "/-/npm/v1/oidc/token/exchange/package"


def place(folder: Path) -> AbstractAsyncContextManager[tuple[httpx.AsyncClient, Issuer]]:
    return registry_of_jobs(folder, "@acme/*", NORA_NPM_PROXIES="[]")


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_an_identity_token_publishes_what_its_rule_allows(tmp_path: Path) -> None:
    async with place(tmp_path) as (http, issuer):
        who = bearer(issuer.token())
        for name, status in (("@acme/lib", 201), ("@other/lib", 403)):
            body = Built(name).publication()
            assert (await http.put(f"/npm/{name}", json=body, headers=who)).status_code == status, name
            assert (await http.put(f"/npm/{name}", json=body)).status_code == 401


@pytest.mark.parametrize("base", ["", "/npm", "/r/npm"])
async def test_npm_exchanges_an_identity_token_once(tmp_path: Path, base: str) -> None:
    async with place(tmp_path) as (http, issuer):
        who = bearer(issuer.token())
        answer = await http.post(f"{base}{EXCHANGE}/@acme%2flib", headers=who)
        assert answer.status_code == 201
        assert answer.headers["cache-control"] == "no-store"
        minted = bearer(answer.json()["token"])
        for name, status in (("@acme/lib", 201), ("@other/lib", 403)):
            body = Built(name).publication()
            assert (await http.put(f"/npm/{name}", json=body, headers=minted)).status_code == status, name
        for used in (who, minted):
            again = await http.post(f"{base}{EXCHANGE}/@acme%2flib", headers=used)
            assert again.status_code == 401
            assert "token" not in again.json()


async def test_what_is_no_identity_token_is_not_exchanged(tmp_path: Path) -> None:
    async with place(tmp_path) as (http, issuer):
        for headers, status in (
            ({}, 400),
            ({"authorization": "Basic YTpi"}, 401),
            (bearer("x"), 401),
            (bearer(issuer.token(aud="other")), 401),
            (bearer(issuer.token(repository="acme/unknown")), 403),
        ):
            answer = await http.post(f"{EXCHANGE}/lib", headers=headers)
            assert answer.status_code == status, headers
            assert answer.json()["error"]
        assert (await http.post(f"{EXCHANGE}/%2e%2e", headers=bearer(issuer.token()))).status_code == 400
        assert (await http.get(f"{EXCHANGE}/lib")).status_code == 405


async def test_nothing_is_exchanged_where_no_identities_are_taken(tmp_path: Path) -> None:
    async with application(tmp_path, NORA_NPM_PROXIES="[]") as http:
        answer = await http.post(f"{EXCHANGE}/lib", headers=bearer("x"))
        assert answer.status_code == 404
        assert "auth.oidc" in answer.json()["reason"]
