"""Backups: what is stored, as it was at one moment, in a file or a folder that can be checked by itself.

Blobs are never changed, and none is removed while the removal lock is held; so a copy of the catalog is taken
first, and then what it names, however much is written meanwhile.

    nora-backup.json                        what this is, first
    secrets.json                            sealed by a passphrase, where these are wanted; see `sealing`
    blobs/sha256/<2 hex>/<hex>-<generation> the objects, named as in a store
    catalog.sqlite3                         the copy of the catalog, without secrets
    manifest.jsonl                          name, size, sha256 and time of each of these, last

So it is one stream to write and to read, and one that was cut off lacks its manifest. A file is a tar archive
of these (see `archive`); in a folder (see `folder`) each backup has all but the blobs in one of its own.

An export (`nora mirror export`) is one whose catalog has only what proxy repositories hold; see `importing`.
"""
