"""Raw files: any bytes under any path, below `/raw/`."""

from nora.formats.base import Aging, Format
from nora.formats.raw.browse import BROWSE
from nora.formats.raw.legacy import LEGACY
from nora.formats.raw.names import composed
from nora.formats.raw.operations import is_for_good, operations, upload
from nora.formats.raw.routes import build
from nora.formats.raw.settings import RawSettings
from nora.formats.raw.upstream_check import check_upstream
from nora.http.errors import render_text

FORMAT = Format(
    name="raw",
    title="Raw files",
    mount="/raw/",
    settings=RawSettings,
    build=build,
    render_error=render_text,
    can_proxy=True,
    fold=composed,
    check_upstream=check_upstream,
    legacy=LEGACY,
    browse=BROWSE,
    operations=operations,
    aging=Aging(for_good=is_for_good),
    upload=upload,
)
