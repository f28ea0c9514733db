"""A registry in this process that takes the identity tokens of the jobs of one repository, `acme/app`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.support.in_process import application
from tests.support.issuer import Issuer, running_issuer


@asynccontextmanager
async def registry_of_jobs(
    folder: Path, *scope: str, **environ: str
) -> AsyncIterator[tuple[httpx.AsyncClient, Issuer]]:
    """A client of the registry, and the issuer. The jobs may publish the names that fit one of `scope`."""
    rule = {"claims": {"repository": "acme/app"}, "role": "write", "namespace_scope": list(scope)}
    with running_issuer() as issuer:
        provider = {"name": "ci", "issuer": issuer.url, "audience": ["nora"], "role_rules": [rule]}
        env = {
            "NORA_AUTH_ENABLED": "true",
            "NORA_AUTH_OIDC_ENABLED": "true",
            "NORA_AUTH_OIDC_PROVIDERS": json.dumps([provider]),
        }
        async with application(folder, **env, **environ) as http:
            yield http, issuer
