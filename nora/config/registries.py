"""Where public registries are, as packageurl-python knows it: no address of one is written down in NORA.

It is imported when a default is needed. A format says the type of its package URLs (purl).
"""

from __future__ import annotations

from functools import cache
from urllib.parse import urlsplit


@cache
def page_site(purl_type: str, name: str) -> str:
    """The site that has the page of a package: `https://registry.example.com`."""
    from packageurl.contrib.purl2url import get_repo_url

    page = urlsplit(str(get_repo_url(f"pkg:{purl_type}/{name}")))  # type: ignore[no-untyped-call]
    assert page.hostname, f"packages of type {purl_type} are nowhere"
    return f"https://{page.netloc}"


@cache
def file_site(purl_type: str, name: str = "name") -> str:
    """The site that has the files of a package."""
    from packageurl.contrib.purl2url import get_download_url

    file = urlsplit(str(get_download_url(f"pkg:{purl_type}/{name}@1.0.0")))  # type: ignore[no-untyped-call]
    assert file.hostname, f"files of packages of type {purl_type} are nowhere"
    return f"https://{file.netloc}"
