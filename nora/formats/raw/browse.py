"""What people are shown of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from nora.formats.browsing import Browse, Site, Snippet, netrc

_MARK: Final = "M4 1.5h5L12.5 5v9.5H4zM9 1.5V5h3.5M6 8h4.5M6 11h4.5"


def snippets(site: Site) -> Sequence[Snippet]:
    """curl."""
    url = f"{site.url}builds/hello.txt"
    user = " -u YOUR_NAME" if site.needs_login else ""
    return (
        Snippet("curl", "publish", f"echo hello > hello.txt\ncurl{user} -T hello.txt {url}"),
        Snippet("curl", "download", f"curl{user} -O {url}"),
    )


def download(site: Site, path: str) -> Sequence[Snippet]:
    """curl and wget."""
    url = f"{site.url}{quote(path)}"
    user = (" -u YOUR_NAME", " --user=YOUR_NAME --ask-password") if site.needs_login else ("", "")
    return (
        Snippet("curl", "download", f"curl{user[0]} -O {url}"),
        Snippet("wget", "download", f"wget{user[1]} {url}"),
    )


def credentials(site: Site, user: str, token: str) -> Sequence[Snippet]:
    """curl."""
    return (netrc("curl --netrc", site.name, user, token),)


BROWSE: Final = Browse(
    mark=_MARK, snippets=snippets, credentials=credentials, download=download, is_directory=True
)
