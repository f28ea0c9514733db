"""Schemathesis asks a running server what the description of its API says, and looks at the answers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import httpx
import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.access import make_token, write_users
from tests.support.server import running
from tests.ui.content import everything

pytestmark = pytest.mark.slow

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
SCOPES = ("docker:team/web:read,write", "pypi:acme-*:read")
HERE = {
    "repository": ["docker", "pypi", "npm", "cargo", "raw", "go", "maven"],
    "format": ["docker", "npm"],
    "package": ["team/app", "acme-lib", "@team/ui", "team_counts"],
    "name": ["team/app", "team/web"],
    "project": ["acme-lib"],
    "crate": ["team_counts"],
    "path": ["builds/7/app.tar.gz", "builds", "readme.txt", "org/acme/team-lib/maven-metadata.xml"],
    "reference": ["latest", "1.0"],
    "version": ["1.0.0", "1.0"],
}
"""What parts of paths may be, that there is something of."""
MOST = int(os.environ.get("TEST_API_EXAMPLES", "4"))
"""Requests of one operation and caller."""
CALLERS = ("anonymous", "scoped", "admin")


class Place(NamedTuple):
    url: str
    document: dict[str, Any]
    callers: Mapping[str, dict[str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A registry with something of everything, and the description of its API."""
    folder = tmp_path_factory.mktemp("described")
    env = {
        "NORA_PROXY_MODE": "offline",
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(write_users(folder / "users", somebody="else")),
        "NORA_RATE_LIMIT_ENABLED": "false",
    }
    with running(folder, env=env) as server:
        admin = make_token(server, "--role", "admin").bearer
        scopes = [word for scope in SCOPES for word in ("--scope", scope)]
        scoped = make_token(server, "--role", "write", *scopes).bearer
        with httpx.Client(base_url=server.url, headers=admin, timeout=30) as http:
            for sent in everything():
                headers = {**sent.said.get("headers", {}), **admin}
                answer = http.request(sent.method, sent.path, **{**sent.said, "headers": headers})
                assert answer.status_code < 300, (sent.path, answer.text)
            document = http.get("/api-docs/openapi.json").json()
        yield Place(
            server.url, with_what_is_here(document), {"anonymous": {}, "scoped": scoped, "admin": admin}
        )


def with_what_is_here(document: dict[str, Any]) -> dict[str, Any]:
    """The description, with parts of paths that there is something of beside any other text."""
    for item in document["paths"].values():
        for parameter in item.get("parameters", ()):
            known = HERE.get(parameter["name"])
            if known is not None:
                parameter["schema"] = {"anyOf": [{"enum": known}, parameter["schema"]]}
        item.pop("servers", None)
    return document


def test_the_description_is_a_document_of_openapi(place: Place) -> None:
    assert place.document["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(place.document).validate()
    with pytest.raises(jsonschema_rs.ValidationError):
        schemathesis.openapi.from_dict(
            {**place.document, "paths": {"/": {"get": {"responses": 1}}}}
        ).validate()


@pytest.mark.parametrize("who", CALLERS)
def test_answers_are_what_the_description_says(who: str, place: Place) -> None:
    schema = schemathesis.openapi.from_dict(place.document)
    wrong: dict[str, str] = {}
    with requests.Session() as http:
        for found in schema.get_all_operations():
            operation = found.ok()
            try:
                ask(operation, http, place, who)
            except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - all are told together
                wrong[f"{operation.method.upper()} {operation.path}"] = str(error)[:1500]
    assert not wrong, "\n\n".join(f"{where}: {text}" for where, text in wrong.items())


def ask(operation: Any, http: requests.Session, place: Place, who: str) -> None:
    """Ask for an operation some times."""
    pattern = place.document["paths"][operation.path]["x-nora-path"]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=MOST,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def once(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url=place.url, headers=place.callers[who])
        if "..." in pattern or "@" in pattern or pattern.startswith("/v2/{name}"):
            sent["url"] = sent["url"].replace("%2F", "/")  # of several segments, or of a name that has some
        answer = http.request(**sent, allow_redirects=False, timeout=30)
        case.validate_response(answer, checks=CHECKS)

    once()
