"""Which blob store the configuration asks for. The one place that knows both."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from nora.blobs.local import LocalBlobStore
from nora.errors import StartError, StorageFailed

if TYPE_CHECKING:
    from nora.blobs.base import BlobRows
    from nora.blobs.layout import Layout
    from nora.blobs.s3 import Bucket, S3BlobStore
    from nora.config import Config


def open_store(config: Config, layout: Layout, rows: BlobRows | None = None) -> LocalBlobStore | S3BlobStore:
    """The store. Nothing is asked of a bucket yet."""
    storage = config.storage
    if storage.mode == "local":
        return LocalBlobStore(
            layout,
            reserve_bytes=storage.reserve,
            durable=storage.durability,
            rows=rows,
            verifies=storage.verify_reads,
        )
    from nora.blobs.s3 import DiskCache, S3BlobStore

    folder = config.cache.disk
    return S3BlobStore(
        open_bucket(config),
        layout,
        reserve_bytes=storage.reserve,
        durable=storage.durability,
        rows=rows,
        verifies=storage.verify_reads,
        redirects=storage.s3_redirect,
        prefix=storage.s3_prefix,
        cache=DiskCache(folder, config.cache.disk_size) if folder is not None else None,
    )


def refuse_unfinished(layout: Layout) -> None:
    """Raise StartError where a backup was not put back to its end: not all is there."""
    if layout.restoring.exists():
        raise StartError(
            f"{layout.root} is where a backup is being put back, or was not to its end: run `nora restore` "
            f"again; or remove {layout.restoring.name}, to use the store as it is"
        )


def open_bucket(config: Config, name: str = "") -> Bucket:
    """The bucket of the configuration, or another one of its server."""
    from nora.blobs.s3 import Bucket, BucketAddress

    storage = config.storage
    return Bucket(
        BucketAddress(
            name=name or storage.bucket,
            endpoint=storage.s3_url,
            region=storage.s3_region,
            access_key=storage.s3_access_key,
            secret_key=storage.s3_secret_key,
            is_virtual_hosted=storage.s3_virtual_hosted,
            ca_file=_trusted(config),
        )
    )


def find_object(config: Config, layout: Layout) -> str | None:
    """Some stored object; None when there is none. Raises OSError, and StartError for a bucket that cannot be
    looked into."""
    if config.storage.mode == "local":
        return layout.find_object()
    bucket = open_bucket(config)
    try:
        return next((key for key, _ in bucket.list(f"{config.storage.s3_prefix}blobs/", limit=1)), None)
    except StorageFailed as error:
        raise StartError(str(error)) from error
    finally:
        bucket.close()


def _trusted(config: Config) -> str | None:
    """A file with the authorities of the system and those of `tls.ca_cert`; None for the system's alone."""
    if config.tls.ca_cert is None:
        return None
    system = ssl.get_default_verify_paths().cafile
    parts = [Path(path).read_text(encoding="utf-8") for path in (system, config.tls.ca_cert) if path]
    path = config.storage.path / "authorities.pem"
    text = "\n".join(parts)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return str(path)
