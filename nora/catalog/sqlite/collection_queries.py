"""The SQL of collection. See nora.catalog.collection for what makes a blob needed."""

# ruff: noqa: S608 - what is put together here are the constants of this module; none is a secret

from __future__ import annotations

from typing import Final

_UNNEEDED: Final = """blob.state = 'live' AND blob.created_at < :created_before
AND NOT EXISTS (SELECT 1 FROM file WHERE file.blob_id = blob.id)
AND NOT EXISTS (SELECT 1 FROM link WHERE link.blob_id = blob.id AND (link.lease_until > :now
OR EXISTS (SELECT 1 FROM reference
WHERE reference.package_id = link.package_id AND reference.digest = blob.digest)
OR EXISTS (SELECT 1 FROM blob_alias
CROSS JOIN reference ON reference.package_id = link.package_id AND reference.digest = blob_alias.digest
WHERE blob_alias.blob_id = blob.id)))"""

# Of packages that need a blob no more, whoever else does: of what a version referred to, and of leases that
# are over. `let_go` (in `blobs`) sees to those of files.
_LOOSE: Final = """blob.state = 'live' AND link.lease_until < :created_before
AND NOT EXISTS (SELECT 1 FROM file WHERE file.blob_id = blob.id AND file.package_id = link.package_id)
AND NOT EXISTS (SELECT 1 FROM reference
WHERE reference.package_id = link.package_id AND reference.digest = blob.digest)
AND NOT EXISTS (SELECT 1 FROM blob_alias
CROSS JOIN reference ON reference.package_id = link.package_id AND reference.digest = blob_alias.digest
WHERE blob_alias.blob_id = blob.id)"""

_BLOB: Final = "blob.id, blob.digest, blob.size, blob.generation, 0.0"

LIST_UNNEEDED: Final = f"""
WITH page AS MATERIALIZED (SELECT id FROM blob WHERE id > :after ORDER BY id LIMIT :limit)
SELECT (SELECT json_group_array(json_array({_BLOB})) FROM page
CROSS JOIN blob ON blob.id = page.id WHERE {_UNNEEDED}),
(SELECT max(id) FROM page), (SELECT max(id) FROM blob),
EXISTS (SELECT 1 FROM page CROSS JOIN blob ON blob.id = page.id
CROSS JOIN link ON link.blob_id = blob.id WHERE {_LOOSE})"""

RELEASE_LINKS: Final = f"""
DELETE FROM link WHERE (package_id, blob_id) IN (SELECT link.package_id, link.blob_id FROM blob
CROSS JOIN link ON link.blob_id = blob.id WHERE blob.id > :after AND blob.id <= :upto AND {_LOOSE})
RETURNING (SELECT repository_id FROM package WHERE package.id = package_id),
(SELECT name FROM package WHERE package.id = package_id)"""

DOOM: Final = f"""
UPDATE blob SET state = 'doomed', doomed_at = :now
WHERE id IN (SELECT value FROM json_each(:ids)) AND {_UNNEEDED} RETURNING {_BLOB}"""

DELETE_LINKS: Final = """
DELETE FROM link WHERE blob_id = ? RETURNING
(SELECT repository_id FROM package WHERE package.id = package_id),
(SELECT name FROM package WHERE package.id = package_id)"""

LIST_DOOMED: Final = f"""
SELECT {_BLOB} FROM blob WHERE state = 'doomed' AND doomed_at <= ? ORDER BY doomed_at LIMIT ?"""

COUNT_DOOMED: Final = "SELECT count(*), coalesce(sum(size), 0) FROM blob WHERE state = 'doomed'"

REMOVE_DOOMED: Final = """
DELETE FROM blob WHERE id IN (SELECT value FROM json_each(?)) AND state = 'doomed'"""

FIND_OBJECTS: Final = """
SELECT json_group_array(wanted.key) FROM json_each(?) AS wanted
WHERE EXISTS (SELECT 1 FROM blob WHERE state = 'live'
AND blob.digest = json_extract(wanted.value, '$[0]')
AND blob.generation = json_extract(wanted.value, '$[1]'))
OR EXISTS (SELECT 1 FROM blob WHERE state = 'doomed'
AND blob.digest = json_extract(wanted.value, '$[0]')
AND blob.generation = json_extract(wanted.value, '$[1]'))"""

# -- cached files ------------------------------------------------------------------------------------------

LIST_PROXIES: Final = "SELECT id FROM repository WHERE kind = 'proxy'"

_USED: Final = "max(coalesce(file.last_used_at, file.created_at), coalesce(file.fetched_at, 0.0))"

SUM_CACHED: Final = f"""
SELECT (CAST(used AS INTEGER) / ?1 + 1) * ?1 AS until, count(*), sum(size) FROM (
SELECT held.blob_id, blob.size, max(held.used) AS used FROM (
SELECT file.blob_id, {_USED} AS used FROM repository
CROSS JOIN file ON file.repository_id = repository.id WHERE repository.kind = 'proxy'
UNION ALL
SELECT link.blob_id, {_USED} FROM repository
CROSS JOIN file ON file.repository_id = repository.id AND file.version_id IS NOT NULL
CROSS JOIN reference ON reference.version_id = file.version_id
CROSS JOIN blob ON blob.digest = reference.digest AND blob.state = 'live'
CROSS JOIN link ON link.package_id = file.package_id AND link.blob_id = blob.id
WHERE repository.kind = 'proxy') AS held
CROSS JOIN blob ON blob.id = held.blob_id
WHERE NOT EXISTS (SELECT 1 FROM link CROSS JOIN package ON package.id = link.package_id
CROSS JOIN repository ON repository.id = package.repository_id AND repository.kind <> 'proxy'
WHERE link.blob_id = held.blob_id)
AND NOT EXISTS (SELECT 1 FROM file
CROSS JOIN repository ON repository.id = file.repository_id AND repository.kind <> 'proxy'
WHERE file.blob_id = held.blob_id)
GROUP BY held.blob_id)
GROUP BY until ORDER BY until DESC"""

LIST_UNUSED: Final = f"""
WITH page AS MATERIALIZED (
SELECT id, path FROM file WHERE repository_id = ?1 AND path > ?2 ORDER BY path LIMIT ?3)
SELECT (SELECT json_group_array(page.path) FROM page CROSS JOIN file ON file.id = page.id WHERE {_USED} < ?4),
(SELECT max(path) FROM page), (SELECT count(*) FROM page)"""

IS_UNUSED: Final = f"SELECT 1 FROM file WHERE id = ? AND {_USED} < ?"

HAS_LINKS: Final = "SELECT 1 FROM link WHERE blob_id = ? LIMIT 1"
