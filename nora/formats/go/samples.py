"""A small module: published by a PUT of its zip."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Final

from nora.formats.samples import Sample, Step

MODULE: Final = "nora.example/sample"
VERSION: Final = "v1.0.0"


def module_zip(module: str, version: str, files: Mapping[str, str | bytes]) -> bytes:
    """The zip of a version with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(f"{module}@{version}/{name}")
            archive.writestr(member, content, compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


_ZIP: Final = module_zip(
    MODULE, VERSION, {"go.mod": f"module {MODULE}\n\ngo 1.21\n", "sample.go": "package sample\n"}
)
_PATH: Final = f"/go/{MODULE}/@v"

SAMPLE = Sample(
    publish=(Step("PUT", f"{_PATH}/{VERSION}.zip", 201, body=_ZIP),),
    fetch=Step("GET", f"{_PATH}/{VERSION}.zip", 200),
    fetched=_ZIP,
    absent=Step("GET", f"{_PATH}/v9.9.9.info", 404),
    refused=Step("POST", f"{_PATH}/{VERSION}.zip", 405),
    malformed=Step("GET", "/go/nora.example/Sample/@v/list", 400),
    error_type="text/plain",
)
