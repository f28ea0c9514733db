"""From what was typed to what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from nora.errors import BadRequest
from nora.formats.mirroring import LockFileInvalid, MirrorTool, Want, unique

Found = TypeVar("Found")
LARGEST_LOCK_FILE: Final = 32 * 2**20
"""In bytes. The largest ones of large repositories have a few million."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is to be mirrored."""

    lock_files: Sequence[Path] = ()
    packages: Sequence[str] = ()
    all_versions: bool = False
    images: Sequence[str] = ()
    images_files: Sequence[Path] = ()
    """With one image a line; what comes after `#` is a comment."""
    platforms: Sequence[str] = ()


def plan(tool: MirrorTool, selection: Selection) -> list[Want]:
    """What a tool would ask for, each once. Raises BadRequest, which says in which file and line."""
    wants: list[Want] = []
    if tool.read is not None:
        wants += [want for path in selection.lock_files for want in _of_file(path, tool.read)]
    if tool.packages is not None and selection.packages:
        wants += tool.packages(selection.packages, selection.all_versions)
    if tool.images is not None:
        images = [
            *selection.images,
            *(name for path in selection.images_files for name in _of_file(path, _names)),
        ]
        wants += tool.images(images, selection.platforms)
    if not wants and not selection.lock_files:
        raise BadRequest(f"nothing was named to mirror; {tool.name} needs {tool.needs}")
    return unique(wants)


def _of_file(path: Path, read: Callable[[str], Sequence[Found]]) -> Sequence[Found]:
    try:
        with path.open("rb") as file:
            body = file.read(LARGEST_LOCK_FILE + 1)
        if len(body) > LARGEST_LOCK_FILE:
            raise LockFileInvalid(f"it is larger than {LARGEST_LOCK_FILE // 2**20} MiB")
        return read(body.decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError, LockFileInvalid) as error:
        raise BadRequest(f"{path}: {error}") from None


def _names(text: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]
