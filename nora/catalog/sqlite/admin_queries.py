"""The SQL of what administrators do, as `queries` has that of requests."""

from __future__ import annotations

from typing import Final

LIST_HELD_FILES: Final = """
SELECT file.id, file.path, file.version_id, version.name, file.blob_id, blob.digest,
file.fetched_at IS NOT NULL AND file.fresh_until IS NOT NULL FROM file
CROSS JOIN blob ON blob.id = file.blob_id
LEFT JOIN version ON version.id = file.version_id
WHERE file.package_id = ?"""

LIST_HELD_VERSIONS: Final = "SELECT id, name FROM version WHERE package_id = ?"

LIST_NEEDED: Final = "SELECT DISTINCT digest FROM reference WHERE version_id = ?"

LIST_LINKS: Final = "SELECT blob_id FROM link WHERE package_id = ?"

COUNT_BLOBS_WITHOUT_FILE: Final = """
SELECT count(*) FROM link WHERE package_id = ?
AND NOT EXISTS (SELECT 1 FROM file WHERE file.blob_id = link.blob_id AND file.package_id = link.package_id)"""

EXPIRE_DOCUMENTS: Final = """
UPDATE file SET fresh_until = 0.0
WHERE package_id = ? AND fetched_at IS NOT NULL AND fresh_until IS NOT NULL"""

DELETE_FILES: Final = "DELETE FROM file WHERE package_id = ?"
DELETE_VERSIONS: Final = "DELETE FROM version WHERE package_id = ?"
DELETE_LINKS: Final = "DELETE FROM link WHERE package_id = ?"
DELETE_PACKAGE: Final = "DELETE FROM package WHERE id = ?"
DELETE_ABSENCE: Final = "DELETE FROM absence WHERE repository_id = ? AND name = ?"

LIST_HOLDERS: Final = """
SELECT package.name FROM link CROSS JOIN package ON package.id = link.package_id
WHERE link.blob_id = ? AND package.repository_id = ?
UNION
SELECT package.name FROM file CROSS JOIN package ON package.id = file.package_id
WHERE file.blob_id = ? AND package.repository_id = ?"""

IS_CACHED_ALONE: Final = """
SELECT 1 FROM file WHERE repository_id = ? AND path = ? AND package_id IS NULL AND fetched_at IS NOT NULL"""
