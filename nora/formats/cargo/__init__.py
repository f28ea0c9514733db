"""Cargo: the sparse index, downloads and the web API of a registry of crates, below `/cargo/`."""

from nora.formats.base import Format
from nora.formats.cargo.browse import BROWSE
from nora.formats.cargo.errors import render_error
from nora.formats.cargo.legacy import LEGACY
from nora.formats.cargo.mirror import TOOLS
from nora.formats.cargo.names import canonical, version_order
from nora.formats.cargo.operations import operations
from nora.formats.cargo.releases import RULES
from nora.formats.cargo.routes import build
from nora.formats.cargo.settings import CargoSettings, sparse_index
from nora.formats.cargo.upstream_check import check_upstream
from nora.formats.release_commands import release_commands

FORMAT = Format(
    name="cargo",
    title="Cargo",
    mount="/cargo/",
    settings=CargoSettings,
    default_upstreams=sparse_index,
    version_order=version_order,
    build=build,
    render_error=render_error,
    can_proxy=True,
    fold=canonical,
    check_upstream=check_upstream,
    commands=release_commands(RULES),
    mirror=TOOLS,
    legacy=LEGACY,
    browse=BROWSE,
    operations=operations,
)
