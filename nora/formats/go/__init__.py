"""Go modules: the protocol of module proxies, below `/go/`."""

from nora.formats.base import Format
from nora.formats.go.browse import BROWSE
from nora.formats.go.client import PUBLISH
from nora.formats.go.errors import render_error
from nora.formats.go.legacy import LEGACY
from nora.formats.go.mirror import TOOLS
from nora.formats.go.names import version_order
from nora.formats.go.operations import operations
from nora.formats.go.releases import RULES
from nora.formats.go.routes import build
from nora.formats.go.settings import GoSettings, module_proxy
from nora.formats.go.upstream_check import check_upstream
from nora.formats.release_commands import release_commands

FORMAT = Format(
    name="go",
    title="Go modules",
    mount="/go/",
    settings=GoSettings,
    default_upstreams=module_proxy,
    version_order=version_order,
    build=build,
    render_error=render_error,
    can_proxy=True,
    check_upstream=check_upstream,
    commands=release_commands(RULES),
    mirror=TOOLS,
    client_commands=(PUBLISH,),
    legacy=LEGACY,
    browse=BROWSE,
    operations=operations,
)
