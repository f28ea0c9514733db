"""What people are shown of modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nora.formats.browsing import Browse, Site, Snippet

_MARK: Final = "M1.5 6h3M1 8h3M2 10h2M9.5 6a3 3 0 1 0 0 4V8H8M14.5 8a1.8 2.6 0 1 0-3.6 0 1.8 2.6 0 1 0 3.6 0"


def snippets(site: Site) -> Sequence[Snippet]:
    """The go command."""
    proxy = site.url.rstrip("/")
    put = f"curl --fail-with-body -T hello.zip {site.url}example.com/hello/@v/v1.0.0.zip"
    return (
        Snippet("go", "set up", f"go env -w GOPROXY={proxy}"),
        Snippet("go", "install", f"GOPROXY={proxy} go get golang.org/x/text@latest"),
        Snippet("go", "publish", put),
    )


def install(site: Site, module: str, version: str) -> Sequence[Snippet]:
    """A version of a module."""
    return (Snippet("go", "install", f"GOPROXY={site.url.rstrip('/')} go get {module}@{version}"),)


BROWSE: Final = Browse(mark=_MARK, snippets=snippets, install=install)
