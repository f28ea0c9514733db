"""Repositories as the configuration declares them, beside the rows that they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nora.catalog.sqlite import quota_queries, repository_queries
from nora.catalog.sqlite.quotas import set_quota
from nora.errors import ConfigError
from nora.model import Quota, Repository, RepositorySpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nora.catalog.sqlite.engine import Connection


def load(db: Connection) -> tuple[dict[str, int], dict[str, RepositorySpec]]:
    """What the rows say: ids and declarations by name."""
    rows = db.execute(repository_queries.LIST_REPOSITORIES).fetchall()
    names = {row[0]: row[1] for row in rows}
    members: dict[int, list[str]] = {}
    for group, member in db.execute(repository_queries.LIST_MEMBERS).fetchall():
        members.setdefault(group, []).append(names[member])
    quotas = {row[0]: Quota(row[1], row[2]) for row in db.execute(quota_queries.LIST_QUOTAS).fetchall()}
    specs = {
        name: RepositorySpec(
            name, format_, kind, tuple(members.get(id_, ())), names.get(target), quota=quotas.get(id_)
        )
        for id_, name, format_, kind, target in rows
    }
    return {name: id_ for id_, name in names.items()}, specs


def build(specs: Sequence[RepositorySpec], ids: dict[str, int]) -> dict[str, Repository]:
    """The values for what is declared, by name. Raises ConfigError for members that cannot be."""
    built = {s.name: _build_single(s, ids) for s in specs if s.kind != "group"}
    groups = {}
    for spec in specs:
        if spec.kind == "group":
            for name in (*spec.members, *([spec.target] if spec.target else ())):
                if name not in built or built[name].format != spec.format:
                    raise ConfigError(
                        f"repository {spec.name!r}: its member {name!r} is no {spec.format} repository "
                        "of kind hosted or proxy"
                    )
            members = tuple(built[name] for name in spec.members)
            target = built[spec.target] if spec.target else None
            groups[spec.name] = Repository(ids[spec.name], spec.name, spec.format, spec.kind, members, target)
    return built | groups


def _build_single(spec: RepositorySpec, ids: dict[str, int]) -> Repository:
    """A hosted repository, or a proxy with its sources."""
    sources = [
        Repository(ids[name], name, spec.format, "proxy") for name in map(spec.source_name, spec.sources)
    ]
    return Repository(ids[spec.name], spec.name, spec.format, spec.kind, sources=tuple(sources))


def sync(db: Connection, specs: Sequence[RepositorySpec]) -> dict[str, Repository]:
    """See Catalog.sync_repositories."""
    ids, known = load(db)
    sources = [
        RepositorySpec(spec.source_name(one), spec.format, "proxy") for spec in specs for one in spec.sources
    ]
    for spec in (*specs, *sources):
        row = known.get(spec.name)
        if row is None:
            values = (spec.name, spec.format, spec.kind)
            ids[spec.name] = db.execute(repository_queries.INSERT_REPOSITORY, values).fetchone()[0]
        elif (row.format, row.kind) != (spec.format, spec.kind):
            _convert(db, ids[spec.name], row, spec)
    built = build(specs, ids)
    for spec in specs:
        id_ = ids[spec.name]
        db.execute(repository_queries.SET_TARGET, (ids[spec.target] if spec.target else None, id_))
        db.execute(repository_queries.CLEAR_MEMBERS, (id_,))
        members = [(id_, position, ids[name]) for position, name in enumerate(spec.members)]
        db.executemany(repository_queries.INSERT_MEMBER, members)
        set_quota(db, id_, spec.quota)
    return built


def _convert(db: Connection, id_: int, row: RepositorySpec, spec: RepositorySpec) -> None:
    if db.execute(repository_queries.HOLDS_ANYTHING, (id_,)).fetchone():
        raise ConfigError(
            f"repository {spec.name!r} is declared as {spec.kind} {spec.format}, but holds something as "
            f"{row.kind} {row.format}; declare another name for it"
        )
    db.execute(repository_queries.UPDATE_REPOSITORY, (spec.format, spec.kind, id_))
