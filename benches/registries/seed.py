"""What every registry holds before a round: the same bytes for all, pushed through the OCI API."""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import orjson

from benches.registries.wire import LAST_CHUNK, Address, Buffer, Wire, WireError, framed

KIB = 1024
MIB = 1024 * KIB

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
ACCEPT = (
    f"Accept: {IMAGE}, {INDEX}, application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, */*\r\n"
)

# What an image is made of here. Most layers in the field are under 1 MB and a few are large (FAST '18).
LAYER_SIZES = (KIB, 32 * KIB, 256 * KIB, MIB, 2 * MIB)
CONFIG_SIZE = 2 * KIB
SMALL = KIB
LARGE = 16 * MIB

APPS = "bench/app"
TAGS = "bench/tags"
BLOBS = "bench/blobs"
PUSHER_THREADS = 8


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is stored, and how long each load lasts."""

    rounds: int = 5
    seconds: float = 4.0
    warmup: float = 0.5
    images: int = 20
    tags: int = 10_000
    small_blobs: int = 1_000
    large_blobs: int = 4
    jobs: int = 16
    project_files: int = 2_000
    wheel: int = 10 * MIB
    packument: int = 10_000_000


FULL = Sizes()
SMOKE = Sizes(
    rounds=1,
    seconds=0.7,
    warmup=0,
    images=3,
    tags=300,
    small_blobs=50,
    large_blobs=2,
    jobs=4,
    project_files=200,
    wheel=MIB,
    packument=1_000_000,
)


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with their digest."""

    data: Buffer
    digest: str

    @classmethod
    def of(cls, data: Buffer) -> Blob:
        """Hash the bytes."""
        return cls(data, f"sha256:{hashlib.sha256(data).hexdigest()}")

    def descriptor(self, media_type: str) -> dict[str, str | int]:
        """The blob as a manifest names it."""
        return {"mediaType": media_type, "digest": self.digest, "size": len(self.data)}


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest and what it refers to; ``manifest`` may also be an index of blobs (BuildKit's old cache)."""

    config: Blob
    layers: tuple[Blob, ...]
    manifest: Blob
    media_type: str = IMAGE


def blob(size: int, *key: object) -> Blob:
    """The blob of this size and key: always the same bytes, and bytes that do not compress."""
    return Blob.of(random.Random(repr(key)).randbytes(size))


def image(
    config: Blob, layers: Sequence[Blob], *, cache: bool = False, index: bool = False, note: str = ""
) -> Image:
    """An image, or a BuildKit cache in its new shape (an image manifest) or its old one (an index)."""
    config_type = CACHE_CONFIG if cache else CONFIG
    descriptors = [layer.descriptor(LAYER) for layer in layers]
    document: dict[str, object] = {"schemaVersion": 2, "mediaType": INDEX if index else IMAGE}
    if index:
        document["manifests"] = [*descriptors, config.descriptor(config_type)]
    else:
        document |= {"config": config.descriptor(config_type), "layers": descriptors}
    if note:
        document["annotations"] = {"org.opencontainers.image.version": note}
    media_type = INDEX if index else IMAGE
    return Image(config, tuple(layers), Blob.of(orjson.dumps(document)), media_type)


@functools.cache
def app(number: int) -> Image:
    """One of the images that are pulled. The two largest layers are shared by all, as base images are."""
    own = [blob(size, "app", number, size) for size in LAYER_SIZES[:3]]
    base = [blob(size, "base", size) for size in LAYER_SIZES[3:]]
    return image(blob(CONFIG_SIZE, "config", number), [*own, *base])


@functools.cache
def cache(number: int) -> Image:
    """The build cache beside an image, in both shapes by turns."""
    layers = [*app(number).layers[1:3], blob(64 * KIB, "cache", number)]
    config = blob(CONFIG_SIZE, "cacheconfig", number)
    return image(config, layers, cache=True, index=number % 2 == 1)


@functools.cache
def small_blobs(count: int) -> tuple[Blob, ...]:
    """The blobs that the small reads are spread over."""
    return tuple(blob(SMALL, "small", number) for number in range(count))


@functools.cache
def large_blobs(count: int) -> tuple[Blob, ...]:
    """The blobs of the large reads."""
    return tuple(blob(LARGE, "large", number) for number in range(count))


def tag(number: int) -> str:
    """The name of a tag: all have the same length and sort as their numbers do."""
    return f"v{number:05}"


def push_blob(wire: Wire, name: str, content: Blob) -> None:
    """POST and one PUT, as containerd and BuildKit push."""
    upload = wire.ask("POST", f"/v2/{name}/blobs/uploads/").expect(202).location
    put_blob(wire, upload, content.digest, [content.data])


def push_streamed(wire: Wire, name: str, digest: str, frames: Sequence[Buffer]) -> None:
    """POST, PATCH with chunked transfer coding, PUT, as docker pushes. ``frames`` end with the last chunk."""
    upload = wire.ask("POST", f"/v2/{name}/blobs/uploads/").expect(202).location
    upload = wire.ask("PATCH", upload, body=frames, chunked=True).expect(202).location
    put_blob(wire, upload, digest)


def put_blob(wire: Wire, upload: str, digest: str, body: Sequence[Buffer] = ()) -> None:
    """Close an upload session."""
    joint = "&" if "?" in upload else "?"
    answer = wire.ask(
        "PUT", f"{upload}{joint}digest={digest}", "Content-Type: application/octet-stream\r\n", body
    )
    if answer.expect(201).headers.get("docker-content-digest") != digest:
        raise WireError(f"pushed {digest}, acknowledged as {answer.headers.get('docker-content-digest')}")


def put_manifest(wire: Wire, name: str, reference: str, pushed: Image) -> None:
    """Push the manifest; its blobs must be there."""
    headers = f"Content-Type: {pushed.media_type}\r\n"
    path = f"/v2/{name}/manifests/{reference}"
    answer = wire.ask("PUT", path, headers, [pushed.manifest.data]).expect(201)
    if answer.headers.get("docker-content-digest") != pushed.manifest.digest:
        raise WireError(f"{name}:{reference} was stored under another digest")


def fill(address: Address, sizes: Sizes) -> None:
    """Push everything the loads read. Raises WireError and OSError."""
    steps: list[Callable[[Wire], None]] = []
    for number in range(sizes.images):
        steps.append(functools.partial(_push_app, number=number))
    for content in small_blobs(sizes.small_blobs):
        steps.append(functools.partial(push_blob, name=BLOBS, content=content))
    for content in large_blobs(sizes.large_blobs):
        frames = [*framed(content.data), LAST_CHUNK]
        steps.append(functools.partial(push_streamed, name=BLOBS, digest=content.digest, frames=frames))
    _share(address, steps)
    config, layer = blob(CONFIG_SIZE, "tags"), blob(SMALL, "tags")
    with Wire(address) as wire:
        push_blob(wire, TAGS, config)
        push_blob(wire, TAGS, layer)
    _share(address, (_push_tag(number, config, layer) for number in range(sizes.tags)))


def _push_app(wire: Wire, number: int) -> None:
    for kind, pushed in (("v", app(number)), ("cache", cache(number))):
        for content in (pushed.config, *pushed.layers):
            push_blob(wire, APPS, content)
        put_manifest(wire, APPS, f"{kind}{number}", pushed)


def _push_tag(number: int, config: Blob, layer: Blob) -> Callable[[Wire], None]:
    pushed = image(config, [layer], note=tag(number))
    return functools.partial(put_manifest, name=TAGS, reference=tag(number), pushed=pushed)


def _share(address: Address, steps: Iterable[Callable[[Wire], None]]) -> None:
    """Spread the steps over a few connections."""
    todo = list(steps)

    def work(start: int) -> None:
        with Wire(address) as wire:
            for step in todo[start::PUSHER_THREADS]:
                step(wire)

    with ThreadPoolExecutor(PUSHER_THREADS) as pool:
        list(pool.map(work, range(PUSHER_THREADS)))
