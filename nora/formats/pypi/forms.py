"""The form of an upload (PyPI's legacy upload API): its fields, what they say, and its digests."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from nora.catalog.records import NewBlob
from nora.errors import BadRequest, DigestMismatch, TooLarge, quoted
from nora.formats.pypi.names import Distribution, ProjectName, normalize_version, parse_filename
from nora.http.multipart import Part

CONTENT: Final = "content"
LARGEST_FIELDS: Final = 8 << 20
"""Bytes of all fields together; a long description is the most of it."""
_FILETYPES: Final = {"sdist": "sdist", "bdist_wheel": "wheel"}


class Fields:
    """The fields that have arrived; of those that are repeated, the first one."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._left = LARGEST_FIELDS

    async def take(self, part: Part) -> None:
        """Read a field. Raises TooLarge, BadRequest."""
        value = await part.text(self._left)
        self._left -= len(value.encode()) + len(part.name)
        if self._left < 0:
            raise TooLarge(LARGEST_FIELDS, "the fields of the form")
        self._values.setdefault(part.name, value)

    def get(self, name: str) -> str:
        """A field without white space around it; empty when it is not there, and for twine's UNKNOWN."""
        value = self._values.get(name, "").strip()
        return "" if value == "UNKNOWN" else value

    def require(self, name: str) -> str:
        """A field that has to come before the file. Raises BadRequest."""
        value = self.get(name)
        if not value:
            raise BadRequest(f"the form needs the field {name}, before the file")
        return value


@dataclass(frozen=True, slots=True)
class Release:
    """What an upload says that it is."""

    project: ProjectName
    version: str
    distribution: Distribution

    @property
    def filename(self) -> str:
        """As clients will ask for it."""
        return self.distribution.filename


async def read_fields(form: AsyncIterator[Part], fields: Fields) -> Part | None:
    """The fields up to the file, which is returned; None at the end of the form."""
    async for part in form:
        if part.name == CONTENT:
            return part
        await fields.take(part)
    return None


def parse_release(fields: Fields, filename: str | None) -> Release:
    """Raises BadRequest, InvalidName for a form that does not hang together."""
    if fields.require(":action") != "file_upload":
        raise BadRequest(":action is file_upload: nothing else is offered here")
    if fields.get("protocol_version") not in ("", "1"):
        raise BadRequest("protocol_version is 1")
    project = ProjectName.of(fields.require("name"))
    version = normalize_version(fields.require("version"))
    if not filename:
        raise BadRequest("the field content is a file, with its name")
    distribution = parse_filename(filename)
    distribution.check(project, version)
    filetype = fields.require("filetype")
    if _FILETYPES.get(filetype) != distribution.kind:
        raise BadRequest(f"filetype is sdist or bdist_wheel, and {quoted(filename)} is a {distribution.kind}")
    return Release(project, version, distribution)


CHECKED: Final = ("md5", "blake2b_256")
"""What the form may give beside the sha256 of its file."""


def check_digests(fields: Fields, blob: NewBlob) -> None:
    """Raises DigestMismatch unless the bytes have every digest that the form gives."""
    for name, digest in (
        ("sha256_digest", blob.digest.encoded),
        ("blake2_256_digest", blob.checksums["blake2b_256"]),
        ("md5_digest", blob.checksums["md5"]),
    ):
        told = fields.get(name).lower()
        if told and not hmac.compare_digest(told.encode(), digest.encode()):
            raise DigestMismatch(f"{name} is that of other bytes")
