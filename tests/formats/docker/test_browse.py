"""What people are shown of images: how they are run, what made them, and what is said about them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.in_process import application
from tests.support.oci import CONFIG, IMAGE, LAYER, describe, digest, render

pytestmark = pytest.mark.anyio
SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"
SBOM = "application/spdx+json"


async def push(http: httpx.AsyncClient, reference: str, manifest: dict[str, Any], *blobs: bytes) -> bytes:
    for blob in blobs:
        answer = await http.post(f"/v2/team/app/blobs/uploads/?digest={digest(blob)}", content=blob)
        assert answer.status_code == 201, answer.text
    body = render({"schemaVersion": 2, "mediaType": IMAGE, **manifest})
    path = f"/v2/team/app/manifests/{reference or digest(body)}"
    answer = await http.put(path, content=body, headers={"content-type": IMAGE})
    assert answer.status_code == 201, answer.text
    return body


async def test_an_image_is_shown_with_its_history_and_what_is_about_it(tmp_path: Path) -> None:
    layer = b"bytes of a layer" * 9
    config = render(
        {
            "os": "linux",
            "architecture": "amd64",
            "created": "2026-01-31T12:00:00Z",
            "history": [
                {"created_by": "COPY app /app"},
                {"created_by": '/bin/sh -c #(nop) CMD ["/app"]', "empty_layer": True},
            ],
            "config": {
                "Entrypoint": ["/app", "--serve"],
                "User": "nobody",
                "ExposedPorts": {"8080/tcp": {}},
                "Env": ["PASSWORD=hunter2"],
            },
        }
    )
    parts = {"config": describe(config, CONFIG), "layers": [describe(layer, LAYER)]}
    async with application(tmp_path, NORA_PROXY_MODE="offline") as http:
        image = await push(http, "1.0", parts, config, layer)
        subject = describe(image, IMAGE)
        await push(http, "", {**parts, "artifactType": SIGNATURE, "subject": subject})
        await push(http, "", {**parts, "artifactType": SBOM, "subject": subject})
        await push(http, "", {**parts, "artifactType": "text/x-of-ours", "subject": subject})
        await push(http, f"{digest(image).replace(':', '-')}.att", {**parts, "annotations": {"a": "b"}})
        page = (await http.get(f"/ui/packages/docker/team/app?version={digest(image)}")).text
    about = page[page.index('id="about"') : page.index('id="tags"')]
    kinds = re.findall(r'<th scope="row"><a [^>]*>([^<]*)</a>', about)
    assert sorted(kinds) == ["attestation", "bill of materials", "signature", "text/x-of-ours"]
    for text in ("COPY app /app", "CMD [&#34;/app&#34;]", "nobody", "8080/tcp", "2026-01-31T12:00:00Z"):
        assert text in page, text
    assert "[&#34;/app&#34;,&#34;--serve&#34;]" in page
    assert "hunter2" not in page
