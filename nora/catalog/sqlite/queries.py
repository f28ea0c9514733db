"""The SQL of the catalog. Point reads are one statement each, along keys only.

CROSS JOIN says in which order the tables are visited: the plan depends on the keys and never on statistics.
Parameters are positional.
"""

# ruff: noqa: S608 - what is put together here are the constants of this module; none is a secret

from __future__ import annotations

from typing import Final

# -- reads -----------------------------------------------------------------------------------------------

GET_PACKAGE: Final = """
SELECT id, name, owned, revision, coalesce(document, CAST('{}' AS BLOB)) FROM package
WHERE repository_id = ? AND name = ?"""

_PACKAGES: Final = """
SELECT id, name, owned, revision, coalesce(document, CAST('{}' AS BLOB)), repository_id FROM package
WHERE (repository_id, name) IN (VALUES """

_ABSENCES: Final = """
SELECT repository_id, name FROM absence WHERE (repository_id, name) IN (VALUES """


def find_packages(count: int) -> str:
    """The packages of so many keys (repository, name)."""
    return f"{_PACKAGES}{', '.join(['(?, ?)'] * count)})"


def find_absences(count: int) -> str:
    """Those of so many keys (repository, name) that are known to be absent."""
    return f"{_ABSENCES}{', '.join(['(?, ?)'] * count)})"


NOTE_ABSENCE: Final = """
INSERT INTO absence (repository_id, name, noted_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"""

LIST_PACKAGES: Final = """
SELECT name FROM package WHERE repository_id = ? AND name >= ? AND versions > 0
ORDER BY name LIMIT ?"""

LIST_KNOWN_PACKAGES: Final = """
SELECT name FROM package WHERE repository_id = ? AND name > ?
AND (versions > 0 OR EXISTS (SELECT 1 FROM file WHERE file.package_id = package.id))
ORDER BY name LIMIT ?"""

LIST_OWNED_PACKAGES: Final = """
SELECT name FROM package WHERE repository_id = ? AND name > ? AND owned ORDER BY name LIMIT ?"""

LIST_VERSIONS: Final = """
SELECT json_group_array(json_array(name, state, CAST(document AS TEXT), published_at, pulls,
last_pulled_at)) FROM (
SELECT version.name, version.state, version.document, version.published_at, version.pulls,
version.last_pulled_at FROM package
CROSS JOIN version ON version.package_id = package.id AND version.name > ?
WHERE package.repository_id = ? AND package.name = ?
ORDER BY version.name LIMIT ?)"""

LIST_PACKAGE_FILES: Final = """
SELECT json_group_array(json_array(path, version, media_type, blob_id, digest, size, generation,
coalesce(CAST(document AS TEXT), '{}'), created_at, checksums)) FROM (
SELECT file.path, version.name AS version, file.media_type, file.blob_id, blob.digest, blob.size,
blob.generation, file.document, file.created_at, file.checksums FROM package
CROSS JOIN file ON file.package_id = package.id AND file.path > ?
CROSS JOIN blob ON blob.id = file.blob_id
LEFT JOIN version ON version.id = file.version_id
WHERE package.repository_id = ? AND package.name = ?
ORDER BY file.path LIMIT ?)"""

# `+` keeps to the files of the package: those of others that are as new may be many.
LIST_LATER_FILES: Final = """
SELECT package.revision,
(SELECT count(*) FROM file WHERE file.package_id = package.id),
(SELECT coalesce(max(+file.id), 0) FROM file WHERE file.package_id = package.id),
(SELECT json_group_array(json_array(path, version, media_type, blob_id, digest, size, generation, document,
created_at, checksums)) FROM (
SELECT file.path, version.name AS version, file.media_type, file.blob_id, blob.digest, blob.size,
blob.generation, coalesce(CAST(file.document AS TEXT), '{}') AS document, file.created_at, file.checksums
FROM file
CROSS JOIN blob ON blob.id = file.blob_id
LEFT JOIN version ON version.id = file.version_id
WHERE file.package_id = package.id AND +file.id > ? LIMIT ?))
FROM package WHERE package.repository_id = ? AND package.name = ?"""

_FILE: Final = """file.id, file.repository_id, file.path, package.name, version.name, file.media_type,
blob.id, blob.digest, blob.size, blob.generation, file.checksums, file.created_at,
file.expires_at"""

