"""Speaking to a registry as a client does, with no more than httpx: blobs, manifests, images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

Descriptor = dict[str, Any]


def digest(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def describe(data: bytes, media_type: str, /, *, algorithm: str = "sha256", **more: Any) -> Descriptor:
    return {"mediaType": media_type, "digest": digest(data, algorithm), "size": len(data), **more}


def render(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode()


def index(children: Iterable[Descriptor], **more: Any) -> bytes:
    return render({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(children), **more})


@dataclass(frozen=True, slots=True)
class Image:
    """A pushed image: the manifest's bytes and what they refer to."""

    manifest: bytes
    config: bytes
    layers: tuple[bytes, ...]

    @property
    def digest(self) -> str:
        return digest(self.manifest)

    @property
    def descriptor(self) -> Descriptor:
        return describe(self.manifest, IMAGE)


@dataclass(frozen=True, slots=True)
class Repository:
    """One image name in a registry; every method is one request, except where it says otherwise."""

    client: httpx.Client
    name: str

    @property
    def path(self) -> str:
        return f"/v2/{self.name}"

    def start(self, query: str = "") -> str:
        """Open an upload session and return its URL."""
        answer = self.client.post(f"{self.path}/blobs/uploads/{query}")
        assert answer.status_code == 202, answer.text
        return answer.headers["location"]

    def patch(self, upload: str, data: bytes, content_range: str | None = None) -> httpx.Response:
        headers = {"content-type": "application/octet-stream"}
        if content_range is not None:
            headers["content-range"] = content_range
        return self.client.patch(upload, content=data, headers=headers)

    def finish(self, upload: str, wanted: str, data: bytes = b"", **headers: str) -> httpx.Response:
        """Close the session: the digest joins whatever query the location already has."""
        url = httpx.URL(upload).copy_merge_params({"digest": wanted})
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.put(url, content=data, headers=named)

    def push_blob(self, data: bytes, algorithm: str = "sha256") -> str:
        """POST and PUT; returns the digest."""
        wanted = digest(data, algorithm)
        answer = self.finish(self.start(), wanted, data)
        assert answer.status_code == 201, answer.text
        return wanted

    def get_blob(self, wanted: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(f"{self.path}/blobs/{wanted}", headers=named)

    def head_blob(self, wanted: str) -> httpx.Response:
        return self.client.head(f"{self.path}/blobs/{wanted}")

    def put_manifest(self, reference: str, data: bytes, media_type: str = IMAGE) -> httpx.Response:
        return self.client.put(
            f"{self.path}/manifests/{reference}", content=data, headers={"content-type": media_type}
        )

    def push_manifest(self, reference: str, data: bytes, media_type: str = IMAGE) -> str:
        answer = self.put_manifest(reference, data, media_type)
        assert answer.status_code == 201, answer.text
        return digest(data)

    def get_manifest(self, reference: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(f"{self.path}/manifests/{reference}", headers=named)

    def head_manifest(self, reference: str) -> httpx.Response:
        return self.client.head(f"{self.path}/manifests/{reference}")

    def delete_manifest(self, reference: str) -> httpx.Response:
        return self.client.delete(f"{self.path}/manifests/{reference}")

    def tags(self, query: str = "") -> list[str]:
        answer = self.client.get(f"{self.path}/tags/list{query}")
        assert answer.status_code == 200, answer.text
        return answer.json()["tags"]

    def referrers(self, subject: str, query: str = "") -> httpx.Response:
        return self.client.get(f"{self.path}/referrers/{subject}{query}")

    def push_image(
        self, reference: str | None = None, *, seed: str = "", layers: Iterable[bytes] = (), **more: Any
    ) -> Image:
        """A whole small image under `reference` or its digest; `more` are fields of the manifest."""
        contents = tuple(layers) or (f"layer of {self.name} {seed}".encode(),)
        config = render({"architecture": "amd64", "os": "linux", "seed": seed})
        for blob in (config, *contents):
            self.push_blob(blob)
        document = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": describe(config, CONFIG),
            "layers": [describe(layer, LAYER) for layer in contents],
        }
        manifest = render(document | more)
        self.push_manifest(reference or digest(manifest), manifest)
        return Image(manifest, config, contents)


def links(client: httpx.Client, url: str) -> Iterable[httpx.Response]:
    """The page at `url` and those its `Link` headers lead to, at most a thousand."""
    for _ in range(1000):
        page = client.get(url)
        assert page.status_code == 200, page.text
        yield page
        if "next" not in page.links:
            return
        url = str(page.url.join(page.links["next"]["url"]))
    raise AssertionError("the pages do not end")
