"""What a server loads before its first request: memory of each process, and time of each start."""

from __future__ import annotations

import subprocess
import sys

LATE = {
    *(
        "boto3",
        "botocore",
        "cryptography",
        "h11",
        "h2",
        "httpcore",
        "httpx",
        "jinja2",
        "markupsafe",
        "nh3",
        "pyromark",
        "joserfc",
        "jwt",
        "rich",
    ),
    *("packaging.markers", "packaging.metadata", "packaging.requirements", "packaging.specifiers"),
    *("nora.formats.pypi.metadata", "tarfile", "xml.etree", "xmlrpc"),
}
"""For requests that need them: they load them."""
PROGRAM = """
import sys, nora.cli.serve, nora.app, nora.formats
nora.formats.discover()
print(*sys.modules)
"""


def test_what_only_some_requests_need_is_not_loaded_at_the_start() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert LATE & {*done.stdout.split()} == set()