FIND_FILE: Final = f"""
SELECT {_FILE} FROM file
CROSS JOIN blob ON blob.id = file.blob_id
LEFT JOIN version ON version.id = file.version_id
LEFT JOIN package ON package.id = file.package_id
WHERE file.repository_id = ? AND file.path = ?"""

FIND_PATHS: Final = """
SELECT file.path FROM json_each(?2) AS wanted
CROSS JOIN file ON file.repository_id = ?1 AND file.path = wanted.value"""

# A step finds the first path that is not beneath the entry of the one before: what is in a directory has a
# path between `directory/` and `directory0`, as 0 is the character after the slash.
_REST: Final = "substr(entry.path, length(?2) + 1)"

LIST_DIRECTORY: Final = f"""
WITH RECURSIVE entry (path) AS (
SELECT (SELECT path FROM file WHERE repository_id = ?1 AND path >= ?2 || ?3 ORDER BY path LIMIT 1)
UNION ALL
SELECT (SELECT next.path FROM file AS next WHERE next.repository_id = ?1 AND next.path >=
CASE instr({_REST}, '/') WHEN 0 THEN entry.path || char(1)
ELSE ?2 || substr({_REST}, 1, instr({_REST}, '/') - 1) || '0' END
ORDER BY next.path LIMIT 1)
FROM entry WHERE substr(entry.path, 1, length(?2)) = ?2
LIMIT ?4)
SELECT CASE instr({_REST}, '/') WHEN 0 THEN {_REST} ELSE substr({_REST}, 1, instr({_REST}, '/')) END,
{_FILE} FROM entry
CROSS JOIN file ON file.repository_id = ?1 AND file.path = entry.path
CROSS JOIN blob ON blob.id = file.blob_id
LEFT JOIN version ON version.id = file.version_id
LEFT JOIN package ON package.id = file.package_id
WHERE substr(entry.path, 1, length(?2)) = ?2"""

FIND_CACHED: Final = """
SELECT file.id, file.path, package.name, file.media_type, blob.id, blob.digest, blob.size, blob.generation,
file.upstream_url, file.validators, coalesce(file.document, CAST('{}' AS BLOB)), file.fetched_at,
file.fresh_until, version.name, file.checksums FROM file
CROSS JOIN blob ON blob.id = file.blob_id
LEFT JOIN version ON version.id = file.version_id
LEFT JOIN package ON package.id = file.package_id
WHERE file.repository_id = ? AND file.path = ? AND file.fetched_at IS NOT NULL"""

LIST_IDLE_CACHED: Final = """
SELECT path FROM file WHERE repository_id = ? AND last_used_at < ? AND fetched_at < ?
AND fresh_until IS NOT NULL ORDER BY last_used_at LIMIT ?"""

IS_IDLE_CACHED: Final = "SELECT 1 FROM file WHERE id = ? AND last_used_at < ? AND fetched_at < ?"

FIND_REFERENCE: Final = """
SELECT 1 FROM package CROSS JOIN reference ON reference.package_id = package.id AND reference.digest = ?
WHERE package.repository_id = ? AND package.name = ? LIMIT 1"""

FIND_TAGGED_FILE: Final = f"""
SELECT {_FILE} FROM package
CROSS JOIN tag ON tag.package_id = package.id AND tag.name = ?
CROSS JOIN version ON version.id = tag.version_id
CROSS JOIN file ON file.version_id = version.id
CROSS JOIN blob ON blob.id = file.blob_id
WHERE package.repository_id = ? AND package.name = ?
LIMIT 1"""

# A package may hold the same bytes under several versions (sha256 and sha512): the reader chooses.
FIND_VERSION_FILES: Final = f"""
SELECT {_FILE} FROM package
CROSS JOIN blob ON blob.digest = ? AND blob.state = 'live'
CROSS JOIN file ON file.blob_id = blob.id AND file.package_id = package.id
CROSS JOIN version ON version.id = file.version_id
WHERE package.repository_id = ? AND package.name = ?
LIMIT 8"""

