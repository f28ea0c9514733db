"""Whether a file of an upstream is right, when all of it is here and before anybody gets the last of it.

Called in threads; what reads archives is loaded with the first of them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final

from nora.errors import NoraError
from nora.formats.go.documents import version_in
from nora.formats.go.names import ModulePath

LARGEST_INFO: Final = 64 << 10
LARGEST_MOD: Final = 16 << 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InfoCheck:
    """An `.info` is about the version that was asked for."""

    version: str

    def __call__(self, path: str) -> bool:
        with open(path, "rb") as file:
            return version_in(file.read(LARGEST_INFO)) == self.version


@dataclass(frozen=True, slots=True)
class ModCheck:
    """A `go.mod` has the hash that a sum database says."""

    module: ModulePath
    version: str
    expected: str

    def __call__(self, path: str) -> bool:
        from nora.formats.go.archive import go_mod_hash

        with open(path, "rb") as file:
            found = go_mod_hash(file.read(LARGEST_MOD))
        return found == self.expected or _refuse(
            f"go.mod of {self.module} {self.version}", found, self.expected
        )


@dataclass(slots=True)
class ZipCheck:
    """A zip is one that the go command takes, and has the hash that a sum database says, if one does."""

    module: ModulePath
    version: str
    expected: str
    max_unpacked: int
    h1: str = field(default="", init=False)
    """Its hash, once it was found to be right."""

    def __call__(self, path: str) -> bool:
        from nora.formats.go.archive import check_module_zip

        what = f"zip of {self.module} {self.version}"
        try:
            found = check_module_zip(path, self.module, self.version, self.max_unpacked).h1
        except NoraError as error:
            _log.warning("the %s is not passed on: %s", what, error)
            return False
        if self.expected not in ("", found):
            return _refuse(what, found, self.expected)
        self.h1 = found
        return True


def _refuse(what: str, found: str, expected: str) -> bool:
    _log.warning("the %s is not passed on: it has %s, the sum database says %s", what, found, expected)
    return False
