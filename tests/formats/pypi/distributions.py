"""Wheels and sdists for tests, made in memory: right ones, and wrong ones by way of the arguments."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping


def core_metadata(name: str = "foo-bar", version: str = "1.0", *lines: str) -> bytes:
    text = "\n".join(("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines))
    return f"{text}\n\nA description.\n".encode()


def wheel(
    files: Mapping[str, bytes] | None = None,
    *,
    metadata: bytes | None = None,
    folder: str = "foo_bar-1.0.dist-info",
    without: Iterable[str] = (),
) -> bytes:
    """A wheel of foo-bar 1.0, with more files and without some of its own."""
    content = {
        "foo_bar/__init__.py": b"",
        f"{folder}/METADATA": core_metadata() if metadata is None else metadata,
        f"{folder}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nTag: py3-none-any\n",
        f"{folder}/RECORD": b"",
        **(files or {}),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in content.items():
            if path.rpartition("/")[2] not in without:
                archive.writestr(path, data)
    return buffer.getvalue()


def tar(members: Iterable[tuple[str | tarfile.TarInfo, bytes]], **options: int) -> bytes:
    """An uncompressed tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=options.get("format", tarfile.PAX_FORMAT)) as archive:
        for member, data in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def sdist(*more: tuple[str | tarfile.TarInfo, bytes], metadata: bytes | None = None) -> bytes:
    """A `.tar.gz` of foo-bar 1.0, with more members."""
    info = core_metadata() if metadata is None else metadata
    return gzip.compress(tar([("foo_bar-1.0/PKG-INFO", info), ("foo_bar-1.0/setup.py", b""), *more]), mtime=0)


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""
