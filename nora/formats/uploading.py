"""Uploads from a page: a file that somebody has chosen in a browser.

A format takes it by the function that its clients' uploads go through, with the same checks and limits.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from nora.errors import InvalidName
from nora.http.context import PathContext
from nora.http.paths import Target

if TYPE_CHECKING:
    from nora.formats.file_uploads import FileUploads
    from nora.http.context import PackageContext


class Taken(NamedTuple):
    """Where a file is now."""

    package: str = ""
    file: str = ""
    """Its path; of a package its name."""


Take = Callable[["PackageContext", str, str, AsyncIterable[bytes]], Awaitable[Taken]]
"""Takes a file: for whom, into which directory, by which name, and its bytes. Raises NoraError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """How a format takes files from a page."""

    text: str
    """A sentence, in English and translated where it is shown: which files are taken."""
    takes_directory: bool = False
    """Whether it is said where the file shall be."""
    accept: str = ""
    """The ends of names that a browser offers first: `.whl,.tar.gz`."""
    take: Take


def file_upload(uploads: FileUploads, parse: Callable[[str], str]) -> Upload:
    """For formats whose files belong to no package; `parse` makes a value of a path."""

    async def take(
        context: PackageContext, directory: str, filename: str, body: AsyncIterable[bytes]
    ) -> Taken:
        segments = [part for part in (*directory.split("/"), filename) if part]
        if {".", ".."} & {*segments}:
            raise InvalidName("a directory is named from the first one on, without `.` and `..`")
        path = parse("/".join(segments))
        target = Target("", values={"path": path}, is_directory=False)
        named = PathContext(context.request, context.action, context.repository, path, target)
        named.principal = context.principal
        await uploads.put_body(named, body)
        return Taken(file=path)

    return Upload(
        text="Any file. It is not put over another one, unless the repository allows that.",
        takes_directory=True,
        take=take,
    )
