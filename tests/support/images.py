"""Images on disk for clients to push: OCI layouts made here, so that no test needs the internet."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.oci import CONFIG, IMAGE, INDEX, LAYER, Descriptor, describe, digest, index, render


def layer(files: dict[str, bytes]) -> bytes:
    """A tar of `files`, the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(data), 0o644, 1_700_000_000
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Layout:
    """An OCI layout directory; `top` is what its one tag names."""

    path: Path
    tag: str
    top: Descriptor

    @property
    def digest(self) -> str:
        return str(self.top["digest"])

    def blob(self, wanted: str) -> bytes:
        return (self.path / "blobs" / wanted.replace(":", "/")).read_bytes()

    def blobs(self) -> dict[str, bytes]:
        """Everything in it by digest."""
        files = (self.path / "blobs").glob("*/*")
        return {f"{file.parent.name}:{file.name}": file.read_bytes() for file in files}


class LayoutWriter:
    """Writes blobs and images into a fresh layout; `finish` names the one that the tag means."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "blobs" / "sha256").mkdir(parents=True)
        (path / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')

    def add(self, data: bytes, media_type: str, **more: object) -> Descriptor:
        (self.path / "blobs" / digest(data).replace(":", "/")).write_bytes(data)
        return describe(data, media_type, **more)

    def image(self, seed: str, architecture: str = "amd64", layers: int = 2) -> Descriptor:
        """An image of gzipped layers with files of a few kilobytes that depend on `seed` only."""
        noise = random.Random(f"{seed} {architecture}")
        tars = [layer({f"data/{n}": noise.randbytes(3000 * (n + 1))}) for n in range(layers)]
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/data/0"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
            "history": [{"created_by": f"layer {n}"} for n in range(layers)],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": self.add(render(config), CONFIG),
            "layers": [self.add(gzip.compress(tar, mtime=0), f"{LAYER}+gzip") for tar in tars],
        }
        platform = {"architecture": architecture, "os": "linux"}
        return self.add(render(manifest), IMAGE, platform=platform)

    def index(self, *children: Descriptor) -> Descriptor:
        return self.add(index(children), INDEX)

    def finish(self, top: Descriptor, tag: str = "v1") -> Layout:
        named = top | {"annotations": {"org.opencontainers.image.ref.name": tag}}
        (self.path / "index.json").write_bytes(render({"schemaVersion": 2, "manifests": [named]}))
        return Layout(self.path, tag, top)


def single(path: Path, seed: str = "single", layers: int = 2) -> Layout:
    """An image for one platform."""
    writer = LayoutWriter(path)
    return writer.finish(writer.image(seed, layers=layers))


def multi(path: Path, seed: str = "multi") -> Layout:
    """An index of two platforms."""
    writer = LayoutWriter(path)
    return writer.finish(writer.index(writer.image(seed, "amd64"), writer.image(seed, "arm64")))
