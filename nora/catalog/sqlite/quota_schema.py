"""The tables of quotas, and the triggers that count: a step of nora.catalog.sqlite.schema.

`quota` has what a repository may hold, and does; `held` has by how many packages, or files of no package,
each blob in it is held. Where a repository has no quota, a trigger finds no row of it and writes nothing.
"""

from __future__ import annotations

from typing import Final

QUOTAS: Final = (
    """
    CREATE TABLE quota (
        repository_id INTEGER PRIMARY KEY REFERENCES repository (id),
        most_bytes INTEGER,
        most_versions INTEGER,
        bytes INTEGER NOT NULL,
        versions INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE held (
        repository_id INTEGER NOT NULL,
        blob_id INTEGER NOT NULL,
        holders INTEGER NOT NULL,
        PRIMARY KEY (repository_id, blob_id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TRIGGER held_more AFTER INSERT ON held BEGIN
        UPDATE quota SET bytes = bytes + (SELECT size FROM blob WHERE id = new.blob_id)
        WHERE repository_id = new.repository_id;
    END
    """,
    """
    CREATE TRIGGER held_less AFTER DELETE ON held BEGIN
        UPDATE quota SET bytes = bytes - (SELECT size FROM blob WHERE id = old.blob_id)
        WHERE repository_id = old.repository_id;
    END
    """,
    """
    CREATE TRIGGER held_no_more AFTER UPDATE ON held WHEN new.holders = 0 BEGIN
        DELETE FROM held WHERE repository_id = new.repository_id AND blob_id = new.blob_id;
    END
    """,
    """
    CREATE TRIGGER link_counted AFTER INSERT ON link BEGIN
        INSERT INTO held (repository_id, blob_id, holders)
        SELECT quota.repository_id, new.blob_id, 1 FROM package
        CROSS JOIN quota ON quota.repository_id = package.repository_id WHERE package.id = new.package_id
        ON CONFLICT (repository_id, blob_id) DO UPDATE SET holders = holders + 1;
    END
    """,
    """
    CREATE TRIGGER link_uncounted AFTER DELETE ON link BEGIN
        UPDATE held SET holders = holders - 1 WHERE blob_id = old.blob_id
        AND repository_id = (SELECT repository_id FROM package WHERE id = old.package_id);
    END
    """,
    """
    CREATE TRIGGER version_counted AFTER INSERT ON version BEGIN
        UPDATE quota SET versions = versions + 1
        WHERE repository_id = (SELECT repository_id FROM package WHERE id = new.package_id);
    END
    """,
    """
    CREATE TRIGGER version_uncounted AFTER DELETE ON version BEGIN
        UPDATE quota SET versions = versions - 1
        WHERE repository_id = (SELECT repository_id FROM package WHERE id = old.package_id);
    END
    """,
    """
    CREATE TRIGGER file_counted AFTER INSERT ON file WHEN new.package_id IS NULL BEGIN
        UPDATE quota SET versions = versions + 1 WHERE repository_id = new.repository_id;
        INSERT INTO held (repository_id, blob_id, holders)
        SELECT repository_id, new.blob_id, 1 FROM quota WHERE repository_id = new.repository_id
        ON CONFLICT (repository_id, blob_id) DO UPDATE SET holders = holders + 1;
    END
    """,
    """
    CREATE TRIGGER file_uncounted AFTER DELETE ON file WHEN old.package_id IS NULL BEGIN
        UPDATE quota SET versions = versions - 1 WHERE repository_id = old.repository_id;
        UPDATE held SET holders = holders - 1
        WHERE repository_id = old.repository_id AND blob_id = old.blob_id;
    END
    """,
    """
    CREATE TRIGGER file_recounted AFTER UPDATE OF blob_id ON file
    WHEN new.package_id IS NULL AND old.package_id IS NULL AND new.blob_id <> old.blob_id BEGIN
        INSERT INTO held (repository_id, blob_id, holders)
        SELECT repository_id, new.blob_id, 1 FROM quota WHERE repository_id = new.repository_id
        ON CONFLICT (repository_id, blob_id) DO UPDATE SET holders = holders + 1;
        UPDATE held SET holders = holders - 1
        WHERE repository_id = old.repository_id AND blob_id = old.blob_id;
    END
    """,
)
