"""A small file."""

from __future__ import annotations

from typing import Final

from nora.formats.samples import Sample, Step

_FILE: Final = b"any bytes\n"
_PATH: Final = "/raw/nora-sample/file.txt"

SAMPLE = Sample(
    publish=(Step("PUT", _PATH, 201, body=_FILE, again=200),),
    fetch=Step("GET", _PATH, 200),
    fetched=_FILE,
    absent=Step("GET", "/raw/nora-sample/absent", 404),
    refused=Step("PATCH", _PATH, 405),
    malformed=Step("GET", "/raw/%252e%252e/%ff", 400),
    error_type="text/plain",
)
