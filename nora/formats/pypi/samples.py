"""A small wheel: uploaded as twine does it, fetched from its page."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Final

from nora.formats.samples import Sample, Step

NAME: Final = "nora-sample"
FILENAME: Final = "nora_sample-1.0-py3-none-any.whl"
BOUNDARY: Final = "nora-sample-boundary"
_INFO: Final = "nora_sample-1.0.dist-info"


def _wheel() -> bytes:
    members = {
        "nora_sample.py": "",
        f"{_INFO}/METADATA": "Metadata-Version: 2.1\nName: nora-sample\nVersion: 1.0\n",
        f"{_INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: nora\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{_INFO}/RECORD": f"nora_sample.py,,\n{_INFO}/METADATA,,\n{_INFO}/WHEEL,,\n{_INFO}/RECORD,,\n",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def _form(wheel: bytes) -> bytes:
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": NAME,
        "version": "1.0",
        "filetype": "bdist_wheel",
        "pyversion": "py3",
        "sha256_digest": hashlib.sha256(wheel).hexdigest(),
    }
    head = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    content = f'Content-Disposition: form-data; name="content"; filename="{FILENAME}"'
    start = f"{head}--{BOUNDARY}\r\n{content}\r\nContent-Type: application/octet-stream\r\n\r\n"
    return start.encode() + wheel + f"\r\n--{BOUNDARY}--\r\n".encode()


_WHEEL: Final = _wheel()

SAMPLE = Sample(
    publish=(
        Step(
            "POST",
            "/legacy/",
            200,
            (("content-type", f"multipart/form-data; boundary={BOUNDARY}"),),
            _form(_WHEEL),
        ),
    ),
    fetch=Step("GET", f"/simple/{NAME}/{FILENAME}", 200),
    fetched=_WHEEL,
    absent=Step("GET", "/simple/nora-sample-absent/", 404),
    refused=Step("PUT", f"/simple/{NAME}/", 405),
    malformed=Step("GET", "/simple/%252e%252e/", 400),
    error_type="text/plain",
)
