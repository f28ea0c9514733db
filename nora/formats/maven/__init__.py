"""Maven: artifacts, checksums and metadata of the repository layout, below `/maven2/`."""

from nora.formats.base import Aging, Format
from nora.formats.maven.browse import BROWSE
from nora.formats.maven.errors import render_error
from nora.formats.maven.legacy import LEGACY
from nora.formats.maven.mirror import TOOLS
from nora.formats.maven.operations import operations
from nora.formats.maven.parts import PARTS
from nora.formats.maven.redeploy import is_for_good
from nora.formats.maven.releases import RULES
from nora.formats.maven.routes import build
from nora.formats.maven.settings import MavenSettings, central
from nora.formats.maven.upstream_check import check_upstream
from nora.formats.maven.versions import version_key
from nora.formats.release_commands import release_commands

FORMAT = Format(
    name="maven",
    title="Maven",
    mount="/maven2/",
    settings=MavenSettings,
    default_upstreams=central,
    version_order=version_key,
    build=build,
    render_error=render_error,
    limited=False,
    can_proxy=True,
    check_upstream=check_upstream,
    parts=PARTS,
    commands=release_commands(RULES),
    mirror=TOOLS,
    legacy=LEGACY,
    browse=BROWSE,
    operations=operations,
    aging=Aging(for_good=is_for_good),
)
