"""`nora mirror go`: of each version in go.sum its `.mod`, and its `.info` and `.zip` where it is built."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nora.errors import BadRequest, DigestMismatch, InvalidName, InvalidPackageFile, quoted
from nora.formats.go.names import ModulePath, escape, newest, parse_version
from nora.formats.mirroring import LockFileInvalid, MirrorTool, Registry, Unusable, Want, text_of

LARGEST_ZIP: Final = 1 << 30
LARGEST_UNPACKED: Final = 8 << 30
"""Of a zip, in bytes: what the go command takes is much smaller."""
LARGEST_MOD: Final = 16 << 20
GO_MOD: Final = "/go.mod"
_hash = re.compile(r"h1:[A-Za-z0-9+/]{43}=").fullmatch


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a module."""

    module: ModulePath
    version: str

    def __str__(self) -> str:
        return f"{self.module} {self.version}"

    def path(self, end: str) -> str:
        """Of one of its files: `mod`, `info`, `zip`."""
        return f"/go/{self.module.escaped}/@v/{escape(self.version)}.{end}"


@dataclass(frozen=True, slots=True)
class Mod:
    """The go.mod of a version; an empty hash is not compared."""

    of: Version
    h1: str

    @property
    def title(self) -> str:
        """See Want."""
        return f"{self.of}{GO_MOD}"

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        from nora.formats.go.archive import go_mod_hash

        document = await registry.document(self.of.path("mod"), max_bytes=LARGEST_MOD)
        _compare(go_mod_hash(document.body), self.h1)
        return ()


@dataclass(frozen=True, slots=True)
class Info:
    """When a version was made: what the go command asks for before the zip."""

    of: Version

    @property
    def title(self) -> str:
        """See Want."""
        return f"{self.of}.info"

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        await registry.document(self.of.path("info"))
        return ()


@dataclass(frozen=True, slots=True)
class Zip:
    """The files of a version; an empty hash is not compared."""

    of: Version
    h1: str

    @property
    def title(self) -> str:
        """See Want."""
        return f"{self.of}"

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        from nora.formats.go.archive import check_module_zip

        try:
            with tempfile.NamedTemporaryFile(suffix=".zip") as file:
                await registry.save(self.of.path("zip"), file, LARGEST_ZIP)
                found = await asyncio.to_thread(
                    check_module_zip, file.name, self.of.module, self.of.version, LARGEST_UNPACKED
                )
        except (InvalidName, InvalidPackageFile) as error:
            raise Unusable(f"its zip is none that go takes: {error}") from None
        except OSError as error:
            where = tempfile.gettempdir()
            raise Unusable(f"its zip cannot be looked at in {where}: {error} (TMPDIR says where)") from None
        _compare(found.h1, self.h1)
        return ()


@dataclass(frozen=True, slots=True)
class Module:
    """What is newest of a module, or all of its versions."""

    module: ModulePath
    all_versions: bool

    @property
    def title(self) -> str:
        """See Want."""
        return str(self.module)

    async def fetch(self, registry: Registry) -> Sequence[Want]:
        """See Want."""
        listed = await registry.document(f"/go/{self.module.escaped}/@v/list")
        versions = listed.body.decode("utf-8", "replace").split()
        if not self.all_versions:
            found = newest(versions)
            if found is None:
                latest = await registry.document(f"/go/{self.module.escaped}/@latest")
                found = text_of(latest.json, "Version")
            versions = [found]
        return [want for one in versions for want in _whole(Version(self.module, parse_version(one)))]


def read_go(text: str) -> Sequence[Want]:
    """What a go.sum names. Raises LockFileInvalid."""
    wants: list[Want] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            module, version, h1 = words
            of = Version(ModulePath.of(module), parse_version(version.removesuffix(GO_MOD)))
        except InvalidName as error:
            raise LockFileInvalid(str(error), number) from None
        except ValueError:
            raise LockFileInvalid("no line of a go.sum: module, version and hash", number) from None
        if not _hash(h1):
            raise LockFileInvalid(f"{quoted(h1)!r} is no hash of a go.sum: h1:…", number)
        wants += [Mod(of, h1)] if version.endswith(GO_MOD) else [Info(of), Zip(of, h1)]
    return wants


def _packages(names: Sequence[str], all_versions: bool) -> Sequence[Want]:
    return [want for name in names for want in _package(name, all_versions)]


def _package(text: str, all_versions: bool) -> Sequence[Want]:
    """`example.com/lib`, or `example.com/lib@v1.2.3`."""
    name, _, version = text.partition("@")
    module = ModulePath.of(name)
    if not version:
        return [Module(module, all_versions)]
    if all_versions:
        raise BadRequest(f"{quoted(text)!r} is one version, and --all-versions says all of them")
    return _whole(Version(module, parse_version(version)))


def _whole(of: Version) -> Sequence[Want]:
    return [Mod(of, ""), Info(of), Zip(of, "")]


def _compare(found: str, wanted: str) -> None:
    if wanted not in ("", found):
        raise DigestMismatch(f"its hash is {found}, and should be {wanted}")


TOOLS: Final = (MirrorTool(name="go", needs="go.sum: go mod tidy", read=read_go, packages=_packages),)