FIND_VERSION_FILES_BY_ALIAS: Final = f"""
SELECT {_FILE} FROM package
CROSS JOIN blob_alias ON blob_alias.digest = ?
CROSS JOIN blob ON blob.id = blob_alias.blob_id AND blob.state = 'live'
CROSS JOIN file ON file.blob_id = blob.id AND file.package_id = package.id
CROSS JOIN version ON version.id = file.version_id
WHERE package.repository_id = ? AND package.name = ?
LIMIT 8"""

LIST_TAGS: Final = """
SELECT json_group_array(name) FROM (
SELECT tag.name FROM package CROSS JOIN tag ON tag.package_id = package.id AND tag.name > ?
WHERE package.repository_id = ? AND package.name = ?
ORDER BY tag.name LIMIT ?)"""

# The size of a document is in the row; what is long of it is in pages of its own, which are not read for it.
LIST_SIZES_ABOUT: Final = """
SELECT version.name, length(version.document) FROM package
CROSS JOIN version ON version.package_id = package.id AND version.subject = ? AND version.name > ?
CROSS JOIN file ON file.version_id = version.id
WHERE package.repository_id = ? AND package.name = ? AND (? IS NULL OR version.kind = ?)
ORDER BY version.name LIMIT ?"""

LIST_VERSIONS_ABOUT: Final = """
SELECT version.name, file.media_type, file.size, version.kind, version.document FROM package
CROSS JOIN version ON version.package_id = package.id AND version.subject = ?
AND version.name > ? AND version.name <= ?
CROSS JOIN file ON file.version_id = version.id
WHERE package.repository_id = ? AND package.name = ? AND (? IS NULL OR version.kind = ?)
ORDER BY version.name"""

_BLOB: Final = "blob.id, blob.digest, blob.size, blob.generation"

FIND_BLOB: Final = f"SELECT {_BLOB}, 0.0 FROM blob WHERE digest = ? AND state = 'live'"

FIND_BLOB_BY_ALIAS: Final = f"""
SELECT {_BLOB}, 0.0 FROM blob_alias
CROSS JOIN blob ON blob.id = blob_alias.blob_id AND blob.state = 'live'
WHERE blob_alias.digest = ? LIMIT 1"""

FIND_LINKED_BLOB: Final = f"""
SELECT {_BLOB}, link.lease_until FROM package
CROSS JOIN blob ON blob.digest = ? AND blob.state = 'live'
CROSS JOIN link ON link.package_id = package.id AND link.blob_id = blob.id
WHERE package.repository_id = ? AND package.name = ?"""

FIND_LINKED_BLOB_BY_ALIAS: Final = f"""
SELECT {_BLOB}, link.lease_until FROM package
CROSS JOIN blob_alias ON blob_alias.digest = ?
CROSS JOIN blob ON blob.id = blob_alias.blob_id AND blob.state = 'live'
CROSS JOIN link ON link.package_id = package.id AND link.blob_id = blob.id
WHERE package.repository_id = ? AND package.name = ?
LIMIT 1"""

LIST_BLOB_HOLDERS: Final = """
SELECT package.repository_id, package.name FROM link
CROSS JOIN package ON package.id = link.package_id
WHERE link.blob_id = ? LIMIT ?"""

IS_PROXY: Final = "SELECT 1 FROM repository WHERE id = ? AND kind = 'proxy'"

# -- packages, versions, tags ----------------------------------------------------------------------------

FIND_PACKAGE: Final = "SELECT id FROM package WHERE repository_id = ? AND name = ?"

FIND_PACKAGE_TO_FILL: Final = """
SELECT id, owned OR (SELECT kind FROM repository WHERE repository.id = repository_id) <> 'hosted', opened
FROM package WHERE repository_id = ? AND name = ?"""

IS_OWNED: Final = "SELECT 1 FROM package WHERE repository_id = ? AND name = ? AND owned"

INSERT_PACKAGE: Final = """
INSERT INTO package (repository_id, name, owned, created_at, opened)
SELECT id, ?, kind = 'hosted', ?, ? FROM repository WHERE id = ? RETURNING id"""

TOUCH_PACKAGE: Final = """
UPDATE package SET revision = revision + 1, versions = versions + ? WHERE id = ?"""

OWN_PACKAGE: Final = "UPDATE package SET owned = 1, revision = revision + 1 WHERE id = ?"

