"""What was uploaded to the NORA written in Rust (nora.formats.legacy).

pypi/<project>/<file>                    uploaded, or from an upstream
pypi-own/<project>/files/<file>          uploaded or imported; versions before 1.3 have written none
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from nora.errors import InvalidName
from nora.formats.legacy import (
    Body,
    Call,
    Group,
    Left,
    Legacy,
    LegacyInvalid,
    LegacyTree,
    Names,
    Publication,
    Refused,
    StoredFile,
    is_sidecar,
)
from nora.formats.pypi.names import Distribution, parse_filename

_DATES: Final = "dates.json"
_BOUNDARY: Final = "nora-legacy-4c1d5b9e"
_FILETYPES: Final = {"wheel": "bdist_wheel", "sdist": "sdist"}


def _read(tree: LegacyTree, names: Names) -> Iterator[Group]:
    for project in tree.folders("pypi"):
        files = tree.files(f"pypi/{project}")
        group: list[Publication | Refused | Left] = []
        for name in files:
            if name != _DATES and not is_sidecar(name, files):
                found = _file(tree, names, project, name)
                if found not in group:
                    group.append(found)
        yield group


def _file(tree: LegacyTree, names: Names, project: str, name: str) -> Publication | Refused | Left:
    own = tree.has(f"pypi-own/{project}/files/{name}")
    if (left := names.decide(project, published=own or _unknown(tree, project))) is not None:
        return left
    title = f"pypi {project} {name}"
    try:
        distribution = parse_filename(name)
        file = tree.file(f"pypi/{project}/{name}")
    except (InvalidName, LegacyInvalid) as error:
        return Refused(title, str(error))
    if distribution.project != project:
        return Refused(title, f"its name says that it is one of {distribution.project}")
    headers = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"}
    body: Body = [_before(distribution, file), file, f"\r\n--{_BOUNDARY}--\r\n".encode()]
    there = f"/r/pypi-hosted/simple/{project}/{quote(name)}"
    return Publication(title, [Call("POST", "/legacy/", body, headers)], file.size, (there, file.sha256))


def _unknown(tree: LegacyTree, project: str) -> bool | None:
    """Where a project has records, what has none is from an upstream; else nobody knows."""
    return False if tree.folders(f"pypi-own/{project}") else None


def _before(distribution: Distribution, file: StoredFile) -> bytes:
    """The form up to the file, as twine sends it."""
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "name": distribution.project,
        "version": distribution.version,
        "filetype": _FILETYPES[distribution.kind],
        "sha256_digest": file.sha256,
    }
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()
    ]
    parts.append(
        f'Content-Disposition: form-data; name="content"; filename="{distribution.filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return "".join(f"--{_BOUNDARY}\r\n{part}\r\n" for part in parts[:-1]).encode() + (
        f"--{_BOUNDARY}\r\n{parts[-1]}".encode()
    )


LEGACY = Legacy(("pypi", "pypi-own"), _read)
