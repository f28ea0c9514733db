"""`nora go publish`: the zip of a version is made, looked at as the server will, and sent."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from nora.formats.base import ClientCommand, Remote
from nora.formats.go.names import check_major, escape, parse_version
from nora.formats.go.publish import MEDIA_TYPES
from nora.formats.go.settings import LARGEST_ZIP

if TYPE_CHECKING:
    from nora.formats.go.pack import Files


def _publish(remote: Remote, words: Mapping[str, str]) -> str:
    """In functions: what reads archives is loaded with the command."""
    from nora.formats.go.archive import check_go_mod, check_module_zip
    from nora.formats.go.pack import module_of, write_zip

    version = parse_version(words["version"])
    with tempfile.TemporaryDirectory(prefix="nora-") as scratch, _files(words, Path(scratch)) as files:
        module = module_of(files)
        check_major(module, version)
        target = f"{scratch}/module.zip"
        write_zip(target, files, module, version)
        found = check_module_zip(target, module, version, LARGEST_ZIP)
        check_go_mod(found.go_mod or b"", module, version)
        remote.put(f"/go/{quote(escape(module))}/@v/{quote(escape(version))}.zip", target, MEDIA_TYPES["zip"])
    return f"{module} {version} {found.h1}"


@contextmanager
def _files(words: Mapping[str, str], scratch: Path) -> Iterator[Files]:
    from nora.formats.go.pack import of_directory, of_revision

    folder = Path(words.get("directory", "."))
    if "revision" not in words:
        yield of_directory(folder)
        return
    with of_revision(folder, words["revision"], scratch) as found:
        yield found


PUBLISH: Final = ClientCommand(
    name="publish",
    help="Publish VERSION of the module in the current directory, and print its hash.",
    arguments=("version",),
    options={
        "directory": "Where the module is instead.",
        "revision": "Publish what git has there under this tag or commit, not the files as they are.",
    },
    run=_publish,
)
