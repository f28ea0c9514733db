"""The SQL of what administrators do, as `queries` has that of requests."""

from __future__ import annotations

# ruff: noqa: S608 - what is put together here are the constants of this module
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

# -- blocks ----------------------------------------------------------------------------------------------

_BLOCK: Final = """
SELECT block.id, block.format, repository.name, block.name, block.version, block.digest, block.reason,
block.created_by, block.created_at"""

_BLOCKS: Final = f"{_BLOCK} FROM block LEFT JOIN repository ON repository.id = block.repository_id"

FIND_BLOCK: Final = f"{_BLOCKS} WHERE block.id = ?"
LIST_BLOCKS: Final = f"{_BLOCKS} WHERE block.id > ? ORDER BY block.id LIMIT ?"

READ_BLOCKS: Final = f"""
{_BLOCK}, block.repository_id, (SELECT group_concat(blob.digest) FROM blob_alias
CROSS JOIN blob ON blob.id = blob_alias.blob_id
WHERE blob_alias.digest = CASE block.digest WHEN '' THEN block.version ELSE block.digest END)
FROM block LEFT JOIN repository ON repository.id = block.repository_id WHERE block.id > ? ORDER BY block.id"""

READ_ROWS: Final = """
SELECT repository.id, repository.name, repository.format, group_concat(member.repository_id)
FROM repository LEFT JOIN member ON member.group_id = repository.id GROUP BY repository.id"""

FIND_REPOSITORY: Final = "SELECT id FROM repository WHERE name = ?"

INSERT_BLOCK: Final = """
INSERT INTO block (format, repository_id, name, version, digest, reason, created_by, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"""

COUNT_BLOCKS: Final = "SELECT count(*) FROM block"

DELETE_BLOCK: Final = "DELETE FROM block WHERE id = ?"
