"""The zip of a version, made of a directory or of what git has: of the files that the go command would take
(golang.org/x/mod/zip: CreateFromDir, CreateFromVCS)."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from nora.errors import BadRequest, quoted
from nora.formats.go.archive import GO_MOD, declared_path
from nora.formats.go.names import ModulePath

LICENSE: Final = "LICENSE"
_REPOSITORIES: Final = frozenset({".bzr", ".git", ".hg", ".svn"})
Open = Callable[[], IO[bytes]]
Files = Mapping[str, Open]
"""By their paths in the module."""


def module_of(files: Files) -> ModulePath:
    """The path that the `go.mod` declares. Raises BadRequest."""
    if GO_MOD not in files:
        raise BadRequest("there is no go.mod: it says which module this is")
    with files[GO_MOD]() as file:
        return ModulePath.of(declared_path(file.read()))


def write_zip(target: str, files: Files, module: ModulePath, version: str) -> None:
    """The same bytes for the same files, whenever and wherever it is written."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(f"{module}@{version}/{name}")
            member.compress_type = zipfile.ZIP_DEFLATED
            with files[name]() as source, archive.open(member, "w") as copy:
                shutil.copyfileobj(source, copy)


def of_directory(folder: Path) -> Files:
    """The files of a directory. What is no plain file is passed over. Raises BadRequest."""
    if not folder.is_dir():
        raise BadRequest(f"{quoted(folder)} is no directory")
    found: dict[str, Open] = {}
    for path, folders, names in os.walk(folder):
        here = Path(path)
        folders[:] = [one for one in folders if one not in _REPOSITORIES]
        for name in names:
            file = here / name
            if file.is_file() and not file.is_symlink():
                found[file.relative_to(folder).as_posix()] = _opener(file)
    return _of_module(found)


@contextmanager
def of_revision(folder: Path, revision: str, scratch: Path) -> Iterator[Files]:
    """The files of a directory as git has them in a revision, a tag as a rule. The license of the repository
    is that of a module without one. Raises BadRequest."""
    if revision.startswith("-"):
        raise BadRequest(f"{quoted(revision)} is no revision")
    prefix = _git(folder, "rev-parse", "--show-prefix").strip()
    root = _git(folder, "rev-parse", "--show-toplevel").strip()
    target = scratch / "archive.zip"
    settings = ("-c", "core.autocrlf=input", "-c", "core.eol=lf")
    _git(Path(root), *settings, "archive", "--format=zip", f"--output={target}", revision)
    with zipfile.ZipFile(target) as archive:
        plain = {
            one.filename: _member(archive, one)
            for one in archive.infolist()
            if not one.is_dir() and (one.external_attr >> 16) & 0o170000 in (0, 0o100000)
        }
        found = {
            name.removeprefix(prefix): opened for name, opened in plain.items() if name.startswith(prefix)
        }
        if LICENSE not in found and LICENSE in plain:
            found[LICENSE] = plain[LICENSE]
        yield _of_module(found)


def _opener(file: Path) -> Open:
    return lambda: file.open("rb")


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Open:
    return lambda: archive.open(member)


def _of_module(files: Files) -> Files:
    """Without modules in it, and without what was vendored."""
    others = {name.removesuffix(GO_MOD) for name in files if name.endswith(f"/{GO_MOD}")}
    return {
        name: opened
        for name, opened in files.items()
        if not _is_vendored(name) and not others.intersection(_folders(name))
    }


def _folders(name: str) -> Iterable[str]:
    at = name.find("/")
    while at >= 0:
        yield name[: at + 1]
        at = name.find("/", at + 1)


def _is_vendored(name: str) -> bool:
    """Packages in folders of this name; what lies in such a folder itself is a file as any other."""
    _, folder, rest = f"/{name}".partition("/vendor/")
    return bool(folder) and "/" in rest


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, check=False)
    except OSError as error:
        raise BadRequest(f"git cannot be run in {quoted(folder)}: {error.strerror}") from None
    if done.returncode:
        raise BadRequest(f"git {words[-1]}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout.decode("utf-8", "replace")
