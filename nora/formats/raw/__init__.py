"""Raw files: any bytes under any path, below `/raw/`."""

from nora.formats.base import Format
from nora.formats.raw.browse import BROWSE
from nora.formats.raw.errors import render_error
from nora.formats.raw.routes import build
from nora.formats.raw.settings import RawSettings

FORMAT = Format(
    name="raw",
    title="Raw files",
    mount="/raw/",
    settings=RawSettings,
    build=build,
    render_error=render_error,
    can_proxy=True,
    browse=BROWSE,
)
