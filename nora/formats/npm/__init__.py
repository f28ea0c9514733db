"""npm: packages of JavaScript for npm, pnpm, yarn and bun, below `/npm/`."""

from nora.formats.base import Format
from nora.formats.npm.browse import BROWSE
from nora.formats.npm.errors import render_error
from nora.formats.npm.legacy import LEGACY
from nora.formats.npm.mirror import TOOLS
from nora.formats.npm.names import canonical, version_order
from nora.formats.npm.operations import operations
from nora.formats.npm.parts import PARTS
from nora.formats.npm.releases import RULES
from nora.formats.npm.routes import build
from nora.formats.npm.settings import NpmSettings, registry
from nora.formats.release_commands import release_commands

FORMAT = Format(
    name="npm",
    title="npm",
    mount="/npm/",
    settings=NpmSettings,
    default_upstreams=registry,
    version_order=version_order,
    also=("/-/npm/",),
    build=build,
    render_error=render_error,
    can_proxy=True,
    fold=canonical,
    parts=PARTS,
    commands=release_commands(RULES),
    mirror=TOOLS,
    legacy=LEGACY,
    browse=BROWSE,
    operations=operations,
)
