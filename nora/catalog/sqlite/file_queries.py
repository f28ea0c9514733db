"""The SQL of what is put at paths, and removed from them, as `queries` has that of reads."""

from __future__ import annotations

from typing import Final

# What is put at a path is no copy of an upstream's any more, unless it is the same bytes. Other bytes are of
# a later second, whatever the clock says: `If-Modified-Since` tells them apart by that alone.
PUT_FILE: Final = """
INSERT INTO file (repository_id, path, package_id, version_id, blob_id, size, media_type, created_at,
document, checksums, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (repository_id, path) DO UPDATE SET package_id = excluded.package_id,
version_id = excluded.version_id, blob_id = excluded.blob_id, size = excluded.size,
media_type = excluded.media_type, document = excluded.document, checksums = excluded.checksums,
expires_at = excluded.expires_at,
created_at = CASE WHEN blob_id = excluded.blob_id THEN created_at
ELSE max(excluded.created_at, created_at + 1.0) END,
fetched_at = CASE WHEN blob_id = excluded.blob_id THEN fetched_at END"""

KEEP_FILE_LONGER: Final = "UPDATE file SET expires_at = ?1 WHERE id = ?2 AND (?1 IS NULL OR expires_at < ?1)"

FIND_OCCUPANT: Final = """
SELECT file.id, file.package_id, package.name, file.version_id, file.blob_id, blob.digest, file.fetched_at,
file.expires_at FROM file
CROSS JOIN blob ON blob.id = file.blob_id
LEFT JOIN package ON package.id = file.package_id
WHERE file.repository_id = ? AND file.path = ?"""

LIST_ENDED: Final = "SELECT repository_id, path FROM file WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"
