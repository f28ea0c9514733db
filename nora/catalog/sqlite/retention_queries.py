"""The SQL of histories (nora.catalog.histories), as `queries` has that of other reads."""

from __future__ import annotations

from typing import Final

# One text of all: a row for each step would mean to wait for the interpreter lock at each.
LIST_VERSION_HISTORIES: Final = """
SELECT json_group_array(json_array(name, published_at, subject, last_pulled_at, json(files), json(needs)))
FROM (SELECT version.name, version.published_at, version.subject, version.last_pulled_at,
(SELECT json_group_array(json_array(file.path, blob.digest, file.size))
FROM file CROSS JOIN blob ON blob.id = file.blob_id WHERE file.version_id = version.id) AS files,
(SELECT json_group_array(json_array(reference.digest, coalesce(blob.size, 0)))
FROM reference LEFT JOIN blob ON blob.digest = reference.digest AND blob.state = 'live'
WHERE reference.version_id = version.id) AS needs
FROM version WHERE version.package_id = ? ORDER BY version.name)"""

LIST_TAG_HISTORIES: Final = """
SELECT json_group_array(json_array(tag, version, updated_at)) FROM (
SELECT tag.name AS tag, version.name AS version, tag.updated_at FROM tag
CROSS JOIN version ON version.id = tag.version_id
WHERE tag.package_id = ? ORDER BY tag.name)"""

LIST_FILE_HISTORIES: Final = """
SELECT file.path, blob.digest, file.size, file.created_at, file.last_used_at FROM file
CROSS JOIN blob ON blob.id = file.blob_id
WHERE file.repository_id = ? AND file.path > ? AND file.package_id IS NULL
ORDER BY file.path LIMIT ?"""
