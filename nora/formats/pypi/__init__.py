"""PyPI: the simple repository API at `/simple/`, uploads at `/legacy/`, the JSON API at `/pypi/`."""

from packaging.utils import canonicalize_name

from nora.formats.base import Format
from nora.formats.pypi.errors import render_error
from nora.formats.pypi.routes import build

FORMAT = Format(
    name="pypi",
    title="PyPI",
    mount="/simple/",
    also=("/legacy/", "/pypi/", "/integrity/"),
    build=build,
    render_error=render_error,
    can_proxy=True,
    fold=canonicalize_name,
)
