"""What people are shown of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nora.formats.browsing import Browse, Site, Snippet

_MARK: Final = "M4 1.5h5L12.5 5v9.5H4zM9 1.5V5h3.5M6 8h4.5M6 11h4.5"


def snippets(site: Site) -> Sequence[Snippet]:
    """curl."""
    url = f"{site.url}builds/app.tar.gz"
    user = " -u YOUR_NAME" if site.needs_login else ""
    return (
        Snippet("curl", "publish", f"curl{user} -T app.tar.gz {url}"),
        Snippet("curl", "download", f"curl{user} -O {url}"),
    )


BROWSE: Final = Browse(mark=_MARK, snippets=snippets, is_directory=True)
