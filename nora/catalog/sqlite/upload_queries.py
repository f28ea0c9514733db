"""The SQL of upload sessions."""

from __future__ import annotations

from typing import Final

_UPLOAD: Final = """
SELECT upload.id, package.repository_id, package.name, upload.algorithm, upload.committed, upload.hashes,
upload.updated_at FROM upload CROSS JOIN package ON package.id = upload.package_id"""

FIND_UPLOAD: Final = _UPLOAD + " WHERE upload.id = ?"

LIST_IDLE_UPLOADS: Final = _UPLOAD + " WHERE upload.updated_at <= ? ORDER BY upload.updated_at LIMIT ?"
LIST_UPLOADS_AHEAD: Final = _UPLOAD + " WHERE upload.updated_at > ? ORDER BY upload.updated_at LIMIT ?"

COUNT_UPLOADS: Final = "SELECT count(*) FROM upload"

COUNT_UPLOADS_OF_OWNER: Final = "SELECT count(*) FROM upload WHERE owner = ? AND owner <> ''"

INSERT_UPLOAD: Final = """
INSERT INTO upload (id, package_id, algorithm, hashes, created_at, updated_at, owner)
VALUES (?, ?, ?, ?, ?, ?, ?)"""

SAVE_UPLOAD: Final = "UPDATE upload SET committed = ?, hashes = ?, updated_at = ? WHERE id = ?"

DELETE_UPLOAD: Final = "DELETE FROM upload WHERE id = ? RETURNING package_id"
