"""Real wheels and sdists, made here in milliseconds: every client installs them, without the internet."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

EPOCH = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Built:
    """A distribution file."""

    filename: str
    body: bytes
    project: str
    """As it is written in METADATA, not normalized."""
    version: str
    metadata: bytes
    requires_python: str | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    def form(self) -> dict[str, str]:
        """The fields of the legacy upload API beside `content`."""
        is_wheel = self.filename.endswith(".whl")
        return {
            ":action": "file_upload",
            "protocol_version": "1",
            "metadata_version": "2.3",
            "name": self.project,
            "version": self.version,
            "filetype": "bdist_wheel" if is_wheel else "sdist",
            "pyversion": "py3" if is_wheel else "source",
            "sha256_digest": self.sha256,
        }

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / self.filename).write_bytes(self.body)
        return folder / self.filename


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a wheel and an sdist of one version have in common."""

    project: str
    version: str = "1.0"
    requires_python: str | None = None
    requires: Sequence[str] = ()
    """Requirements, with markers or without."""
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict)
    padding: int = 0
    """Bytes that no compression makes fewer, in a file of the package."""
    seed: str = ""
    """Other bytes for the same name."""
    summary: str = "Made for a test"

    @property
    def normalized(self) -> str:
        return re.sub(r"[-_.]+", "-", self.project).lower()

    @property
    def module(self) -> str:
        return self.normalized.replace("-", "_")

    def metadata(self) -> bytes:
        """METADATA, or PKG-INFO."""
        lines = [
            "Metadata-Version: 2.3",
            f"Name: {self.project}",
            f"Version: {self.version}",
            f"Summary: {self.summary}",
        ]
        if self.requires_python is not None:
            lines.append(f"Requires-Python: {self.requires_python}")
        lines += [f"Requires-Dist: {one}" for one in self.requires]
        for extra, requirements in self.extras.items():
            lines.append(f"Provides-Extra: {extra}")
            lines += [f'Requires-Dist: {one}; extra == "{extra}"' for one in requirements]
        return ("\n".join(lines) + f"\n\n{self.summary}.\n").encode()

    def sources(self) -> dict[str, bytes]:
        """The files of the package."""
        init = f'VERSION = "{self.version}"\nSEED = "{self.seed}"\n'
        found = {f"{self.module}/__init__.py": init.encode()}
        if self.padding:
            found[f"{self.module}/padding.bin"] = _noise(self.project + self.version, self.padding)
        return found

    def wheel(self, tag: str = "py3-none-any", without: str = "") -> Built:
        """`without`: leave one file of the dist-info folder out, e.g. RECORD."""
        info = f"{self.module}-{self.version}.dist-info"
        about = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"
        files = self.sources() | {f"{info}/METADATA": self.metadata(), f"{info}/WHEEL": about.encode()}
        record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
        files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
        files.pop(f"{info}/{without}", None)
        return self._built(f"{self.module}-{self.version}-{tag}.whl", _zip(files))

    def sdist(self) -> Built:
        """One that builds with what is in it: no client needs to fetch a build backend."""
        root = f"{self.module}-{self.version}"
        wheel = Release(
            project=self.project,
            version=self.version,
            requires_python=self.requires_python,
            requires=self.requires,
            extras=self.extras,
            seed=self.seed,
        ).wheel()
        files = {
            "PKG-INFO": self.metadata(),
            "pyproject.toml": _PYPROJECT.encode(),
            "backend.py": _BACKEND.format(filename=wheel.filename).encode(),
            wheel.filename: wheel.body,
            **self.sources(),
        }
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, data in files.items():
                entry = tarfile.TarInfo(f"{root}/{name}")
                entry.size, entry.mode, entry.mtime = len(data), 0o644, EPOCH
                archive.addfile(entry, io.BytesIO(data))
        return self._built(f"{root}.tar.gz", gzip.compress(tar.getvalue(), 1, mtime=0))

    def _built(self, filename: str, body: bytes) -> Built:
        return Built(filename, body, self.project, self.version, self.metadata(), self.requires_python)


_PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
_BACKEND = """import shutil


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    shutil.copy("{filename}", wheel_directory)
    return "{filename}"
"""


def _zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _noise(seed: str, size: int) -> bytes:
    return hashlib.shake_128(seed.encode()).digest(size)


def project_folder(folder: Path, release: Release) -> Path:
    """What a publishing client wants: pyproject.toml beside `dist` with a wheel and an sdist."""
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{release.project}"\nversion = "{release.version}"\n'
        f'description = "{release.summary}"\nauthors = [{{name = "Test"}}]\n\n{_PYPROJECT}'
    )
    for built in (release.wheel(), release.sdist()):
        built.write(folder / "dist")
    return folder
