"""The tables of the catalog, as numbered steps that only go forward.

A step, once released, is never changed: another one follows it. It is text of SQLite, as are the queries:
another engine has its own, and shares the protocol and its contract suite. How the keys serve the hot reads:

- `blob` has one live row for a digest (a partial unique index). A doomed row stays, under its own
  generation, until collection has deleted its object; so a blob's id never changes its meaning,
  and neither does anything that is cached by it. Identifiers are never used twice (AUTOINCREMENT). Only a
  row whose object is lost gets another generation.
- `package.versions` counts its versions, so that listing the packages that hold one is a range scan
  over a partial index.
- `package.opened` says that only upload sessions have made a package known: it goes with the last of them.
- `version.subject` is the version that one is about. It is asked for by its target, page by page in the order
  of versions: a column with its own index. `reference` holds the content that a version needs.
- `file.package_id` is there although the version knows it: a file may belong to a package without a
  version, and "the file of this package with these bytes" is then one index lookup.
- `file_by_path` serves listings of directories, too: from one entry to the next is one step along it.
- `reference.package_id` answers "does any version of this package need this content" in one lookup.
- `token` is found by the hash of its secret, and never holds the secret.
- `file.fetched_at` says that a file is a copy of an upstream's; NULL in `fresh_until` beside it that the copy
  is good for ever. So `file_idle` holds the cached documents alone, those unused for longest first.
- `file.expires_at` says from when on a file is not there any more, whether its row is gone yet or not.
- `tombstone` has the paths that may not be used again.
- `absence` has names that an upstream did not have when a later one of its group was found to have them.
- `spent` has the hashes of what may be used once, until it would be of no use by itself.
- `block` has what may not be served, fetched or pushed. It is read as a whole, and kept in memory.
- `history` has a row for each period of time, with all that was counted in it. `counted` is what a running
  server had counted when that was written last, so that nothing is written twice.
- `event` has what happened to others, the newest last. It has no index and no key of theirs: it is written
  with each of them, read by people, and bounded. Its last row stays, so that no id is given twice.
- `package_name` finds packages by three letters each of their names, and `name_word` has the words of these.
  Both are filled behind the commits, up to the package `name_index.indexed_to`; who searches looks at the
  names after it one by one. Nothing is removed from them: what is found is looked up in `package`.
- `tag_name` has the tags by their names; triggers write it. Those that were there before it are copied in
  steps, as far as `name_index.tags_to_package` and `tags_to` say; NULL: all of them.
- `package_use` is beside `package`, whose document is long: it is written often.
- `webhook` says up to which event it was looked at whether to tell of it, `delivery` what each is told. Only
  those that wait are in `delivery_due`.
- `link` says that a package holds a blob; its lease keeps a blob that no version names (yet).

Times are seconds since the epoch, sizes bytes, digests `algorithm:hex`. Text compares as bytes.
"""

from __future__ import annotations

from typing import Final

from nora.catalog.sqlite.quota_schema import QUOTAS

