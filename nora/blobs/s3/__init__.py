"""The blob store of a fleet: a bucket of any store that speaks the S3 protocol."""

from nora.blobs.s3.bucket import Bucket, BucketAddress
from nora.blobs.s3.disk_cache import DiskCache
from nora.blobs.s3.store import S3BlobStore

__all__ = ["Bucket", "BucketAddress", "DiskCache", "S3BlobStore"]
