"""Something of everything for the pages to show, as the requests that publish it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.support.crates import Built as Crate
from tests.support.npm_registry import Built as NpmPackage
from tests.support.oci import CONFIG, IMAGE, INDEX, LAYER, describe, digest, index, render
from tests.support.wheels import Release

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{1234*4321}}{0.__class__}\u202egnp.exe"
LINK = "javascript:alert(document.domain)"
README = f"""# Team UI

Components for *all* of our pages. {HOSTILE}

| component | since |
|-----------|-------|
| `button`  | 1.0   |

```js
import {{ button }} from "@team/ui";
```

- [how it is used](https://example.org/ui)
- [what it is not]({LINK})

> Ask the team before you change a colour.
"""
LONG = "a-name-that-is-as-long-as-names-get-" * 3 + "end"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request."""

    method: str
    path: str
    said: dict[str, Any] = field(default_factory=dict)


def everything() -> Iterator[Sent]:
    """What a small company has."""
    yield from images()
    yield from wheels()
    yield from packages()
    yield from crates()
    for path in ("builds/7/app.tar.gz", "builds/8/app.tar.gz", "readme.txt", f"builds/{LONG}.txt"):
        yield put(f"/raw/{path}", f"the bytes of {path}".encode() * 40)
    jar = "/maven2/org/acme/team-lib/1.0/team-lib-1.0"
    ids = "<groupId>org.acme</groupId><artifactId>team-lib</artifactId><version>1.0</version>"
    yield put(f"{jar}.pom", f"<project>{ids}</project>".encode())
    yield put(f"{jar}.jar", b"the bytes of a jar" * 99)


def put(path: str, body: bytes) -> Sent:
    return Sent("PUT", path, {"content": body})


def images() -> Iterator[Sent]:
    yield from image("team/app", ("1.0", "1"), ("linux/amd64", "linux/arm64/v8"))
    yield from image("team/app", ("1.1", "latest"), ("linux/amd64", "linux/arm64/v8"), seed="newer")
    yield from image("team/web", ("latest",), ("linux/amd64",))
    yield from image(f"team/{LONG}", ("latest",), ("linux/amd64",))


def image(name: str, tags: tuple[str, ...], platforms: tuple[str, ...], seed: str = "") -> Iterator[Sent]:
    children = []
    for platform in platforms:
        system, machine, *variant = platform.split("/")
        layers = [
            f"{part} of {name} for {platform} {seed}".encode() * 500 * n for n, part in enumerate("abc", 1)
        ]
        made = [{"created_by": f"RUN make {one}"} for one in ("base", "tools", HOSTILE)]
        said = {"os": system, "architecture": machine, "history": made}
        config = render({**said, **({"variant": variant[0]} if variant else {})})
        for blob in (config, *layers):
            path = f"/v2/{name}/blobs/uploads/?digest={digest(blob)}"
            yield Sent("POST", path, {"content": blob})
        manifest = render(
            {
                "schemaVersion": 2,
                "mediaType": IMAGE,
                "config": describe(config, CONFIG),
                "layers": [describe(one, LAYER) for one in layers],
                "annotations": {"org.example.note": HOSTILE, "org.example.link": LINK},
            }
        )
        yield manifest_of(name, digest(manifest), manifest, IMAGE)
        said = {"os": system, "architecture": machine, **({"variant": variant[0]} if variant else {})}
        children.append((manifest, describe(manifest, IMAGE, platform=said)))
    if len(children) == 1:
        body, kind = children[0][0], IMAGE
    else:
        body, kind = index(one for _, one in children), INDEX
    for tag in tags:
        yield manifest_of(name, tag, body, kind)


def manifest_of(name: str, reference: str, body: bytes, kind: str) -> Sent:
    headers = {"content-type": kind}
    return Sent("PUT", f"/v2/{name}/manifests/{reference}", {"content": body, "headers": headers})


def wheels() -> Iterator[Sent]:
    for project, version in (("acme-lib", "1.9"), ("acme-lib", "1.10"), ("acme-tools", "0.1")):
        built = Release(
            project=project,
            version=version,
            summary=HOSTILE,
            requires_python=">=3.9",
            requires=["requests>=2"],
        ).wheel()
        files = {"content": (built.filename, built.body)}
        yield Sent("POST", "/legacy/", {"data": built.form(), "files": files})


def packages() -> Iterator[Sent]:
    fields = {
        "description": HOSTILE,
        "homepage": LINK,
        "author": {"name": HOSTILE},
        "dependencies": {"left-pad": "^1.3.0"},
    }
    for name, version, tag in (
        ("@team/ui", "1.0.0", "latest"),
        ("@team/ui", "2.0.0-beta.1", "next"),
        ("team-utils", "0.3.0", "latest"),
    ):
        document = NpmPackage(name, version, fields).publication(tag, readme=README)
        said = {"content": orjson.dumps(document), "headers": {"content-type": "application/json"}}
        yield Sent("PUT", f"/npm/{name.replace('/', '%2f')}", said)


def crates() -> Iterator[Sent]:
    said = {"description": "Counts things", "license": "MIT", "homepage": "https://example.org/counts"}
    for version in ("0.9.0", "0.10.0"):
        crate = Crate("team-counts", version, said)
        yield Sent("PUT", "/cargo/api/v1/crates/new", {"content": crate.publication()})
