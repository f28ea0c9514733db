"""Where the bytes and the catalog are: `[storage]`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nora.config import kinds
from nora.config.declare import setting
from nora.config.kinds import MIB


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where the bytes and the catalog are."""

    mode: Literal["local", "s3"] = setting(
        "local", kinds.STORAGE, "Where blobs are: in the directory, or in a bucket of any S3 server."
    )
    path: Path = setting(
        Path("data/storage"),
        kinds.PATH,
        "Directory of the catalog, of what is on its way, and of the blobs, unless they are in a bucket.",
    )
    s3_url: str = setting(
        "http://127.0.0.1:9000", kinds.URL, "The S3 server; that of AWS is named by its region."
    )
    bucket: str = setting("registry", kinds.BUCKET, "The bucket, which exists.")
    s3_prefix: str = setting(
        "", kinds.KEY_PREFIX, "How the keys of objects begin, for several registries in one bucket."
    )
    s3_region: str = setting("us-east-1", kinds.TEXT, "Region of the bucket.")
    s3_access_key: str | None = setting(
        None,
        kinds.SECRET,
        "Access key. Without keys: those of AWS' variables and files, else the role of the machine or of its "
        "web identity.",
    )
    s3_secret_key: str | None = setting(None, kinds.SECRET, "Secret key.")
    s3_virtual_hosted: bool = setting(
        False, kinds.BOOLEAN, "The bucket is named in the host, not in the path."
    )
    s3_redirect: bool = setting(
        False,
        kinds.BOOLEAN,
        "Clients get what is larger than 64 KiB from the S3 server themselves, by a signed address.",
    )
    gcs_service_account_path: Path | None = setting(
        None, kinds.PATH, "Ignored: Google Cloud Storage is asked by its S3 interface, with an HMAC key."
    )
    gcs_base_url: str | None = setting(None, kinds.OPTIONAL_URL, "Ignored, as the setting before.")

    durability: Literal["full", "data", "none"] = setting(
        "full",
        kinds.choice("full", "data", "none"),
        "What of a blob is synced, so survives a power loss: `full` all, `data` its bytes, perhaps not its "
        "name; `none` nothing, for throw-away stores. The catalog always is.",
    )
    reserve: int = setting(
        16 * MIB, kinds.size(), "Space kept free for deletes and tags: uploads get 507 below it."
    )
    verify_reads: bool = setting(
        False,
        kinds.BOOLEAN,
        "Compare large files with their digests whenever all of one is sent: a damaged one is cut off before "
        "its end, at four times the CPU. Ranges are not compared. Files up to 64 KiB always are, when they "
        "are read.",
    )
    allow_fuse: bool = setting(
        False, kinds.BOOLEAN, "Accept a FUSE file system under the catalog, whose locks you have verified."
    )

    def problems(self) -> Iterator[str]:
        """What contradicts itself."""
        if (self.s3_access_key is None) != (self.s3_secret_key is None):
            yield "storage.s3_access_key and storage.s3_secret_key: set both, or neither"
