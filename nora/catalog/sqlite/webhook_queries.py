"""The SQL of webhooks and their deliveries."""

from __future__ import annotations

from typing import Final

LIST_WEBHOOKS: Final = "SELECT name, seen FROM webhook"

INSERT_WEBHOOK: Final = """
INSERT INTO webhook (name, seen) SELECT ?, coalesce(max(id), 0) FROM event WHERE true
ON CONFLICT DO NOTHING"""

DELETE_WEBHOOK: Final = "DELETE FROM webhook WHERE name = ?"

SET_SEEN: Final = "UPDATE webhook SET seen = max(seen, ?) WHERE name = ?"

COUNT_WAITING: Final = "SELECT count(*) FROM delivery WHERE webhook = ? AND state = 'waiting'"

INSERT_DELIVERY: Final = """
INSERT INTO delivery (uid, webhook, kind, event_id, body, state, tries, created_at, next_at)
VALUES (?, ?, ?, ?, ?, 'waiting', 0, ?, ?)"""

_DELIVERY: Final = """
SELECT id, uid, webhook, kind, event_id, body, state, tries, created_at, next_at, tried_at, status, error
FROM delivery"""

LIST_DUE: Final = f"""{_DELIVERY}
WHERE webhook = ? AND state = 'waiting' AND next_at <= ? ORDER BY next_at LIMIT ?"""

NOTE_TRY: Final = """
UPDATE delivery SET state = ?, tries = tries + 1, tried_at = ?, status = ?, error = ?, next_at = ?
WHERE id = ?"""

FIND_DELIVERY: Final = f"{_DELIVERY} WHERE uid = ?"

RETRY_DELIVERY: Final = """
UPDATE delivery SET state = 'waiting', tries = 0, next_at = ? WHERE id = ? AND state <> 'waiting'"""

LIST_DELIVERIES: Final = f"{_DELIVERY} WHERE webhook = ? AND id < ? ORDER BY id DESC LIMIT ?"

COUNT_DELIVERIES: Final = """
SELECT name,
(SELECT count(*) FROM delivery WHERE delivery.webhook = name AND state = 'waiting'),
(SELECT max(tried_at) FROM delivery WHERE delivery.webhook = name AND state = 'delivered')
FROM webhook"""

COUNT_FAILURES: Final = """
SELECT coalesce(sum(tries), 0) FROM delivery WHERE webhook = ? AND error <> '' AND tried_at > ?"""

LIST_OLD_DELIVERIES: Final = """
SELECT id FROM delivery WHERE webhook = ?1 AND state <> 'waiting'
ORDER BY id DESC LIMIT 1000 OFFSET ?2"""

DELETE_DELIVERY: Final = "DELETE FROM delivery WHERE id = ?"
