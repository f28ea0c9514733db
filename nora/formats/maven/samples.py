"""A small artifact: put as `mvn deploy` does it, with a checksum."""

from __future__ import annotations

import hashlib
from typing import Final

from nora.formats.samples import Sample, Step

FOLDER: Final = "/maven2/com/example/nora-sample"
JAR: Final = b"PK\x05\x06" + bytes(18)
"""An archive of nothing."""
_FILE: Final = f"{FOLDER}/1.0/nora-sample-1.0.jar"
_SHA1: Final = hashlib.sha1(JAR, usedforsecurity=False).hexdigest().encode()

SAMPLE = Sample(
    publish=(Step("PUT", _FILE, 201, (), JAR), Step("PUT", f"{_FILE}.sha1", 201, (), _SHA1)),
    fetch=Step("GET", _FILE, 200),
    fetched=JAR,
    absent=Step("GET", f"{FOLDER}/2.0/nora-sample-2.0.jar", 404),
    refused=Step("PATCH", _FILE, 405),
    malformed=Step("GET", f"{FOLDER}/1.0/nora%20sample-1.0.jar", 400),
    error_type="text/plain",
)
