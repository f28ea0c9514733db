"""Values made of rows. These run for every request: no validation of what the catalog itself has checked."""

from __future__ import annotations

from math import inf
from typing import Any

import orjson

from nora.catalog.records import (
    Blob,
    Cached,
    DirectoryEntry,
    File,
    Package,
    PackageFile,
    Token,
    Upload,
    Version,
)
from nora.model import Digest, Role, Scope

_trusted = str.__new__


def blob_of(id: int, digest: str, size: int, generation: int, lease_until: float) -> Blob:  # noqa: A002
    """A blob of (id, digest, size, generation, lease_until)."""
    return Blob(id, _trusted(Digest, digest), size, generation, lease_until)


def file_of(
    id: int,  # noqa: A002
    repository_id: int,
    path: str,
    package: str | None,
    version: str | None,
    media_type: str,
    blob_id: int,
    digest: str,
    size: int,
    generation: int,
    checksums: str | None,
    created_at: float,
    expires_at: float | None,
) -> File:
    """A file of the columns that the queries for files select."""
    blob = Blob(blob_id, _trusted(Digest, digest), size, generation)
    checks = _checksums(checksums)
    return File(id, repository_id, path, package, version, media_type, blob, checks, created_at, expires_at)


def _checksums(text: str | None) -> dict[str, str] | None:
    return None if text is None else orjson.loads(text)


def directory_entry_of(name: str, *file: Any) -> DirectoryEntry:
    """An entry of a directory, of the columns that the listing selects: of a directory those of some file."""
    if name.endswith("/"):
        return DirectoryEntry(name)
    return DirectoryEntry(name, file_of(*file))


def package_of(id: int, name: str, owned: int, revision: int, document: bytes) -> Package:  # noqa: A002
    """A package of the columns that the query for packages selects."""
    return Package(id, name, bool(owned), revision, document)


def version_of(
    name: str, state: str, document: str, published_at: float, pulls: int, last_pulled_at: float | None
) -> Version:
    """A version of the values that the listing of versions has."""
    return Version(name, state, document.encode(), published_at, pulls, last_pulled_at)


def package_file_of(
    path: str,
    version: str | None,
    media_type: str,
    blob_id: int,
    digest: str,
    size: int,
    generation: int,
    document: str,
    created_at: float,
    checksums: str | None,
) -> PackageFile:
    """A file of the values that the listing of a package's files has."""
    blob = Blob(blob_id, _trusted(Digest, digest), size, generation)
    return PackageFile(path, version, media_type, blob, document.encode(), created_at, _checksums(checksums))


def cached_of(
    id: int,  # noqa: A002
    path: str,
    package: str | None,
    media_type: str,
    blob_id: int,
    digest: str,
    size: int,
    generation: int,
    upstream_url: str,
    validators: str,
    document: bytes,
    fetched_at: float,
    fresh_until: float | None,
    version: str | None,
    checksums: str | None,
) -> Cached:
    """What is cached, of the columns that the query for it selects."""
    return Cached(
        id,
        path,
        package,
        media_type,
        Blob(blob_id, _trusted(Digest, digest), size, generation),
        upstream_url,
        orjson.loads(validators),
        document,
        fetched_at,
        inf if fresh_until is None else fresh_until,
        version,
        _checksums(checksums),
    )


def upload_of(
    id: str,  # noqa: A002
    repository_id: int,
    package: str,
    algorithm: str,
    offset: int,
    hashes: str,
    updated_at: float,
) -> Upload:
    """An upload of the columns that the queries for uploads select."""
    return Upload(id, repository_id, package, algorithm, offset, orjson.loads(hashes), updated_at)


def token_of(
    id: str,  # noqa: A002
    secret_hash: str,
    owner: str,
    role: Role,
    scopes: str,
    description: str,
    created_at: float,
    expires_at: float | None,
    last_used_at: float | None,
    grounds: str,
) -> Token:
    """A token of the columns that the queries for tokens select."""
    parts = tuple(
        Scope(repository, name, frozenset(actions)) for repository, name, actions in orjson.loads(scopes)
    )
    return Token(
        id,
        secret_hash,
        owner,
        role,
        parts,
        description,
        created_at,
        expires_at,
        last_used_at,
        tuple(orjson.loads(grounds)),
    )


def row_of(token: Token) -> tuple[object, ...]:
    """The columns of a token, in the order of `token_of`."""
    scopes = orjson.dumps([(one.repository, one.name, sorted(one.actions)) for one in token.scopes]).decode()
    times = (token.created_at, token.expires_at, token.last_used_at)
    grounds = orjson.dumps(token.grounds).decode()
    return (token.id, token.secret_hash, token.user, token.role, scopes, token.description, *times, grounds)
