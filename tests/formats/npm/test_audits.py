"""What upstreams learn by an audit, and what one may cost."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.formats.npm.conftest import Proxy
from tests.support.answers import document
from tests.support.npm_registry import NpmRegistry
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio


async def test_audits_of_old_clients_tell_what_is_needed(
    proxy: Proxy, registry: NpmRegistry, upstream: Upstream
) -> None:
    path = "/reg/-/npm/v1/security/audits/quick"
    upstream.serve(path, document(b'{"actions":[]}', "application/json"))
    http = await proxy(NORA_PROXY_RESERVED="@corp/*")
    tree = {
        "install": ["@corp/secret", "a"],
        "remove": ["@corp/old"],
        "metadata": {"npm_version": "6.14.0", "project": "corp"},
        "requires": {"a": "^1", "@corp%2fsecret": "^1", "../corp": "^1"},
        "dependencies": {
            "a": {"version": "1.0.0", "resolved": "http://npm.corp/a.tgz", "requires": {"b": "^1"}},
            "b": {"version": "git+ssh://git@corp/b.git#1"},
        },
    }  # fmt: skip
    assert (await http.post("/npm/-/npm/v1/security/audits/quick", json=tree)).status_code == 200
    [sent] = [one.body for one in upstream.log.of("POST")]
    assert b"corp" not in sent
    said = orjson.loads(sent)
    assert said["install"] == ["a"]
    assert said["dependencies"]["a"] == {"version": "1.0.0", "requires": {"b": "^1"}}


async def test_an_audit_has_a_limit_of_names(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nora.formats.npm.audit.MOST_NAMES", 3)
    http = await proxy()
    names = {f"n{number}": "1.0.0" for number in range(4)}
    for path, body in (
        ("audits", {"requires": names}),
        ("advisories/bulk", {name: ["1.0.0"] for name in names}),
    ):
        assert (await http.post(f"/npm/-/npm/v1/security/{path}", json=body)).status_code == 400, path


async def test_an_audit_has_a_limit_of_entries(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nora.formats.npm.audit.MOST_ENTRIES", 20)
    http = await proxy()
    tree: dict[str, Any] = {}
    for _ in range(11):
        tree = {"dependencies": {"a": tree, "b": {}}}
    assert (await http.post("/npm/-/npm/v1/security/audits", json=tree)).status_code == 400


async def test_names_in_audits_are_names(proxy: Proxy, registry: NpmRegistry, upstream: Upstream) -> None:
    path = "/reg/-/npm/v1/security/advisories/bulk"
    upstream.serve(path, document(b"{}", "application/json"), method="POST")
    http = await proxy(NORA_PROXY_RESERVED="@corp/*")
    asked = {"lib": ["1.0.0", "file:/srv/corp"], "@corp%2fa": ["1.0.0"], "/srv/corp": ["1.0.0"]}
    answer = await http.post("/npm/-/npm/v1/security/advisories/bulk", json=asked)
    assert answer.status_code == 200
    assert [one.body for one in upstream.log.of("POST")] == [b'{"lib":["1.0.0"]}']
