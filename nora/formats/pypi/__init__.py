"""PyPI: the simple repository API at `/simple/`, uploads at `/legacy/`, the JSON API at `/pypi/`."""

from packaging.utils import canonicalize_name

from nora.formats.base import Format
from nora.formats.pypi.browse import BROWSE
from nora.formats.pypi.errors import render_error
from nora.formats.pypi.legacy import LEGACY
from nora.formats.pypi.mirror import TOOLS
from nora.formats.pypi.names import version_order
from nora.formats.pypi.operations import operations, upload
from nora.formats.pypi.parts import PARTS
from nora.formats.pypi.releases import RULES
from nora.formats.pypi.routes import build
from nora.formats.pypi.settings import PypiSettings, simple_index
from nora.formats.pypi.upstream_check import check_upstream
from nora.formats.release_commands import release_commands

FORMAT = Format(
    name="pypi",
    title="PyPI",
    mount="/simple/",
    settings=PypiSettings,
    default_upstreams=simple_index,
    version_order=version_order,
    also=("/legacy/", "/pypi/", "/integrity/"),
    build=build,
    check_upstream=check_upstream,
    render_error=render_error,
    can_proxy=True,
    fold=canonicalize_name,
    parts=PARTS,
    commands=release_commands(RULES),
    mirror=TOOLS,
    legacy=LEGACY,
    browse=BROWSE,
    operations=operations,
    upload=upload,
)
