"""Files that an upstream has, in the dialects of formats: a layer of an image, a wheel, a tarball of npm, a
crate, a jar; of any size.

thing = wheel("crowd", 8 << 20)
thing.publish(up)                                # what names it, and the file itself
up.once(thing.source, thing.answer(cut=1000))    # and its faults
await Download(wire, thing).run()                # downloads.py
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.faults.wire import Answer as Received
from tests.faults.wire import Wire
from tests.support.answers import Answer, Repeated, document, pieces
from tests.support.oci import CONFIG, IMAGE, LAYER, describe, digest, render
from tests.support.pypi_index import JSON

MIB = 1 << 20
BLOCK = MIB + 4099
"""No size that anybody copies in: bytes at a wrong offset are other bytes."""


class Publisher(Protocol):
    """An Upstream, or one in another process."""

    @property
    def url(self) -> str: ...
    def serve(self, path: str, answer: Answer) -> None: ...


@dataclass(frozen=True, slots=True)
class Thing:
    """A file of an upstream, and how clients come to it."""

    body: Repeated
    sha256: str
    page: str
    """What clients ask for before: it names the file."""
    path: str
    """Of the file, for clients."""
    source: str
    """Of the file, at the upstream."""
    named: Mapping[str, Callable[[str], Answer]]
    """What the upstream has beside it by path, made of its URL."""
    accept: str
    described: Mapping[str, str] = field(default_factory=dict)
    """The headers of the file."""

    @property
    def size(self) -> int:
        return self.body.size

    def answer(self, **faults: Any) -> Answer:
        """The file, as the upstream sends it."""
        return Answer(body=self.body, headers=self.described).but(**faults)

    def wrong(self, **faults: Any) -> Answer:
        """As many bytes, of which each is another one."""
        block = bytes(byte ^ 255 for byte in self.body.block)
        return self.answer(body=Repeated(block, self.size), **faults)

    def publish(self, up: Publisher, *, delay: float = 0.0) -> None:
        """Let the upstream have it, without faults; everything comes after `delay` seconds."""
        for path, make in self.named.items():
            up.serve(path, make(up.url).but(delay=delay))
        up.serve(self.source, self.answer(delay=delay))

    def is_right(self, at: int, piece: bytes) -> bool:
        """Whether these are the bytes at an offset."""
        expected = pieces(self.body, at, min(self.size, at + len(piece)))
        return piece == b"".join(map(bytes, expected))

    async def ask_page(self, wire: Wire) -> Received:
        return await wire.call("GET", self.page, headers={"accept": self.accept})

    async def announce(self, wire: Wire) -> None:
        """Ask for what names it, as clients do before."""
        answer = await self.ask_page(wire)
        assert answer.status == 200, answer


def blob(name: str, size: int) -> Thing:
    """The layer of the image `faults/<name>`."""
    body = _body(name, size)
    sha256 = body.sha256()
    config = render({"os": "linux", "name": name})
    layer = {"mediaType": LAYER, "digest": f"sha256:{sha256}", "size": size}
    manifest = render(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": describe(config, CONFIG),
            "layers": [layer],
        }
    )
    headers = {"content-type": IMAGE, "docker-content-digest": digest(manifest)}
    said = Answer(body=manifest, headers=headers, ranges=False)
    base = f"/v2/faults/{name}"
    path = f"{base}/blobs/sha256:{sha256}"
    return Thing(
        body,
        sha256,
        page=f"{base}/manifests/latest",
        path=path,
        source=path,
        named={f"{base}/manifests/{one}": lambda _: said for one in ("latest", digest(manifest))},
        accept=IMAGE,
        described={"content-type": "application/octet-stream", "etag": f'"{sha256}"'},
    )


def wheel(name: str, size: int, *, says_size: bool = True, says_hash: bool = True) -> Thing:
    """The one file of the project `faults-<name>`; nobody looks into it."""
    body = _body(name, size)
    sha256 = body.sha256()
    project = f"faults-{name}"
    filename = f"{project.replace('-', '_')}-1.0-py3-none-any.whl"
    source = f"/files/{filename}"

    def page(url: str) -> Answer:
        listed = {
            "filename": filename,
            "url": f"{url}{source}",
            "hashes": {"sha256": sha256} if says_hash else {},
            "core-metadata": {"sha256": "0" * 64},
            **({"size": size} if says_size else {}),
        }
        said = {"meta": {"api-version": "1.1"}, "name": project, "versions": ["1.0"], "files": [listed]}
        return document(json.dumps(said).encode(), JSON, ranges=False)

    return Thing(
        body,
        sha256,
        page=f"/simple/{project}/",
        path=f"/simple/{project}/{filename}",
        source=source,
        named={f"/simple/{project}/": page},
        accept=JSON,
        described={"content-type": "application/octet-stream", "etag": f'"{sha256[:32]}"'},
    )


def tarball(name: str, size: int) -> Thing:
    """The one tarball of the npm package `faults-<name>`; nobody looks into it."""
    body = _body(name, size)
    package = f"faults-{name}"
    path = f"/npm/{package}/-/{package}-1.0.0.tgz"
    integrity = f"sha512-{base64.b64encode(_hashed(body, 'sha512').digest()).decode()}"

    def packument(url: str) -> Answer:
        manifest = {
            "name": package,
            "version": "1.0.0",
            "dist": {"tarball": f"{url}{path}", "integrity": integrity},
        }
        said = {"name": package, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": manifest}}
        return document(json.dumps(said).encode(), "application/json", ranges=False)

    return Thing(
        body,
        body.sha256(),
        page=f"/npm/{package}",
        path=path,
        source=path,
        named={f"/npm/{package}": packument},
        accept="application/json",
        described={"content-type": "application/octet-stream", "etag": f'"{package}"'},
    )


def crate(name: str, size: int) -> Thing:
    """The one version of the crate `faults-<name>`; nobody looks into it."""
    body = _body(name, size)
    sha256 = body.sha256()
    index = f"/index/fa/ul/faults-{name}"
    line = {
        "name": f"faults-{name}",
        "vers": "1.0.0",
        "deps": [],
        "cksum": sha256,
        "features": {},
        "yanked": False,
    }
    file = document(json.dumps(line).encode() + b"\n", "text/plain", ranges=False)
    return Thing(
        body,
        sha256,
        page=f"/cargo{index}",
        path=f"/cargo/dl/faults-{name}/1.0.0/{sha256}.crate",
        source=f"/dl/faults-{name}/1.0.0/download",
        named={
            "/index/config.json": lambda url: document(json.dumps({"dl": f"{url}/dl"}).encode()),
            index: lambda _: file,
        },
        accept="text/plain",
        described={"content-type": "application/octet-stream", "etag": f'"{sha256[:32]}"'},
    )


def jar(name: str, size: int) -> Thing:
    """The jar of the one version of the artifact `org.faults:<name>`, which nothing lists."""
    body = _body(name, size)
    folder = f"org/faults/{name}/1.0/{name}-1.0"
    checksum = document(_hashed(body, "sha1").hexdigest().encode(), "text/plain", ranges=False)
    return Thing(
        body,
        body.sha256(),
        page=f"/maven2/{folder}.jar.sha1",
        path=f"/maven2/{folder}.jar",
        source=f"/maven/{folder}.jar",
        named={f"/maven/{folder}.jar.sha1": lambda _: checksum},
        accept="*/*",
        described={"content-type": "application/java-archive", "etag": f'"{name}"'},
    )


KINDS: Mapping[str, Callable[[str, int], Thing]] = {"blob": blob, "wheel": wheel}
"""All that differs of the way of a file: one that is known by its digest, one that a document lists."""
LISTED: Mapping[str, Callable[[str, int], Thing]] = {"wheel": wheel, "tarball": tarball, "crate": crate}
"""What documents list, each of another format."""


def _body(name: str, size: int) -> Repeated:
    return Repeated(random.Random(name).randbytes(min(size, BLOCK)), size)


def _hashed(body: Repeated, algorithm: str) -> hashlib._Hash:
    found = hashlib.new(algorithm)
    for piece in pieces(body, 0, body.size):
        found.update(piece)
    return found


def asking(url: str, **env: str) -> dict[str, str]:
    """The settings of a registry that asks one upstream for all of these."""
    return {
        "NORA_PROXY_MODE": "online",
        "NORA_DOCKER_UPSTREAMS": url,
        "NORA_PYPI_PROXY": f"{url}/simple/",
        "NORA_NPM_PROXY": f"{url}/npm",
        "NORA_CARGO_PROXY": f"{url}/index",
        "NORA_MAVEN_PROXY": f"{url}/maven",
        **env,
    }