FILL_PACKAGE: Final = "UPDATE package SET opened = 0 WHERE id = ?"

DELETE_OPENED_PACKAGE: Final = """
DELETE FROM package WHERE id = ? AND opened
AND NOT EXISTS (SELECT 1 FROM upload WHERE upload.package_id = package.id)
RETURNING repository_id, name"""

RELEASE_PACKAGE: Final = """
UPDATE package SET owned = 0, revision = revision + 1 WHERE repository_id = ? AND name = ? AND owned"""

UPDATE_PACKAGE: Final = """
UPDATE package SET document = ?, revision = revision + 1 WHERE repository_id = ? AND name = ?"""

UPDATE_PACKAGE_IF_SAME: Final = f"{UPDATE_PACKAGE} AND coalesce(document, ?) = ?"

FIND_VERSION: Final = "SELECT id FROM version WHERE package_id = ? AND name = ?"

FIND_VERSION_DOCUMENT: Final = "SELECT document FROM version WHERE id = ?"

INSERT_VERSION: Final = """
INSERT INTO version (package_id, name, kind, subject, published_at, first_seen_at, document)
VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id"""

RENEW_VERSION: Final = """
UPDATE version SET kind = ?, subject = ?, published_at = ?, document = ?, state = 'live'
WHERE id = ?"""

FIND_VERSION_STATE: Final = "SELECT state FROM version WHERE package_id = ? AND name = ?"

UPDATE_VERSION: Final = """
UPDATE version SET state = coalesce(?, state), document = coalesce(?, document)
WHERE package_id = ? AND name = ?"""

FIND_VERSION_NAME: Final = "SELECT name FROM version WHERE id = ?"

FIND_VERSION_BLOBS: Final = """
SELECT DISTINCT blob.id, blob.digest FROM file CROSS JOIN blob ON blob.id = file.blob_id
WHERE file.version_id = ?"""

FIND_VERSIONS_ALIKE: Final = """
SELECT DISTINCT version.id, version.name FROM file
CROSS JOIN file AS other ON other.blob_id = file.blob_id AND other.package_id = ?
CROSS JOIN version ON version.id = other.version_id
WHERE file.version_id = ?"""

DELETE_EMPTY_VERSION: Final = """
DELETE FROM version WHERE id = ? AND NOT EXISTS (SELECT 1 FROM file WHERE file.version_id = version.id)"""

DELETE_VERSION: Final = "DELETE FROM version WHERE id = ?"

PUT_CACHED: Final = """
INSERT INTO file (repository_id, path, package_id, version_id, blob_id, size, media_type, created_at,
document, checksums, upstream_url, validators, fetched_at, fresh_until, last_used_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (repository_id, path) DO UPDATE SET package_id = excluded.package_id,
version_id = excluded.version_id, blob_id = excluded.blob_id, size = excluded.size,
media_type = excluded.media_type, document = excluded.document, checksums = excluded.checksums,
upstream_url = excluded.upstream_url, validators = excluded.validators, fetched_at = excluded.fetched_at,
fresh_until = excluded.fresh_until,
last_used_at = max(coalesce(last_used_at, 0.0), excluded.last_used_at)"""

TOUCH_CACHED: Final = """
UPDATE file SET validators = coalesce(?, validators), fetched_at = ?, fresh_until = ?
WHERE repository_id = ? AND path = ? AND fetched_at IS NOT NULL
RETURNING (SELECT name FROM package WHERE package.id = package_id)"""

NOTE_FILE_USE: Final = "UPDATE file SET last_used_at = ? WHERE id = ? AND coalesce(last_used_at, 0.0) < ?"

DELETE_FILE: Final = "DELETE FROM file WHERE id = ?"

HAS_TOMBSTONE: Final = "SELECT 1 FROM tombstone WHERE repository_id = ? AND path = ?"

INSERT_TOMBSTONE: Final = """
INSERT INTO tombstone (repository_id, path, deleted_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"""

CLEAR_REFERENCES: Final = "DELETE FROM reference WHERE version_id = ?"

INSERT_REFERENCES: Final = """
INSERT INTO reference (version_id, package_id, digest, role)
SELECT ?1, ?2, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?3) WHERE 1
ON CONFLICT DO NOTHING"""

