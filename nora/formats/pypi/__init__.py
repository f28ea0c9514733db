"""PyPI: the simple repository API at `/simple/`, uploads at `/legacy/`, the JSON API at `/pypi/`."""

from packaging.utils import canonicalize_name

from nora.formats.base import Command, Format
from nora.formats.pypi.errors import render_error
from nora.formats.pypi.names import version_order
from nora.formats.pypi.releases import delete_command, status_command, unyank_command, yank_command
from nora.formats.pypi.routes import build
from nora.formats.pypi.settings import PypiSettings, simple_index

FORMAT = Format(
    name="pypi",
    title="PyPI",
    mount="/simple/",
    settings=PypiSettings,
    default_upstreams=simple_index,
    version_order=version_order,
    also=("/legacy/", "/pypi/", "/integrity/"),
    build=build,
    render_error=render_error,
    can_proxy=True,
    fold=canonicalize_name,
    commands=(
        Command(
            name="yank",
            help="Have installers pass over VERSION of PROJECT, unless they are told exactly that one.",
            arguments=("project", "version"),
            options={"reason": "Why; installers show it."},
            run=yank_command,
        ),
        Command(
            name="unyank",
            help="Take back that VERSION of PROJECT is yanked.",
            arguments=("project", "version"),
            run=unyank_command,
        ),
        Command(
            name="delete",
            help="Remove VERSION of PROJECT for good: the names of its files are never used again.",
            arguments=("project", "version"),
            options={"file": "Only this one of its files."},
            run=delete_command,
        ),
        Command(
            name="status",
            help="Make PROJECT active, archived, quarantined or deprecated (PEP 792), as STATUS says.",
            arguments=("project", "status"),
            options={"reason": "Why; it is on the page of the project."},
            run=status_command,
        ),
    ),
)
