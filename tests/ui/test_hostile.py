"""What others write - names, readmes, descriptions, tags, labels - is text on every page that shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.crates import Built as Crate
from tests.support.go_modules import Module
from tests.support.in_process import application
from tests.support.npm_registry import Built as NpmPackage
from tests.support.oci import CONFIG, IMAGE, LAYER, describe, digest, render
from tests.support.wheels import Release
from tests.ui.test_pages import Page, walk

pytestmark = pytest.mark.anyio

SCRIPT = "<script>alert('own'+'ed')</script><img src=x onerror=alert(1)>"
ATTACK = f"{SCRIPT}\"'>{{{{7*191}}}}{{0.__class__}}\u202egnp.exe\u2066"
LONGEST = "long" * 75
README = f"# {ATTACK}\n\n[link](javascript:alert(1)) ![image](https://evil.example/x.png)\n\n{LONGEST}\n"
LINK = "javascript:alert(document.domain)"


def requests() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Something in every format that says all it can."""
    markdown = f"{ATTACK}\nDescription-Content-Type: text/markdown"  # the description is the summary again
    built = Release(project="hostile-wheel", version="1.0", summary=markdown).wheel()
    yield "POST", "/legacy/", {"data": built.form(), "files": {"content": (built.filename, built.body)}}
    fields = {
        "description": ATTACK,
        "homepage": LINK,
        "license": ATTACK,
        "author": {"name": ATTACK, "url": LINK},
        "repository": {"url": LINK},
        "dependencies": {ATTACK: ATTACK},
        "engines": {"node": ATTACK},
    }
    for name, tag in (("hostile", "latest"), ("a" * 200, "next")):
        document = NpmPackage(name, "1.0.0", fields).publication(tag, readme=README)
        said = {"content": orjson.dumps(document), "headers": {"content-type": "application/json"}}
        yield "PUT", f"/npm/{name}", said
    crate = Crate("hostile", "1.0.0", {"description": ATTACK, "homepage": LINK, "authors": [ATTACK]})
    yield "PUT", "/cargo/api/v1/crates/new", {"content": crate.publication()}
    module = Module("corp.example/hostile", more={"go.mod": f"module corp.example/hostile\n\n// {ATTACK}\n"})
    yield "PUT", f"/go/{module.path}/@v/{module.version}.zip", {"content": module.body}
    yield "PUT", "/maven2/org/acme/hostile/1.0/hostile-1.0.pom", {"content": f"<a>{ATTACK}</a>".encode()}
    for path in ("%3Cscript%3Ealert(1)%3C%2Fscript%3E".replace("%2F", "_") + ".txt", "x" * 200, "%E2%80%8Ea"):
        yield "PUT", f"/raw/dir/{path}", {"content": b"bytes"}
    yield from image()


def image() -> Iterator[tuple[str, str, dict[str, Any]]]:
    layer = b"bytes of a layer" * 9
    config = render(
        {
            "os": "linux",
            "architecture": ATTACK,
            "created": ATTACK,
            "history": [{"created_by": ATTACK}, {"created_by": ATTACK, "empty_layer": True}],
            "config": {"Cmd": [ATTACK], "User": ATTACK, "ExposedPorts": {ATTACK: {}}, "WorkingDir": LONGEST},
        }
    )
    for blob in (config, layer):
        yield "POST", f"/v2/hostile/blobs/uploads/?digest={digest(blob)}", {"content": blob}
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": describe(config, CONFIG),
        "layers": [describe(layer, LAYER, annotations={"org.opencontainers.image.title": ATTACK})],
        "annotations": {ATTACK: ATTACK, "link": LINK},
    }
    body = render(manifest)
    headers = {"content-type": IMAGE}
    yield "PUT", f"/v2/hostile/manifests/{'t' * 128}", {"content": body, "headers": headers}
    about = render({**manifest, "artifactType": f"text/{'x' * 200}", "subject": describe(body, IMAGE)})
    yield "PUT", f"/v2/hostile/manifests/{digest(about)}", {"content": about, "headers": headers}


async def test_hostile_content_is_text_on_every_page(tmp_path: Path) -> None:
    names = set()
    async with application(tmp_path, NORA_PROXY_MODE="offline", NORA_PUBLIC_URL="https://x.example") as http:
        for method, path, said in requests():
            answer = await http.request(method, path, **said)
            if "%E2%80%8E" not in path:  # a mark that runs text the other way is in no name
                assert answer.status_code < 300, (path, answer.text)
        async for path, page in walk(http):
            names.add(path.split("?")[0])
            check(path, page)
    for wanted in ("pypi/hostile-wheel", "npm/hostile", "cargo/hostile", "go/corp.example/hostile"):
        assert f"/ui/packages/{wanted}" in names
    assert "/ui/packages/docker/hostile" in names
    assert "/ui/packages/maven/org.acme%3Ahostile" in names


def check(path: str, page: Page) -> None:
    assert "\u202e" not in page.source, path
    assert "\u2066" not in page.source, path
    assert str(7 * 191) not in page.text, path
    for tag, attributes in page.elements:
        assert tag not in ("img", "iframe", "object", "embed", "base", "style"), (path, tag)
        assert tag != "script" or "/static/" in attributes["src"], path
        assert not [one for one in attributes if one.startswith("on") or one in ("style", "srcdoc")], path
        for name in ("href", "src", "action", "formaction", "data"):
            value = attributes.get(name, "")
            assert not re.match(r"\s*(javascript|data|vbscript):", value, re.IGNORECASE), (path, value)
