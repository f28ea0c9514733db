"""The SQL of tokens, secrets, and of what may be used once."""

# ruff: noqa: S105 - none of these constants is a secret

from __future__ import annotations

from typing import Final

_TOKEN: Final = """
SELECT id, secret_hash, owner, role, scopes, description, created_at, expires_at, last_used_at, grounds
FROM token"""

FIND_TOKEN: Final = _TOKEN + " WHERE secret_hash = ?"

FIND_TOKEN_BY_ID: Final = _TOKEN + " WHERE id = ?"

LIST_TOKENS: Final = _TOKEN + " WHERE id > ? ORDER BY id LIMIT ?"

LIST_TOKENS_OF_OWNER: Final = _TOKEN + " WHERE owner = ? AND id > ? ORDER BY id LIMIT ?"

LIST_OWNERS: Final = """
SELECT owner, count(*), max(last_used_at) FROM token GROUP BY owner ORDER BY owner LIMIT ?"""

LIST_ENDING: Final = (
    _TOKEN
    + """
WHERE expires_at > ? AND expires_at <= ? AND owner = coalesce(?, owner) ORDER BY expires_at, id LIMIT ?"""
)

INSERT_TOKEN: Final = """
INSERT INTO token
    (id, secret_hash, owner, role, scopes, description, created_at, expires_at, last_used_at, grounds)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

DELETE_TOKEN: Final = "DELETE FROM token WHERE id = ?"

DELETE_TOKEN_OF_OWNER: Final = "DELETE FROM token WHERE id = ? AND owner = ?"

END_TOKEN: Final = "UPDATE token SET expires_at = ? WHERE id = ?"

NOTE_TOKEN_USE: Final = """
UPDATE token SET last_used_at = ? WHERE id = ? AND coalesce(last_used_at, 0) < ?"""

INSERT_SPENT: Final = "INSERT INTO spent (hash, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING"

FIND_SPENT: Final = "SELECT 1 FROM spent WHERE hash = ?"

FORGET_SPENT: Final = """
DELETE FROM spent WHERE hash IN (SELECT hash FROM spent WHERE expires_at < ? ORDER BY expires_at LIMIT ?)"""

FIND_SECRET: Final = "SELECT value FROM secret WHERE name = ?"

INSERT_SECRET: Final = "INSERT INTO secret (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING"
