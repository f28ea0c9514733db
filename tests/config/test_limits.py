"""Settings that bound what a server takes, seen from the wire."""

from __future__ import annotations

import httpx

from tests.conftest import StartServer


def test_no_body_is_larger_than_the_limit(nora_server: StartServer) -> None:
    server = nora_server(env={"NORA_BODY_LIMIT": "1KiB"})
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        upload = http.post("/v2/limits/body/blobs/uploads/").headers["location"]
        assert http.patch(upload, content=b"x" * 1024).status_code == 202
        refused = http.patch(upload, content=b"x" * 1025)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (413, "SIZE_INVALID")
        assert http.get(upload).headers["range"] == "0-1023"