_FOUNDATION: Final = (
    """
    CREATE TABLE repository (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        format TEXT NOT NULL,
        kind TEXT NOT NULL,
        target_id INTEGER REFERENCES repository (id)
    )
    """,
    """
    CREATE TABLE member (
        group_id INTEGER NOT NULL REFERENCES repository (id),
        position INTEGER NOT NULL,
        repository_id INTEGER NOT NULL REFERENCES repository (id),
        PRIMARY KEY (group_id, position)
    )
    """,
    """
    CREATE TABLE package (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        repository_id INTEGER NOT NULL REFERENCES repository (id),
        name TEXT NOT NULL,
        owned INTEGER NOT NULL DEFAULT 0,
        versions INTEGER NOT NULL DEFAULT 0,
        revision INTEGER NOT NULL DEFAULT 0,
        created_at REAL NOT NULL,
        document BLOB
    )
    """,
    "CREATE UNIQUE INDEX package_by_name ON package (repository_id, name)",
    "CREATE INDEX package_listed ON package (repository_id, name) WHERE versions > 0",
    """
    CREATE TABLE version (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        package_id INTEGER NOT NULL REFERENCES package (id),
        name TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'live',
        artifact_type TEXT,
        subject TEXT,
        published_at REAL NOT NULL,
        first_seen_at REAL NOT NULL,
        pulls INTEGER NOT NULL DEFAULT 0,
        last_pulled_at REAL,
        document BLOB NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX version_by_name ON version (package_id, name)",
    "CREATE INDEX version_by_subject ON version (package_id, subject, name) WHERE subject IS NOT NULL",
    """
    CREATE TABLE tag (
        package_id INTEGER NOT NULL REFERENCES package (id),
        name TEXT NOT NULL,
        version_id INTEGER NOT NULL REFERENCES version (id) ON DELETE CASCADE,
        updated_at REAL NOT NULL,
        PRIMARY KEY (package_id, name)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX tag_by_version ON tag (version_id)",
    """
    CREATE TABLE blob (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        digest TEXT NOT NULL,
        size INTEGER NOT NULL,
        xxh3 TEXT NOT NULL,
        generation INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'live',
        created_at REAL NOT NULL,
        verified_at REAL,
        doomed_at REAL
    )
    """,
    "CREATE UNIQUE INDEX blob_by_digest ON blob (digest) WHERE state = 'live'",
    "CREATE INDEX blob_doomed ON blob (doomed_at) WHERE state = 'doomed'",
    """
    CREATE TABLE blob_alias (
        digest TEXT NOT NULL,
        blob_id INTEGER NOT NULL REFERENCES blob (id) ON DELETE CASCADE,
        PRIMARY KEY (digest, blob_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX blob_alias_by_blob ON blob_alias (blob_id)",
    """
    CREATE TABLE file (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        repository_id INTEGER NOT NULL REFERENCES repository (id),
        path TEXT NOT NULL,
        parent TEXT NOT NULL,
        package_id INTEGER REFERENCES package (id),
        version_id INTEGER REFERENCES version (id) ON DELETE CASCADE,
        blob_id INTEGER NOT NULL REFERENCES blob (id),
        size INTEGER NOT NULL,
        media_type TEXT NOT NULL,
        checksums TEXT,
        created_at REAL NOT NULL,
        pulls INTEGER NOT NULL DEFAULT 0,
        last_used_at REAL,
        expires_at REAL,
        upstream_url TEXT,
        validators TEXT,
        fetched_at REAL,
        fresh_until REAL
    )
    """,
    "CREATE UNIQUE INDEX file_by_path ON file (repository_id, path)",
    "CREATE INDEX file_by_parent ON file (repository_id, parent)",
    "CREATE INDEX file_by_version ON file (version_id) WHERE version_id IS NOT NULL",
    "CREATE INDEX file_by_blob ON file (blob_id, package_id)",
    """
    CREATE TABLE link (
        package_id INTEGER NOT NULL REFERENCES package (id),
        blob_id INTEGER NOT NULL REFERENCES blob (id),
        lease_until REAL NOT NULL,
        PRIMARY KEY (package_id, blob_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX link_by_blob ON link (blob_id, package_id)",
    """
    CREATE TABLE reference (
        version_id INTEGER NOT NULL REFERENCES version (id) ON DELETE CASCADE,
        digest TEXT NOT NULL,
        role TEXT NOT NULL,
        package_id INTEGER NOT NULL REFERENCES package (id),
        PRIMARY KEY (version_id, digest, role)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX reference_by_digest ON reference (package_id, digest)",
    """
    CREATE TABLE upload (
        id TEXT NOT NULL PRIMARY KEY,
        package_id INTEGER NOT NULL REFERENCES package (id),
        algorithm TEXT NOT NULL,
        committed INTEGER NOT NULL DEFAULT 0,
        hashes TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX upload_by_update ON upload (updated_at)",
    "CREATE TABLE probe (id INTEGER PRIMARY KEY, written_at REAL NOT NULL)",
)

_TOKENS: Final = (
    """
    CREATE TABLE token (
        id TEXT NOT NULL PRIMARY KEY,
        secret_hash TEXT NOT NULL,
        owner TEXT NOT NULL,
        role TEXT NOT NULL,
        scopes TEXT NOT NULL,
        description TEXT NOT NULL,
        created_at REAL NOT NULL,
        expires_at REAL,
        last_used_at REAL
    ) WITHOUT ROWID
    """,
    "CREATE UNIQUE INDEX token_by_secret ON token (secret_hash)",
    "CREATE INDEX token_by_owner ON token (owner, id)",
    "CREATE TABLE secret (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
)

_UPSTREAMS: Final = (
    "ALTER TABLE file ADD COLUMN document BLOB",
    "CREATE INDEX file_by_package ON file (package_id, path) WHERE package_id IS NOT NULL",
    "CREATE INDEX file_idle ON file (repository_id, last_used_at) WHERE fresh_until IS NOT NULL",
    """
    CREATE TABLE tombstone (
        repository_id INTEGER NOT NULL REFERENCES repository (id),
        path TEXT NOT NULL,
        deleted_at REAL NOT NULL,
        PRIMARY KEY (repository_id, path)
    ) WITHOUT ROWID
    """,
)

_KINDS: Final = ("ALTER TABLE version RENAME COLUMN artifact_type TO kind",)

_PATHS: Final = ("DROP INDEX file_by_parent", "ALTER TABLE file DROP COLUMN parent")

_SOURCES: Final = (
    """
    CREATE TABLE absence (
        repository_id INTEGER NOT NULL REFERENCES repository (id),
        name TEXT NOT NULL,
        noted_at REAL NOT NULL,
        PRIMARY KEY (repository_id, name)
    ) WITHOUT ROWID
    """,
)

_GROUNDS: Final = (
    "ALTER TABLE token ADD COLUMN grounds TEXT NOT NULL DEFAULT '[]'",
    "CREATE TABLE spent (hash TEXT NOT NULL PRIMARY KEY, expires_at REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX spent_by_end ON spent (expires_at)",
)

_OPENED: Final = ("ALTER TABLE package ADD COLUMN opened INTEGER NOT NULL DEFAULT 0",)

_BLOCKS: Final = (
    """
    CREATE TABLE block (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        format TEXT NOT NULL,
        repository_id INTEGER REFERENCES repository (id),
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        digest TEXT NOT NULL,
        reason TEXT NOT NULL,
        created_by TEXT NOT NULL,
        created_at REAL NOT NULL
    )
    """,
)

_OWNERS_OF_UPLOADS: Final = (
    "ALTER TABLE upload ADD COLUMN owner TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX upload_by_owner ON upload (owner) WHERE owner <> ''",
)

_ENDS: Final = ("CREATE INDEX file_by_end ON file (expires_at) WHERE expires_at IS NOT NULL",)

_HISTORY: Final = (
    """
    CREATE TABLE history (
        length INTEGER NOT NULL,
        at INTEGER NOT NULL,
        counts TEXT NOT NULL,
        levels TEXT NOT NULL,
        PRIMARY KEY (length, at)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE counted (server TEXT NOT NULL PRIMARY KEY, counted TEXT NOT NULL) WITHOUT ROWID",
)

_EVENTS: Final = (
    """
    CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        repository_id INTEGER,
        package TEXT NOT NULL,
        version TEXT NOT NULL,
        path TEXT NOT NULL,
        digest TEXT NOT NULL,
        size INTEGER NOT NULL,
        detail TEXT,
        user TEXT NOT NULL,
        method TEXT NOT NULL,
        request_id TEXT NOT NULL
    )
    """,
)

_NAMES: Final = (
    """
    CREATE VIRTUAL TABLE package_name USING fts5(
        name, content = '', tokenize = 'trigram', detail = 'none', columnsize = 0
    )
    """,
    """
    CREATE TABLE name_word (
        length INTEGER NOT NULL,
        word TEXT NOT NULL,
        PRIMARY KEY (length, word)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE name_index (id INTEGER PRIMARY KEY CHECK (id = 1), indexed_to INTEGER NOT NULL)",
    "INSERT INTO name_index (id, indexed_to) VALUES (1, 0)",
    """
    CREATE TABLE package_use (
        package_id INTEGER PRIMARY KEY REFERENCES package (id) ON DELETE CASCADE,
        pulls INTEGER NOT NULL,
        last_pulled_at REAL NOT NULL
    )
    """,
    "CREATE INDEX package_use_by_pulls ON package_use (pulls)",
)

_WEBHOOKS: Final = (
    "CREATE TABLE webhook (name TEXT NOT NULL PRIMARY KEY, seen INTEGER NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE delivery (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL UNIQUE,
        webhook TEXT NOT NULL REFERENCES webhook (name) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        event_id INTEGER NOT NULL,
        body BLOB NOT NULL,
        state TEXT NOT NULL,
        tries INTEGER NOT NULL,
        created_at REAL NOT NULL,
        next_at REAL,
        tried_at REAL,
        status INTEGER,
        error TEXT NOT NULL DEFAULT ''
    )
    """,
    "CREATE INDEX delivery_by_webhook ON delivery (webhook, id)",
    "CREATE INDEX delivery_due ON delivery (webhook, next_at) WHERE state = 'waiting'",
)

_TAG_NAMES: Final = (
    """
    CREATE TABLE tag_name (
        name TEXT NOT NULL,
        package_id INTEGER NOT NULL,
        PRIMARY KEY (name, package_id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TRIGGER tag_named AFTER INSERT ON tag BEGIN
        INSERT OR IGNORE INTO tag_name (name, package_id) VALUES (new.name, new.package_id);
    END
    """,
    """
    CREATE TRIGGER tag_unnamed AFTER DELETE ON tag BEGIN
        DELETE FROM tag_name WHERE name = old.name AND package_id = old.package_id;
    END
    """,
    "ALTER TABLE name_index ADD COLUMN tags_to_package INTEGER DEFAULT 0",
    "ALTER TABLE name_index ADD COLUMN tags_to TEXT NOT NULL DEFAULT ''",
)

_TOKENS_BY_END: Final = ("CREATE INDEX token_by_end ON token (expires_at) WHERE expires_at IS NOT NULL",)

_DOOMED: Final = ("CREATE INDEX blob_doomed_by_digest ON blob (digest) WHERE state = 'doomed'",)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    _FOUNDATION,
    _TOKENS,
    _UPSTREAMS,
    _KINDS,
    _PATHS,
    _SOURCES,
    _GROUNDS,
    _OPENED,
    _BLOCKS,
    _OWNERS_OF_UPLOADS,
    _ENDS,
    _HISTORY,
    _EVENTS,
    _NAMES,
    _WEBHOOKS,
    _TAG_NAMES,
    _TOKENS_BY_END,
    _DOOMED,
    QUOTAS,
)
"""Step n (from 1) brings a catalog of version n - 1 to version n."""

SCHEMA_VERSION: Final = len(MIGRATIONS)
"""The version that this code reads and writes."""
