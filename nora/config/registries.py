"""The public registries that are asked by default: their addresses are nowhere else.

What package URLs (purl) lead to is known to packageurl-python; it is imported when a default is needed.
"""

from __future__ import annotations

from functools import cache
from urllib.parse import urlsplit

from nora.config.upstreams import Upstream

DOCKER_HUB = Upstream("https://registry-1.docker.io")


@cache
def simple_index() -> Upstream:
    """PyPI's simple index (PEP 503)."""
    return Upstream(f"{_site('pkg:pypi/pip')}/simple")


def _site(purl: str) -> str:
    """The site that has the page of a package."""
    from packageurl.contrib.purl2url import get_repo_url

    page = urlsplit(str(get_repo_url(purl)))  # type: ignore[no-untyped-call]
    assert page.hostname, f"{purl} leads nowhere"
    return f"https://{page.netloc}"
