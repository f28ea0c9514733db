"""What a search reads. Answers are JSON texts: a row for each step would mean to wait for the interpreter
lock at each."""

from __future__ import annotations

from typing import Final

INDEXED_TO: Final = "SELECT indexed_to FROM name_index WHERE id = 1"

FIND_BY_LETTERS: Final = """
SELECT json_group_array(id) FROM (SELECT rowid AS id FROM package_name
WHERE package_name MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?)"""

FIND_BEGINNINGS: Final = """
SELECT json_group_array(id) FROM (SELECT id FROM package
WHERE repository_id = ? AND name >= ? AND name < ? ORDER BY name LIMIT ?)"""

FIND_MOST_USED: Final = """
SELECT json_group_array(package_id) FROM (SELECT package_id FROM package_use
WHERE pulls > 0 ORDER BY pulls DESC LIMIT ?)"""

FIND_LATEST: Final = """
SELECT json_group_array(id) FROM (SELECT id FROM package WHERE id > ? ORDER BY id DESC LIMIT ?)"""

LOOK_UP: Final = """
SELECT json_group_array(json_array(package.repository_id, package.name,
coalesce(package_use.pulls, 0), package_use.last_pulled_at))
FROM json_each(?) AS wanted CROSS JOIN package ON package.id = wanted.value
LEFT JOIN package_use ON package_use.package_id = package.id
WHERE package.repository_id IN (SELECT value FROM json_each(?))
AND (package.versions > 0 OR EXISTS (SELECT 1 FROM file WHERE file.package_id = package.id))"""
"""Packages that hold anything, of some repositories, among those with some ids."""

FIND_WORDS: Final = """
SELECT json_group_array(word) FROM (SELECT word FROM name_word
WHERE length = ? AND word >= ? AND word < ? LIMIT ?)"""

LIST_UNINDEXED: Final = "SELECT id, name FROM package WHERE id > ? ORDER BY id LIMIT ?"

INDEX_NAME: Final = "INSERT INTO package_name (rowid, name) VALUES (?, ?)"

INDEX_WORD: Final = "INSERT OR IGNORE INTO name_word (length, word) VALUES (?, ?)"

MOVE_INDEX: Final = "UPDATE name_index SET indexed_to = ? WHERE id = 1"

FIND_TAGS: Final = """
SELECT json_group_array(json_array(package.repository_id, package.name, tag.name, version.name,
coalesce(package_use.pulls, 0)))
FROM (SELECT name, package_id FROM tag_name WHERE name >= ? AND name < ? ORDER BY name LIMIT ?) AS hit
CROSS JOIN package ON package.id = hit.package_id
CROSS JOIN tag ON tag.package_id = hit.package_id AND tag.name = hit.name
CROSS JOIN version ON version.id = tag.version_id
LEFT JOIN package_use ON package_use.package_id = package.id
WHERE package.repository_id IN (SELECT value FROM json_each(?))"""

FIND_DIGESTS: Final = """
SELECT json_group_array(id) FROM (
SELECT id FROM blob WHERE digest >= ?1 AND digest < ?2 AND state = 'live'
UNION
SELECT blob.id FROM blob_alias CROSS JOIN blob ON blob.id = blob_alias.blob_id
WHERE blob_alias.digest >= ?1 AND blob_alias.digest < ?2 AND blob.state = 'live' LIMIT ?3)"""

FIND_FILES_WITH: Final = """
SELECT json_group_array(json_array(repository_id, package, version, path, digest, size)) FROM (
SELECT file.repository_id, package.name AS package, version.name AS version, file.path, blob.digest, blob.size
FROM json_each(?) AS wanted CROSS JOIN blob ON blob.id = wanted.value
CROSS JOIN file ON file.blob_id = blob.id
LEFT JOIN package ON package.id = file.package_id
LEFT JOIN version ON version.id = file.version_id
WHERE file.repository_id IN (SELECT value FROM json_each(?))
AND (file.expires_at IS NULL OR file.expires_at > CAST(strftime('%s', 'now') AS REAL)) LIMIT ?)"""

FIND_HOLDERS: Final = """
SELECT json_group_array(json_array(repository_id, name, NULL, NULL, digest, size)) FROM (
SELECT package.repository_id, package.name, blob.digest, blob.size
FROM json_each(?) AS wanted CROSS JOIN blob ON blob.id = wanted.value
CROSS JOIN link ON link.blob_id = blob.id
CROSS JOIN package ON package.id = link.package_id
WHERE package.repository_id IN (SELECT value FROM json_each(?))
AND NOT EXISTS (SELECT 1 FROM file WHERE file.blob_id = blob.id AND file.package_id = package.id) LIMIT ?)"""

TAGS_INDEXED_TO: Final = "SELECT tags_to_package, tags_to FROM name_index WHERE id = 1"

LIST_UNINDEXED_TAGS: Final = """
SELECT name, package_id FROM tag WHERE (package_id, name) > (?, ?) ORDER BY package_id, name LIMIT ?"""

INDEX_TAG: Final = "INSERT OR IGNORE INTO tag_name (name, package_id) VALUES (?, ?)"

MOVE_TAG_INDEX: Final = "UPDATE name_index SET tags_to_package = ?, tags_to = ? WHERE id = 1"
