"""The SQL of repositories and groups."""

from __future__ import annotations

from typing import Final

LIST_REPOSITORIES: Final = "SELECT id, name, format, kind, target_id FROM repository"
LIST_MEMBERS: Final = "SELECT group_id, repository_id FROM member ORDER BY group_id, position"
HOLDS_ANYTHING: Final = """
SELECT 1 FROM repository WHERE id = ? AND (
EXISTS (SELECT 1 FROM package WHERE package.repository_id = repository.id)
OR EXISTS (SELECT 1 FROM file WHERE file.repository_id = repository.id))"""
INSERT_REPOSITORY: Final = "INSERT INTO repository (name, format, kind) VALUES (?, ?, ?) RETURNING id"
UPDATE_REPOSITORY: Final = "UPDATE repository SET format = ?, kind = ? WHERE id = ?"
SET_TARGET: Final = "UPDATE repository SET target_id = ? WHERE id = ?"
CLEAR_MEMBERS: Final = "DELETE FROM member WHERE group_id = ?"
INSERT_MEMBER: Final = "INSERT INTO member (group_id, position, repository_id) VALUES (?, ?, ?)"
