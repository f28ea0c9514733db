"""What the data directory takes, and what is left for it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from nora.errors import StorageFailed

_BESIDE = ("", "-wal", "-shm")


def measure(root: Path, catalog: Path) -> Mapping[str, float]:
    """Gauges by their names, in bytes: for a thread. Raises StorageFailed."""
    try:
        disk = shutil.disk_usage(root)
    except OSError as error:
        raise StorageFailed(f"the space of {root} cannot be asked for: {error.strerror}") from error
    size = 0
    for suffix in _BESIDE:
        with suppress(FileNotFoundError):
            size += catalog.with_name(catalog.name + suffix).stat().st_size
    return {"nora_disk_free_bytes": disk.free, "nora_disk_bytes": disk.total, "nora_catalog_bytes": size}
