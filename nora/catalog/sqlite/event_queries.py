"""The SQL of events."""

from __future__ import annotations

from typing import Final

INSERT_EVENT: Final = """
INSERT INTO event (at, kind, repository_id, package, version, path, digest, size, detail, user, method,
request_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

# Along the ids: how many there are is bounded (see nora.catalog.events.Events.prune_events).
_LIST: Final = """
SELECT event.id, event.at, event.kind, event.repository_id, coalesce(repository.name, ''),
coalesce(repository.format, ''), event.package, event.version, event.path, event.digest, event.size,
event.detail, event.user, event.method, event.request_id FROM event
LEFT JOIN repository ON repository.id = event.repository_id
WHERE event.id > ?1 AND event.id < ?2
AND (?3 = '[]' OR event.kind IN (SELECT value FROM json_each(?3) AS wanted))
AND (?4 = '[]' OR event.repository_id IN (SELECT value FROM json_each(?4) AS wanted))
AND (?5 = '' OR event.user = ?5)
"""

LIST_NEWEST_EVENTS: Final = f"{_LIST}ORDER BY event.id DESC LIMIT ?6"

LIST_NEXT_EVENTS: Final = f"{_LIST}ORDER BY event.id LIMIT ?6"

LATEST_EVENT: Final = "SELECT coalesce(max(id), 0) FROM event"

NTH_NEWEST: Final = """
SELECT id FROM event WHERE (kind = 'cached') = ? ORDER BY id DESC LIMIT 1 OFFSET ?"""

FIRST_SINCE: Final = "SELECT id FROM event WHERE at >= ? ORDER BY id LIMIT 1"

LIST_OLD_EVENTS: Final = """
SELECT id FROM event WHERE id < (SELECT max(id) FROM event)
AND (id < ?1 OR id <= iif(kind = 'cached', ?2, ?3)) ORDER BY id LIMIT ?4"""

DELETE_EVENT: Final = "DELETE FROM event WHERE id = ?"
