"""The compiled parts of NORA and their pure Python twins: the only place that decides between them.

`NORA_NO_EXTENSIONS=1` takes the twins. `NORA_REQUIRE_EXTENSIONS=1` makes a missing extension an ImportError;
without it a missing extension falls back to the twins. `COMPILED` says which ones are in use. Type checkers
read the twins. Nothing here imports anything else of nora.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from nora._speedups.descriptors import Descriptor, Manifest

MODULES = ("names", "ranges", "digest", "files", "manifest")
"""The modules that exist twice: `<name>_py` and `<name>_c`."""


def _switched_on(variable: str) -> bool:
    return os.environ.get(variable, "0") not in {"", "0"}


def _load_extensions() -> bool:
    """Whether the extensions are to be used: all of them or none."""
    required = _switched_on("NORA_REQUIRE_EXTENSIONS")
    if _switched_on("NORA_NO_EXTENSIONS"):
        if required:
            raise ImportError("NORA_NO_EXTENSIONS and NORA_REQUIRE_EXTENSIONS contradict: unset one of them")
        return False
    try:
        for name in MODULES:
            import_module(f"{__name__}.{name}_c")
    except ImportError as error:
        if required:
            raise ImportError(
                "NORA_REQUIRE_EXTENSIONS is set and a compiled module is missing: install a wheel of this "
                "platform, or a C compiler and build again (pip install -e .), or unset the variable"
            ) from error
        return False
    return True


COMPILED: bool = _load_extensions()
"""Whether the compiled modules are in use, all of them; else all the twins."""

if TYPE_CHECKING or not COMPILED:
    from nora._speedups.digest_py import ALGORITHMS, CHECKSUMS, Hasher, hash_file
    from nora._speedups.files_py import DURABLE_DATA, DURABLE_FULL, DURABLE_NOT, store_file
    from nora._speedups.manifest_py import scan_manifest
    from nora._speedups.names_py import (
        BLOB,
        CATALOG,
        EXTENSIONS,
        MANIFEST,
        NOWHERE,
        PING,
        REFERRERS,
        TAGS,
        TOKEN,
        UPLOAD,
        UPLOADS,
        check_storage_key,
        is_digest,
        is_image_name,
        is_request_id,
        is_tag,
        parse_digest,
        split_oci_path,
    )
    from nora._speedups.ranges_py import parse_content_range, parse_range
else:
    from nora._speedups.digest_c import ALGORITHMS, CHECKSUMS, Hasher, hash_file
    from nora._speedups.files_c import DURABLE_DATA, DURABLE_FULL, DURABLE_NOT, store_file
    from nora._speedups.manifest_c import scan_manifest
    from nora._speedups.names_c import (
        BLOB,
        CATALOG,
        EXTENSIONS,
        MANIFEST,
        NOWHERE,
        PING,
        REFERRERS,
        TAGS,
        TOKEN,
        UPLOAD,
        UPLOADS,
        check_storage_key,
        is_digest,
        is_image_name,
        is_request_id,
        is_tag,
        parse_digest,
        split_oci_path,
    )
    from nora._speedups.ranges_c import parse_content_range, parse_range

__all__ = [
    "ALGORITHMS",
    "BLOB",
    "CATALOG",
    "CHECKSUMS",
    "COMPILED",
    "DURABLE_DATA",
    "DURABLE_FULL",
    "DURABLE_NOT",
    "EXTENSIONS",
    "MANIFEST",
    "NOWHERE",
    "PING",
    "REFERRERS",
    "TAGS",
    "TOKEN",
    "UPLOAD",
    "UPLOADS",
    "Descriptor",
    "Hasher",
    "Manifest",
    "check_storage_key",
    "hash_file",
    "is_digest",
    "is_image_name",
    "is_request_id",
    "is_tag",
    "parse_content_range",
    "parse_digest",
    "parse_range",
    "scan_manifest",
    "split_oci_path",
    "store_file",
]
