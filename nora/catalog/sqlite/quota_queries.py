"""The SQL of quotas (nora.catalog.quotas), as `queries` has that of other reads."""

from __future__ import annotations

from typing import Final

FIND_QUOTA: Final = "SELECT bytes, versions, most_bytes, most_versions FROM quota WHERE repository_id = ?"

LIST_QUOTAS: Final = "SELECT repository_id, most_bytes, most_versions, bytes, versions FROM quota"

NAME_OF: Final = "SELECT name FROM repository WHERE id = ?"

DELETE_HELD: Final = "DELETE FROM held WHERE repository_id = ?"
DELETE_QUOTA: Final = "DELETE FROM quota WHERE repository_id = ?"
INSERT_QUOTA: Final = """
INSERT INTO quota (repository_id, most_bytes, most_versions, bytes, versions) VALUES (?, NULL, NULL, 0, 0)"""
UPDATE_QUOTA: Final = "UPDATE quota SET most_bytes = ?, most_versions = ? WHERE repository_id = ?"

# What there is when a quota is said first. Rows of `held` are added to the bytes by their trigger.
FILL_HELD: Final = """
INSERT INTO held (repository_id, blob_id, holders)
SELECT package.repository_id, link.blob_id, count(*) FROM package
CROSS JOIN link ON link.package_id = package.id
WHERE package.repository_id = ? GROUP BY link.blob_id"""
FILL_HELD_BY_FILES: Final = """
INSERT INTO held (repository_id, blob_id, holders)
SELECT repository_id, blob_id, count(*) FROM file
WHERE repository_id = ? AND package_id IS NULL GROUP BY blob_id
ON CONFLICT (repository_id, blob_id) DO UPDATE SET holders = holders + excluded.holders"""
FILL_VERSIONS: Final = """
UPDATE quota SET versions = (SELECT coalesce(sum(versions), 0) FROM package WHERE repository_id = ?1)
+ (SELECT count(*) FROM file WHERE repository_id = ?1 AND package_id IS NULL) WHERE repository_id = ?1"""