LIST_MISSING: Final = """
SELECT json_group_array(wanted.value) FROM json_each(?2) AS wanted
WHERE NOT EXISTS (SELECT 1 FROM blob CROSS JOIN link ON link.package_id = ?1 AND link.blob_id = blob.id
WHERE blob.digest = wanted.value AND blob.state = 'live')
AND NOT EXISTS (SELECT 1 FROM blob_alias
CROSS JOIN blob ON blob.id = blob_alias.blob_id AND blob.state = 'live'
CROSS JOIN link ON link.package_id = ?1 AND link.blob_id = blob.id WHERE blob_alias.digest = wanted.value)"""

# By any of its digests: versions may refer to the same bytes by several.
HAS_REFERENCE: Final = """
SELECT 1 FROM blob CROSS JOIN reference ON reference.package_id = ?1 AND reference.digest = blob.digest
WHERE blob.id = ?2
UNION ALL
SELECT 1 FROM blob_alias
CROSS JOIN reference ON reference.package_id = ?1 AND reference.digest = blob_alias.digest
WHERE blob_alias.blob_id = ?2
LIMIT 1"""

FIND_TAG: Final = """
SELECT version.name FROM tag CROSS JOIN version ON version.id = tag.version_id
WHERE tag.package_id = ? AND tag.name = ?"""

PUT_TAG: Final = """
INSERT INTO tag (package_id, name, version_id, updated_at) VALUES (?, ?, ?, ?)
ON CONFLICT (package_id, name) DO UPDATE SET version_id = excluded.version_id,
updated_at = excluded.updated_at"""

# UNION leaves out what is there already: versions that refer to each other end it, too.
LIST_TAGS_NEEDING: Final = """
WITH RECURSIVE needed (digest) AS (
SELECT value FROM json_each(?2)
UNION
SELECT version.name FROM needed
CROSS JOIN reference ON reference.package_id = ?1 AND reference.digest = needed.digest
CROSS JOIN version ON version.id = reference.version_id)
SELECT tag.name FROM needed
CROSS JOIN version ON version.package_id = ?1 AND version.name = needed.digest
CROSS JOIN tag ON tag.version_id = version.id"""

DELETE_TAG: Final = "DELETE FROM tag WHERE package_id = ? AND name = ?"

# -- blobs and links -------------------------------------------------------------------------------------

INSERT_BLOB: Final = """
INSERT INTO blob (digest, size, xxh3, generation, created_at) VALUES (?, ?, ?, ?, ?) RETURNING id"""

REPLACE_OBJECT: Final = """
UPDATE blob SET generation = ?, size = ?, xxh3 = ?, verified_at = NULL
WHERE id = ? AND generation = ? AND state = 'live'"""

LIST_BLOB_FILES: Final = """
SELECT file.repository_id, file.path, package.name FROM file
LEFT JOIN package ON package.id = file.package_id WHERE file.blob_id = ?"""

INSERT_ALIAS: Final = "INSERT INTO blob_alias (digest, blob_id) VALUES (?, ?) ON CONFLICT DO NOTHING"

LIST_ALIASES: Final = "SELECT digest FROM blob_alias WHERE blob_id = ?"

HAS_LINK: Final = "SELECT 1 FROM link WHERE package_id = ? AND blob_id = ?"

HAS_FILE_OF_BLOB: Final = "SELECT 1 FROM file WHERE blob_id = ? AND package_id = ? LIMIT 1"

PUT_LINK: Final = """
INSERT INTO link (package_id, blob_id, lease_until) VALUES (?, ?, ?)
ON CONFLICT (package_id, blob_id) DO UPDATE SET lease_until = max(lease_until, excluded.lease_until)
RETURNING lease_until"""

RENEW_LINK: Final = """
UPDATE link SET lease_until = ? WHERE package_id = ? AND blob_id = ? AND lease_until < ?"""

DELETE_LINK: Final = "DELETE FROM link WHERE package_id = ? AND blob_id = ?"

# -- the engine ------------------------------------------------------------------------------------------

WRITE_PROBE: Final = """
INSERT INTO probe (id, written_at) VALUES (1, ?)
ON CONFLICT (id) DO UPDATE SET written_at = excluded.written_at"""
