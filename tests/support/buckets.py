"""Where servers under test store their blobs, if that is a bucket."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

ACCESS_KEY = "tester"
SECRET_KEY = "not-a-secret-of-anybody"
EVERYWHERE = "TEST_S3_SERVER"
"""The variable with the address of an S3 server that all tests are to use."""
BUCKET = "registry"


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where it listens."""

    url: str
    port: int

    def environment(self, bucket: str) -> dict[str, str]:
        """The settings of a NORA that stores there."""
        return {
            "NORA_STORAGE_MODE": "s3",
            "NORA_STORAGE_S3_URL": self.url,
            "NORA_STORAGE_BUCKET": bucket,
            "NORA_STORAGE_S3_ACCESS_KEY": ACCESS_KEY,
            "NORA_STORAGE_S3_SECRET_KEY": SECRET_KEY,
        }


def bucket_environment(storage: Path) -> dict[str, str]:
    """The settings of a NORA with this data directory, where a command says that all store in one bucket."""
    url = os.environ.get(EVERYWHERE)
    if not url:
        return {}
    server = S3Server(url, int(url.rpartition(":")[2]))
    prefix = hashlib.sha256(str(storage).encode()).hexdigest()[:16]
    return {**server.environment(BUCKET), "NORA_STORAGE_S3_PREFIX": prefix}
